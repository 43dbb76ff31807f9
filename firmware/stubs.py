"""Lays the ESP32 port's stubs where mypy finds them in place of the standard library: .venv/typings, for mypy.ini."""

import shutil
import sys
from importlib.metadata import files
from pathlib import Path

PACKAGES = ("micropython-esp32-stubs", "micropython-stdlib-stubs")
TYPINGS = Path(sys.prefix) / "typings"


def main() -> None:
    """Make the folder anew, as links."""
    shutil.rmtree(TYPINGS, ignore_errors=True)
    TYPINGS.mkdir()
    for package in PACKAGES:
        for file in files(package) or ():
            top = Path(file.parts[0])
            link = TYPINGS / top
            if (len(file.parts) > 1 or top.suffix == ".pyi") and "dist-info" not in top.name and not link.exists():
                link.symlink_to(Path(str(file.locate())).parents[len(file.parts) - 1] / top)


if __name__ == "__main__":
    main()
