"""The chip's `vfs`: the VM's own, and the requests by which `mpremote romfs` looks at and writes the ROM partition."""

from micropython import const
from vfs import VfsFat, VfsLfs2, VfsRom, mount, umount  # noqa: F401  (the chip's names, as they are)

_COUNT = const(1)
_SEGMENT = const(2)
_PREPARE = const(3)
_WRITE = const(4)
_COMPLETE = const(5)
_BLOCK_SIZE = const(6)
_BLOCK = const(4096)
_EINVAL = const(-22)
_memory = None  # the partition as the processor sees it
_file = None  # and where the host keeps it


def begin(memory, file):
    """Map the partition: `memory` shows what `file` holds."""
    global _memory, _file
    file.readinto(memory)
    _memory, _file = memory, file


def mount_rom():
    """Mount the partition at `/rom`, as the chip's start does; whether it holds an image."""
    if _memory is None:
        return False
    try:
        mount(VfsRom(_memory), "/rom")
    except (OSError, ValueError):
        return False
    return True


def rom_ioctl(request, number=0, offset=0, argument=None):
    """Answer how many partitions there are, one's memory, and the steps of writing it; negative for what is not."""
    if request == _COUNT:
        return 0 if _memory is None else 1
    if _memory is None or number != 0:
        return _EINVAL
    if request == _SEGMENT:
        return _memory
    if request == _PREPARE:
        return _set(offset, b"\xff" * _BLOCK, (argument or 0) // _BLOCK)
    if request == _WRITE:
        return _set(offset, argument, 1)
    return {_COMPLETE: 0, _BLOCK_SIZE: _BLOCK}.get(request, _EINVAL)


def _set(offset, data, times):
    """Write `data` again and again, to the file and to the memory that shows it."""
    if not 0 <= offset <= len(_memory) - len(data) * times:
        return _EINVAL
    _file.seek(offset)
    for _ in range(times):
        _file.write(data)
        _memory[offset : offset + len(data)] = data
        offset += len(data)
    _file.flush()
    return 0
