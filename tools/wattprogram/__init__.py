"""The program as a board runs it: bytecode in a ROM image, or in files, or the source for development."""

from wattprogram.layout import Layout, Software, release_image, software

__all__ = ["Layout", "Software", "release_image", "software"]
