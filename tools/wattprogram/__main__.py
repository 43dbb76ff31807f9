"""`python -m wattprogram rom FILE | files FOLDER`: the program as a board takes it."""

import argparse
import sys
from pathlib import Path

from wattprogram.layout import Layout, software, write_files
from wattprogram.mpy import CompileError


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="wattprogram", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    rom = commands.add_parser("rom", help="write the image for a board with a ROM partition (`mpremote romfs query`)")
    rom.add_argument("path", type=Path, metavar="FILE.romfs")
    files = commands.add_parser("files", help="write .mpy files for a board without one, to be copied as they are")
    files.add_argument("path", type=Path, metavar="FOLDER")
    given = parser.parse_args()
    try:
        if given.command == "rom":
            image = software(Layout.ROM).rom
            given.path.write_bytes(image)
            print(f"{given.path}: {len(image)} bytes; deploy it with: mpremote romfs deploy {given.path}")
        else:
            write_files(given.path, software(Layout.MPY).files)
            print(f"{given.path}: copy it with: mpremote fs cp -r {given.path}/* :/")
    except (CompileError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
