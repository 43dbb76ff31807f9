"""Intervals before the judge: what the rules remember, and what was seen of other streams, in tables of their own."""

from collections.abc import Callable, Sequence
from typing import Any

import apsw
import msgspec

from wattness.quality import Facts, Judge, Memory, Print, facts
from wattwire import evidence

from .board import Held, Stream
from .schema import ask, write_rows
from .tally import Tally

PRINTS_KEPT_MS = 35 * 86_400_000
TWINS_FRESH_MS = 3_600_000
TWINS_MAX = 10_000  # streams whose twins are remembered
SERIAL_LENGTH = 32  # of a device's name that is its serial's hash, in hex

TABLES = """
-- What the rules remember of a stream behind its last final interval (wattness.quality.Memory, MessagePack).
CREATE TABLE IF NOT EXISTS judgement (
  stream_id INTEGER PRIMARY KEY,
  memory BLOB NOT NULL
) STRICT;

-- Fingerprints of hours (of days, where intervals are long), by which repetitions and duplicates are found.
CREATE TABLE IF NOT EXISTS print (
  stream_id INTEGER NOT NULL,
  start_ms INTEGER NOT NULL,
  role TEXT NOT NULL,
  digest BLOB NOT NULL,
  PRIMARY KEY (stream_id, start_ms)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS print_start ON print (start_ms);
CREATE INDEX IF NOT EXISTS stream_device ON stream (device);
"""

_SAVE = "INSERT OR REPLACE INTO judgement (stream_id, memory) VALUES {rows}"
_REPEATED = "SELECT 1 FROM print WHERE stream_id = ? AND start_ms > ? AND start_ms <> ? AND digest = ? LIMIT 1"
_DUPLICATE = "SELECT 1 FROM print WHERE start_ms = ? AND digest = ? AND role = ? AND stream_id <> ? LIMIT 1"
_TWINS = (
    "SELECT stream.id FROM stream JOIN board ON board.id = board_id"
    " WHERE device = ? AND role = ? AND board_id <> ? AND state = 'active'"
)
_CLAIMED = "SELECT 1 FROM interval WHERE stream_id = ? AND a = ? AND verdict <> 'quarantined'"

Claimed = Callable[[int, int], bool]  # whether (stream id, begin) is among what is not written yet

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Memory).decode


class Judging:
    """Applies the judge to each interval of a stream, in the order in which they become final."""

    def __init__(self, connection: apsw.Connection, tally: Tally, judge: Judge) -> None:
        """Use the writer's connection; the tables are made when they are not there."""
        self._connection = connection
        self._tally = tally
        self._judge = judge
        self._changed: dict[int, Memory] = {}
        self._twins: dict[int, tuple[int, list[int]]] = {}
        connection.execute(TABLES)

    def begin(self) -> None:
        """Drop what a roll-back left."""
        self._changed.clear()

    def flush(self) -> None:
        """Write what the rules remember."""
        write_rows(self._connection, _SAVE, [(key, _encode(memory)) for key, memory in self._changed.items()])
        self._changed.clear()

    def codes(self, board_id: int, stream: Stream, found: Facts, claimed: Claimed) -> set[str]:
        """Return the reasons against an interval."""
        memory = self._memory(stream)
        notes = self._judge.judge(found, memory, lambda one: self._seen(stream.id, found.role, one))
        if len(found.device) == SERIAL_LENGTH and self._has_twin(board_id, stream.id, found, claimed):
            notes.find("duplicate_serial")
        for kind in notes.events:
            self._tally.add("counter_fall", kind)
        self._changed[stream.id] = memory
        return notes.codes

    def pass_over(self, stream: Stream) -> None:
        """Let the rules begin anew behind an interval whose values are known to be wrong."""
        memory = stream.memory = self._memory(stream).anew()
        self._changed[stream.id] = memory

    def _memory(self, stream: Stream) -> Memory:
        if stream.memory is None:
            rows = ask(self._connection, "SELECT memory FROM judgement WHERE stream_id = ?", (stream.id,))
            stream.memory = _decode(rows[0][0]) if rows else Memory()
        return stream.memory

    def _seen(self, stream_id: int, role: str, found: Print) -> str:
        """Keep a fingerprint; return the code of what it was found to be."""
        start, digest = found.start_ms, found.digest
        oldest = start - PRINTS_KEPT_MS
        self._connection.execute("DELETE FROM print WHERE stream_id = ? AND start_ms < ?", (stream_id, oldest))
        query = "INSERT OR REPLACE INTO print (stream_id, start_ms, role, digest) VALUES (?, ?, ?, ?)"
        self._connection.execute(query, (stream_id, start, role, digest))
        if ask(self._connection, _DUPLICATE, (start, digest, role, stream_id)):
            return "duplicate_series"
        return "repeated_day" if ask(self._connection, _REPEATED, (stream_id, oldest, start, digest)) else ""

    def _has_twin(self, board_id: int, stream_id: int, found: Facts, claimed: Claimed) -> bool:
        """Tell whether another board's stream of the same serial has this interval already."""
        checked, twins = self._twins.get(stream_id, (0, []))
        if not checked or found.a - checked >= TWINS_FRESH_MS:
            if len(self._twins) >= TWINS_MAX:
                self._twins.clear()
            twins = [row[0] for row in ask(self._connection, _TWINS, (found.device, found.role, board_id))]
            self._twins[stream_id] = (found.a, twins)
        return any(claimed(twin, found.a) or ask(self._connection, _CLAIMED, (twin, found.a)) for twin in twins)


def facts_of(place: facts.Place, frames: Sequence[Held], blocks: Sequence[Any], figures: dict[str, Any]) -> Facts:
    """Return the facts of an interval: of its summed-up blocks where they tell enough, else of its frames' rows."""
    found = facts.of_blocks(place, blocks, figures) if blocks else None
    if found is None:
        rows = evidence.collect([held.record for held in frames], place.device, None, place.b)
        found = facts.of_evidence(place, rows.times, rows.columns, figures)
    return found
