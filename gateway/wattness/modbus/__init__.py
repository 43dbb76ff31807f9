"""Modbus as the gateway itself speaks it: lines to devices, the devices on them, and what is found by asking around."""
