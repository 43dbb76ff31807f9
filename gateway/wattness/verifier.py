"""A process that verifies and reads frames for the gateway: `python -m wattness.verifier` on a pair of pipes.

In one process the interpreter's lock would let the signatures of one core wait for the books of the other. Messages are
lengths and `marshal`, between two processes of one interpreter; nothing from outside is ever read that way.
"""

import gc
import marshal
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from struct import Struct
from typing import Any, BinaryIO, NamedTuple

from wattwire import cose

from .model import Verified
from .rowframes import Fields, decode, fields, record
from .verify import Verifier

LENGTH = Struct("<I")
NICENESS = 5  # a core that all want goes to the one writer, for whom the verifiers work
MARSHAL_VERSION = 2  # the later ones look for what occurs twice


_new: Any = tuple.__new__  # as in `rowframes`: every frame goes here
Packed = tuple[int, bytes, bytes, bytes, Fields | None]  # a `Verified`, its record as plain values if it is one of rows


class Author(NamedTuple):
    """As much of a board as verifying needs."""

    id: int
    kid: bytes
    public_key: bytes


def message(*body: Any) -> bytes:
    """Return the bytes of a message."""
    data = marshal.dumps(body, MARSHAL_VERSION)
    return LENGTH.pack(len(data)) + data


def pack(frames: Sequence[Packed]) -> bytes:
    """Return frames as bytes."""
    return marshal.dumps(list(frames), MARSHAL_VERSION)


def unpack(packed: bytes) -> list[Packed]:
    """Return the frames that `pack` packed."""
    frames: list[Packed] = marshal.loads(packed)  # noqa: S302 - from our own process
    return frames


def read(frames: Sequence[Packed]) -> list[Verified]:
    """Return frames with their records; those that are not of rows are rare and cheap to read again."""
    return [
        _new(Verified, (board_id, raw, digest, leaf, record(fields) or decode(cose.parse(raw)[1])))
        for board_id, raw, digest, leaf, fields in frames
    ]


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer every batch of arrivals with (frames, how many, rejected) until the gateway closes the pipe or is gone."""
    verifier = Verifier()
    while head := source.read(LENGTH.size):
        authors, arrivals = marshal.loads(source.read(LENGTH.unpack(head)[0]))  # noqa: S302 - from our own process
        if authors is not None:
            verifier.replace(Author(*author) for author in authors)
        sink.write(message(*_verify(verifier, arrivals)))
        sink.flush()


def _verify(verifier: Verifier, arrivals: Sequence[tuple[bytes, bytes]]) -> tuple[bytes, int, dict[str, int]]:
    good, rejected = verifier.read_all(arrivals, fields)
    return pack(good), len(good), rejected


if __name__ == "__main__":
    gc.disable()  # what a frame holds has no cycles
    with suppress(OSError):
        os.nice(NICENESS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal, to all: the gateway decides when we end
    serve(sys.stdin.buffer, sys.stdout.buffer)
