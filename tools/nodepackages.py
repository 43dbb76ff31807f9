"""Other people's JavaScript for tests and for building: installed from a lock file into .artefacts, once."""

import fcntl
import hashlib
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".artefacts" / "npm"
INSTALL_S = 300


class MissingError(Exception):
    """The packages cannot be had here; the text says why, in one sentence."""


def installed(folder: Path) -> Path:
    """Return a folder with `node_modules` for the package.json and package-lock.json in `folder`; raises MissingError.

    No package's own scripts are run.
    """
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise MissingError("node and npm are not installed")
    files = [folder / "package.json", folder / "package-lock.json"]
    digest = hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:16]
    place = CACHE / f"{folder.name}-{digest}"
    place.mkdir(parents=True, exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
        if not (place / "complete").exists():
            for file in files:
                shutil.copy(file, place)
            _install(place)
            (place / "complete").touch()
    return place


def _install(place: Path) -> None:
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    try:
        ended = subprocess.run(command, cwd=place, capture_output=True, timeout=INSTALL_S, check=False, text=True)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingError(f"npm ci did not end: {error}") from None
    if ended.returncode:
        raise MissingError(f"npm ci failed: {(ended.stderr or ended.stdout).strip()[-300:]}")
