"""Frames out of the store, once their rows are kept elsewhere: in slices, within the writer's transactions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from wattness.errors import StoreError

from .history_schema import connect_history
from .schema import ask
from .tally import Tally

SLICE = 200  # frames of one transaction
EXAMINED_MAX = 2000  # frames of one transaction that are looked at

# Frames with these verdicts were read like all others; with any other one a frame's rows are nowhere else.
_READABLE = "('clock_step', 'impossible_value')"

# Whatever the history says: acknowledged, dated, older than its log's newest, and needed by nobody else.
_ELIGIBLE = f"""
SELECT seq, id, kind,
       kind <> 1 AND id <= :mark
       AND id < (SELECT max(id) FROM frame)
       AND seq <= (SELECT head FROM log WHERE board_id = :board AND log = :log)
       AND seq < (SELECT top FROM log WHERE board_id = :board AND log = :log)
       AND (kind <> 3 OR id <> (SELECT id FROM frame WHERE board_id = :board AND kind = 3
                                 ORDER BY log DESC, seq DESC LIMIT 1))
       AND (unix IS NOT NULL OR EXISTS (SELECT 1 FROM dating
             WHERE board_id = :board AND log = :log AND boot = frame.boot))
       AND NOT EXISTS (SELECT 1 FROM dating WHERE board_id = :board AND log = :log AND boot = frame.boot
                        AND dating.seq = frame.seq)
       AND NOT EXISTS (SELECT 1 FROM hole WHERE board_id = :board AND log = :log AND declared_by = frame.seq)
       AND NOT EXISTS (SELECT 1 FROM conflict WHERE board_id = :board AND log = :log AND seq = frame.seq)
       AND NOT EXISTS (SELECT 1 FROM verdict WHERE board_id = :board AND log = :log AND seq = frame.seq
                        AND reason NOT IN {_READABLE})
  FROM frame WHERE board_id = :board AND log = :log AND seq > :after AND seq <= :last ORDER BY seq LIMIT :limit
"""  # noqa: S608 — a constant


class Removable(NamedTuple):
    """Frames that the history has in chunks: those of a log up to `last` that came no later than the frame `mark`."""

    id: int
    board_id: int
    log: int
    last: int
    mark: int


class Removal:
    """Removes frames and remembers which were held."""

    def __init__(self, connection: apsw.Connection, tally: Tally) -> None:
        """`tally` counts what was removed."""
        self._connection = connection
        self._tally = tally

    def slice(self, wanted: Removable, after: int) -> tuple[int, int | None]:
        """Remove some frames behind seq `after`; returns how many, and where to go on, None at the end."""
        values = {"board": wanted.board_id, "log": wanted.log, "last": wanted.last, "mark": wanted.mark, "after": after}
        rows: Sequence[Any] = ask(self._connection, _ELIGIBLE, values | {"limit": EXAMINED_MAX})
        removed = [(seq, frame_id, kind) for seq, frame_id, kind, is_eligible in rows if is_eligible][:SLICE]
        if not removed:
            return 0, None if len(rows) < EXAMINED_MAX else rows[-1][0]
        self._connection.executemany("DELETE FROM frame WHERE id = ?", [(frame_id,) for _, frame_id, _ in removed])
        for first, last in _runs([seq for seq, _, _ in removed]):
            self._remember(wanted, first, last)
        self._tally.add("removed", "rows", sum(kind == 2 for *_, kind in removed))
        self._tally.add("removed", "health", sum(kind == 3 for *_, kind in removed))
        return len(removed), removed[-1][0]

    def _remember(self, wanted: Removable, first: int, last: int) -> None:
        query = "UPDATE gone SET last = ? WHERE board_id = ? AND log = ? AND last = ? RETURNING 1"
        if not ask(self._connection, query, (last, wanted.board_id, wanted.log, first - 1)):
            query = "INSERT INTO gone (board_id, log, first, last) VALUES (?, ?, ?, ?)"
            self._connection.execute(query, (wanted.board_id, wanted.log, first, last))


def forget_removable(history: Path, wanted: Removable) -> None:
    """Take from the history's list what was removed. Raises StoreError."""
    connection = connect_history(history)
    try:
        connection.execute("DELETE FROM removable WHERE id = ?", (wanted.id,))
    except apsw.Error as error:  # it is looked through once more
        raise StoreError(f"{history} cannot be written: {error}") from None
    finally:
        connection.close()


def is_gone(connection: apsw.Connection, board_id: int, log: int, seq: int) -> bool:
    """Tell whether a frame was held once and removed."""
    query = "SELECT last FROM gone WHERE board_id = ? AND log = ? AND first <= ? ORDER BY first DESC LIMIT 1"
    return any(seq <= last for (last,) in ask(connection, query, (board_id, log, seq)))


def _runs(seqs: Sequence[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for seq in seqs:
        if found and found[-1][1] == seq - 1:
            found[-1] = (found[-1][0], seq)
        else:
            found.append((seq, seq))
    return found
