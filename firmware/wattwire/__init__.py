# The wire: pure code, no I/O, no clock; the same files run on MicroPython and CPython.
