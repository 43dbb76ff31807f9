"""A process that verifies and reads frames for the gateway: `python -m wattness.verifier` on a pair of pipes.

In one process the interpreter's lock would let the signatures of one core wait for the books of the other. Messages are
lengths and `marshal`, between two processes of one interpreter; nothing from outside is ever read that way.
"""

import gc
import marshal
import signal
import sys
from collections.abc import Sequence
from struct import Struct
from typing import Any, BinaryIO, NamedTuple

from wattwire import cose, frame

from .model import Arrival, Verified
from .packed import Entry
from .rowframes import decode
from .verify import Verifier

LENGTH = Struct("<I")
MARSHAL_VERSION = 2  # the later ones look for what occurs twice


class Author(NamedTuple):
    """As much of a board as verifying needs."""

    id: int
    kid: bytes
    public_key: bytes


def message(*body: Any) -> bytes:
    """Return the bytes of a message."""
    data = marshal.dumps(body, MARSHAL_VERSION)
    return LENGTH.pack(len(data)) + data


def pack(verified: Verified) -> bytes:
    """Return a verified frame as bytes."""
    board_id, raw, digest, record = verified
    return marshal.dumps((board_id, raw, digest, _pack_rows(record)), MARSHAL_VERSION)


def unpack(packed: bytes) -> Verified:
    """Return the frame that `pack` packed."""
    board_id, raw, digest, rows = marshal.loads(packed)  # noqa: S302 - from our own process
    return Verified(board_id, raw, digest, _unpack_rows(rows) if rows else decode(cose.parse(raw)[1]))


def _pack_rows(record: Any) -> tuple[Any, ...] | None:
    """Return a rows record as plain values; the other kinds are rare and cheap to read again."""
    if record.kind != frame.KIND_ROWS:
        return None
    streams_hash, entries = record.body
    return (*record[:8], streams_hash, [tuple(entry) for entry in entries], record.extra)


def _unpack_rows(rows: tuple[Any, ...]) -> Any:
    kind, log, seq, prev, boot, up, unix, lost, streams_hash, entries, extra = rows
    body = frame.Rows(streams_hash, [Entry(*entry) for entry in entries])
    return frame.Record(kind, log, seq, prev, boot, up, unix, lost, body, extra)


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer every batch of arrivals with (frames, rejected) until the gateway closes the pipe or is gone."""
    verifier = Verifier()
    while head := source.read(LENGTH.size):
        authors, arrivals = marshal.loads(source.read(LENGTH.unpack(head)[0]))  # noqa: S302 - from our own process
        if authors is not None:
            verifier.replace(Author(*author) for author in authors)
        sink.write(message(*_verify(verifier, arrivals)))
        sink.flush()


def _verify(verifier: Verifier, arrivals: Sequence[tuple[bytes, bytes]]) -> tuple[list[bytes], dict[str, int]]:
    good, rejected = verifier.verify_all([Arrival(*arrival) for arrival in arrivals])
    return [pack(one) for one in good], rejected


if __name__ == "__main__":
    gc.disable()  # what a frame holds has no cycles
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal, to all: the gateway decides when we end
    serve(sys.stdin.buffer, sys.stdout.buffer)
