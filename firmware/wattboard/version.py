"""The version of the program; a release is built with its own in this place."""

FIRMWARE = "0.1.0"
