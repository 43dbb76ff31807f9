"""Caching Modbus TCP proxies: many clients share a device that allows one connection."""
