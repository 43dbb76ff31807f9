"""A ROMFS image of files in memory, by mpremote's own writer: what `mpremote romfs deploy` puts on a board."""

from collections.abc import Mapping

from mpremote.romfs import VfsRomWriter  # type: ignore[import-untyped]

MAGIC = b"\xd2\xcd\x31"


def rom_image(files: Mapping[str, bytes]) -> bytes:
    """Return the image of `files`, by path."""
    writer = VfsRomWriter()
    _fill(writer, {name.strip("/"): data for name, data in files.items()})
    image: bytes = writer.finalise()
    return image


def _fill(writer: VfsRomWriter, files: Mapping[str, bytes]) -> None:
    folders: dict[str, dict[str, bytes]] = {}
    for name, data in sorted(files.items()):
        folder, slash, rest = name.partition("/")
        if slash:
            folders.setdefault(folder, {})[rest] = data
        else:
            writer.mkfile(name, data)
    for folder, inside in folders.items():
        writer.opendir(folder)
        _fill(writer, inside)
        writer.closedir()
