"""What the unix VM is given to run; everything is in chip_boot, so that the REPL's namespace stays clean."""

import micropython

micropython.opt_level(3)  # without line numbers our own modules take less of the board's heap
import chip_boot  # noqa: E402

micropython.opt_level(0)
chip_boot.start(globals())
del chip_boot
