"""What the unix VM is given to run; everything is in chip_boot, so that the REPL's namespace stays clean."""

import chip_boot

chip_boot.start(globals())
del chip_boot
