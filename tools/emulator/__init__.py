"""The emulated ESP32 board, its supervisor, the meter bus and the recorded sites."""
