"""The program of the board: MicroPython on an ESP32."""
