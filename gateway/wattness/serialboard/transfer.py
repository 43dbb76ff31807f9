"""Bytes onto a board over its REPL: files, each whole or not at all, and an image in the ROM partition."""

import binascii
import hashlib
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping

from .port import BoardError
from .repl import OnBoardError, Repl

Progress = Callable[[str, int, int], None]  # what is being done, how much of it is, of how much

CHUNK_BYTES = 2048
WINDOW_BITS = 10  # of the compression: as much memory as the board needs for it
HASH_S = 120.0
ERASED_BYTES = 32_768  # at once; the board answers after each
RECEIVE = """
import os
from binascii import a2b_base64
try:
    from io import BytesIO
    from deflate import DeflateIO, RAW
    def data(text): return DeflateIO(BytesIO(a2b_base64(text)), RAW, BITS).read()
    packs = 1
except ImportError:
    data = a2b_base64
    packs = 0
def begin(path):
    global f
    at = path.find("/", 1)
    while at > 0:
        try: os.mkdir(path[:at])
        except OSError: pass
        at = path.find("/", at + 1)
    f = open(path + ".new", "wb")
def end(path):
    f.close()
    os.rename(path + ".new", path)
print(packs)
""".replace("BITS", str(WINDOW_BITS))
LIST = """
import os, hashlib
def walk(path):
    try: found = list(os.ilistdir(path))
    except OSError: return
    for each in found:
        name = path + "/" + each[0]
        if each[1] == 0x4000: walk(name)
        else: show(name)
def show(name):
    h = hashlib.sha256()
    try:
        with open(name, "rb") as f:
            while True:
                n = f.readinto(b)
                if not n: break
                h.update(b[:n])
    except OSError: return
    print(h.digest()[:16].hex(), name)
b = memoryview(bytearray(1024))
for root in %r: show(root) if root.endswith(".py") else walk(root)
"""
REMOVE = """
import os
def gone(path):
    try: kind = os.stat(path)[0]
    except OSError: return
    if kind & 0x4000:
        for each in list(os.ilistdir(path)): gone(path + "/" + each[0])
        os.rmdir(path)
    else: os.remove(path)
"""
ROM = """
import vfs, hashlib
try: vfs.umount("/rom")
except OSError: pass # it is not mounted
d = vfs.rom_ioctl(2, 0)
block = d.ioctl(5, 0) if hasattr(d, "ioctl") else vfs.rom_ioctl(6, 0)
def erase(at, size):
    if hasattr(d, "ioctl"):
        for n in range(at // block, (at + size) // block): d.ioctl(6, n)
        return 0
    return vfs.rom_ioctl(3, 0, at, size)
def write(at, data):
    if hasattr(d, "ioctl"): return d.writeblocks(at // block, data, at % block) or 0
    return vfs.rom_ioctl(4, 0, at, data)
def end(size):
    if not hasattr(d, "ioctl"): vfs.rom_ioctl(5, 0)
    h = hashlib.sha256()
    b = bytearray(1024)
    for at in range(0, size, 1024):
        n = min(1024, size - at)
        if hasattr(d, "ioctl"): d.readblocks(at // block, b, at % block)
        else: b[:n] = d[at : at + n]
        h.update(memoryview(b)[:n])
    print(h.digest().hex())
print(block)
"""


def digest(data: bytes) -> str:
    """Return what `listed` says of a file with this content."""
    return hashlib.sha256(data).hexdigest()[:32]


def listed(repl: Repl, roots: Iterable[str]) -> dict[str, str]:
    """Return the files in the folders (or with the names) `roots` on the board, each with its digest."""
    pairs = [line.split(" ", 1) for line in repl.run(LIST % (list(roots),), HASH_S).splitlines()]
    return {pair[1]: pair[0] for pair in pairs if len(pair) == 2}


def remove(repl: Repl, paths: Iterable[str]) -> None:
    """Remove files, and folders with all that is in them; what is not there is as good as removed."""
    repl.run(REMOVE)
    for path in paths:
        repl.run(f"gone({path!r})", HASH_S)


def put(repl: Repl, files: Mapping[str, bytes], progress: Progress) -> None:
    """Write files in their order, each in the place of the old one at once."""
    pack = _packer(repl)
    total = sum(map(len, files.values()))
    done = 0
    for path, data in files.items():
        progress("copying", done, total)
        try:
            repl.run(f"begin({path!r})")
            for text, size in pack(data):
                repl.run(f"f.write(data({text!r}))")
                done += size
                progress("copying", done, total)
            repl.run(f"end({path!r})")
        except OnBoardError as error:
            if error.kind == "OSError" and ("28" in error.detail or "ENOSPC" in error.detail):
                raise BoardError(f"The board's flash is full, {path} did not fit; {ROOM_HINT}") from None
            raise
    progress("copying", total, total)


ROOM_HINT = (
    "let it deliver what it has logged and try again, or erase it with `wattness board flash --erase` "
    "(which erases its key and log as well)."
)


def put_rom(repl: Repl, image: bytes, progress: Progress) -> None:
    """Write an image into the ROM partition and read it back; it is mounted at the next start."""
    pack = _packer(repl)
    block = int(repl.run(ROM))
    total = -(-len(image) // block) * block
    step = max(block, ERASED_BYTES // block * block)
    for at in range(0, total, step):
        progress("erasing", at, total)
        _done(repl, f"erase({at}, {min(step, total - at)})")
    at = 0
    for text, size in pack(image + b"\xff" * (total - len(image))):
        _done(repl, f"write({at}, data({text!r}))")
        at += size
        progress("copying", min(at, len(image)), len(image))
    if repl.run(f"end({len(image)})", HASH_S).strip() != hashlib.sha256(image).hexdigest():
        raise BoardError(
            "The program in the board's ROM is not what was written: try again; else its flash is worn out."
        )


def _done(repl: Repl, call: str) -> None:
    code = repl.run(f"print({call})", HASH_S).strip()
    if code.startswith("-"):
        raise BoardError(f"The board's ROM partition took no data (code {code}); restart the board and try again.")


def _packer(repl: Repl) -> Callable[[bytes], Iterator[tuple[bytes, int]]]:
    """Return what cuts data into pieces as this board takes them: (text for its `data`, how many bytes it is)."""
    packs = repl.run(RECEIVE).strip() == "1"

    def pack(data: bytes) -> Iterator[tuple[bytes, int]]:
        for at in range(0, len(data), CHUNK_BYTES):
            piece = data[at : at + CHUNK_BYTES]
            if packs:
                squeezer = zlib.compressobj(9, wbits=-WINDOW_BITS)
                packed = squeezer.compress(piece) + squeezer.flush()
            else:
                packed = piece
            yield binascii.b2a_base64(packed, newline=False), len(piece)

    return pack
