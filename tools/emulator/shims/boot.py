"""What the unix VM is given to run; everything is in chip_boot, so that the REPL's namespace stays clean."""

import chip_memory

chip_memory.begin()
del chip_memory
import chip_boot  # noqa: E402

chip_boot.start(globals())
del chip_boot
