"""Devices with BLE, on an air of their own: bumble's controllers on one link."""
