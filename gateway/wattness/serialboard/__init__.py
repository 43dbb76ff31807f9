"""A board at a serial port of this machine: flashed, installed, enrolled, listened to and looked into over its REPL."""
