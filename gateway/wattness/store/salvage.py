"""What can be read of a damaged database, into a new one that a gateway can go on with.

When all books (everything but the frames) can be read, all of it is kept, and boards are asked again for frames that
are lost and not summed up. Otherwise the store begins anew with the enrolments, the rewards, and how far each stream
was claimed, so that nothing is claimed twice; boards then send again all they still have.
"""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import msgspec

from wattness.errors import StoreError

from .history_schema import connect_history, history_path
from .integrity import problem_of
from .judging import TABLES as JUDGING
from .schema import ask, connect, connect_to_read
from .spoilt import problem_of_frames, spoilt

TROUBLE = (apsw.CorruptError, apsw.NotADBError, apsw.IOError, apsw.SQLError)
FRAMES = ("frame", "conflict")
KEPT_ANYWAY = ("board", "reward", "payout", "price", "counter", "stream", "memory")
COUNTED = ("total",)  # triggers make it from the others
INT_MIN, INT_MAX = -(1 << 63), (1 << 63) - 1


class Repaired(msgspec.Struct, frozen=True):
    """What became of a database."""

    path: str
    problem: str  # empty: it was whole, and nothing was done
    aside: str = ""  # where the damaged file is
    is_anew: bool = False  # the books could not be read
    rows: dict[str, int] = {}  # saved of each table
    lost: list[str] = []  # tables of which something, or all, could not be read


def check(path: Path) -> dict[str, str]:
    """Return what is wrong with a store and its history, by file; empty for one that is whole. Raises StoreError."""
    found = {}
    for file in (path, history_path(path)):
        if file.exists():
            try:
                connection = connect_to_read(file)
            except apsw.Error as error:
                found[str(file)] = str(error)
                continue
            problem = problem_of(connection, thorough=True)
            found[str(file)] = problem or (problem_of_frames(connection) if file == path else "")
            connection.close()
    if not found:
        raise StoreError(f"There is no {path}; has the gateway run yet?")
    return found


def repair(path: Path, now_ms: int) -> list[Repaired]:
    """Save what can be read of a damaged store, and of its history; the damaged files stay beside the new ones."""
    done = []
    for file, problem in check(path).items():
        if not problem:
            done.append(Repaired(file, ""))
        else:
            saving = _Saving(Path(file), is_store=Path(file) == path)
            done.append(saving.run(problem, now_ms))
    return done


class _Saving:
    """One database's way into a new file."""

    def __init__(self, path: Path, *, is_store: bool) -> None:
        self._path, self._is_store = path, is_store
        self._new = path.with_name(path.name + ".new")
        self._rows: dict[str, int] = {}
        self._lost: list[str] = []

    def run(self, problem: str, now_ms: int) -> Repaired:
        for name in ("", "-wal", "-shm"):
            Path(f"{self._new}{name}").unlink(missing_ok=True)
        connection = connect(self._new) if self._is_store else connect_history(self._new)
        is_anew = False
        try:
            if self._is_store:
                connection.execute(JUDGING)
            with connection:
                old = self._open()
                if old is not None:
                    self._copy(old, connection)
                    if self._is_store:
                        self._drop_spoilt(connection)
                is_anew = self._is_store and bool(set(self._lost) - set(FRAMES))
                if is_anew:
                    self._begin_anew(connection)
                elif self._is_store:
                    _mend_logs(connection, keep_name=not self._lost, name=old and old.pragma("application_id"))
        finally:
            connection.close()
        aside = self._swap(now_ms)
        return Repaired(str(self._path), problem, aside, is_anew, self._rows, self._lost)

    def _open(self) -> apsw.Connection | None:
        try:
            connection = connect_to_read(self._path)
            ask(connection, "SELECT count(*) FROM sqlite_schema")
        except (*TROUBLE, StoreError):
            self._lost.append("everything")
            return None
        return connection

    def _copy(self, old: apsw.Connection, new: apsw.Connection) -> None:
        names = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        held = {name for (name,) in ask(old, names)}
        for (table,) in ask(new, names):
            if table in COUNTED:
                continue
            copied = 0
            if table in held:
                copied, is_whole = _copy_table(old, new, table)
            else:
                is_whole = old.pragma("user_version") != new.pragma("user_version")
            self._rows[table] = copied
            if not is_whole:
                self._lost.append(table)

    def _drop_spoilt(self, connection: apsw.Connection) -> None:
        """Leave out frames that nobody signed like this; boards are asked for them again."""
        wrong = spoilt(connection)
        connection.executemany("DELETE FROM frame WHERE id = ?", [(frame,) for frame in wrong])
        self._rows["frame"] -= len(wrong)
        if wrong and "frame" not in self._lost:
            self._lost.append("frame")

    def _begin_anew(self, connection: apsw.Connection) -> None:
        for table in self._rows:
            if table not in KEPT_ANYWAY:
                connection.execute(f"DELETE FROM {table}")  # noqa: S608 — of our own schema
                self._rows[table] = 0
        connection.execute("DELETE FROM total WHERE name <> 'paid'")
        connection.execute("UPDATE stream SET due_ms = NULL, start_log = NULL, start_seq = NULL")

    def _swap(self, now_ms: int) -> str:
        """Put the new file in the old one's place; the old one stays beside it."""
        aside = f"{self._path}.damaged-{now_ms}"
        os.link(self._path, aside)
        for name in ("-wal", "-shm"):
            rest = Path(f"{self._path}{name}")
            if rest.exists():
                rest.rename(f"{aside}{name}")
        self._new.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return aside


def _copy_table(old: apsw.Connection, new: apsw.Connection, table: str) -> tuple[int, bool]:
    """Copy the rows that can be read; returns how many, and whether that is all."""
    try:
        there = [row[1] for row in ask(old, f"PRAGMA table_info({table})")]
    except TROUBLE:
        return 0, False
    here = [row[1] for row in ask(new, f"PRAGMA table_info({table})")]
    columns = ", ".join(name for name in here if name in there)
    keys = [name for _, name in sorted((row[5], row[1]) for row in ask(new, f"PRAGMA table_info({table})") if row[5])]
    has_rowid = not _is_without_rowid(new, table)
    reader = _by_rowid(old, table, columns) if has_rowid else _from_both_ends(old, table, columns, ", ".join(keys))
    query = f"INSERT OR IGNORE INTO {table} ({columns}) VALUES ({', '.join('?' * len(columns.split(', ')))})"  # noqa: S608
    copied = 0
    is_whole = True
    for row in reader:
        if row is None:
            is_whole = False
            continue
        try:
            new.execute(query, row)
            copied += new.changes()
        except apsw.ConstraintError:  # bytes that were never written so
            is_whole = False
    return copied, is_whole


def _by_rowid(old: apsw.Connection, table: str, columns: str) -> Iterator[Any]:
    """Yield rows in ascending order, and None for each stretch that cannot be read."""
    after = INT_MIN
    while True:
        try:
            query = f"SELECT rowid, {columns} FROM {table} WHERE rowid > ? ORDER BY rowid"  # noqa: S608
            for rowid, *row in old.execute(query, (after,)):
                after = rowid
                yield row
        except TROUBLE:
            yield None
        else:
            return
        behind = _readable_behind(old, table, max(after, 0))
        if behind is None:
            return
        after = behind - 1


def _readable_behind(old: apsw.Connection, table: str, after: int) -> int | None:
    """Return the first rowid behind `after` from which on rows can be read again."""

    def first(bound: int) -> int | None:
        try:
            rows = ask(old, f"SELECT {table}.*, rowid FROM {table} WHERE rowid > ? ORDER BY rowid LIMIT 1", (bound,))  # noqa: S608
        except TROUBLE:
            return None
        return rows[0][-1] if rows else INT_MAX

    step = 1
    while (found := first(after + step)) is None:
        step *= 2
        if after + step > INT_MAX // 2:
            return None
    low = after + step // 2
    high = after + step
    while high - low > 1:
        middle = (low + high) // 2
        nearer = first(middle)
        if nearer is None:
            low = middle
        else:
            high, found = middle, nearer
    return None if found == INT_MAX else found


def _from_both_ends(old: apsw.Connection, table: str, columns: str, keys: str) -> Iterator[Any]:
    """Yield rows up to a place that cannot be read, and those behind it from the end; None where some are missing."""
    try:
        yield from old.execute(f"SELECT {columns} FROM {table} ORDER BY {keys}")  # noqa: S608
    except TROUBLE:
        yield None
    else:
        return
    backwards = ", ".join(f"{key} DESC" for key in keys.split(", "))
    try:
        yield from old.execute(f"SELECT {columns} FROM {table} ORDER BY {backwards}")  # noqa: S608
    except TROUBLE:
        return


def _is_without_rowid(connection: apsw.Connection, table: str) -> bool:
    return bool(ask(connection, "SELECT 1 FROM pragma_table_list WHERE name = ? AND wr = 1", (table,)))


def _mend_logs(connection: apsw.Connection, *, keep_name: bool, name: Any) -> None:
    """Let logs say what is held: frames that are lost and not summed up are asked for again."""
    if keep_name:
        connection.pragma("application_id", name)
    else:
        connection.pragma("application_id", secrets.randbelow((1 << 31) - 1) + 1)
    for board_id, log, head, folded in ask(connection, "SELECT board_id, log, head, folded FROM log"):
        missing = _first_missing(connection, board_id, log, folded, head)
        if missing is not None:
            _set_head(connection, board_id, log, missing - 1)
        count = ask(connection, "SELECT count(*) FROM frame WHERE board_id = ? AND log = ?", (board_id, log))[0][0]
        connection.execute("UPDATE log SET frames = ? WHERE board_id = ? AND log = ?", (count, board_id, log))
    query = "SELECT id, board_id, start_log, start_seq FROM stream WHERE start_log IS NOT NULL"
    for stream, board_id, log, seq in ask(connection, query):
        folded = ask(connection, "SELECT folded FROM log WHERE board_id = ? AND log = ?", (board_id, log))
        if not folded or _first_missing(connection, board_id, log, seq - 1, folded[0][0]) is not None:
            query = "UPDATE stream SET start_log = NULL, start_seq = NULL, due_ms = NULL WHERE id = ?"
            connection.execute(query, (stream,))


def _set_head(connection: apsw.Connection, board_id: int, log: int, head: int) -> None:
    """Let a log be acknowledged up to `head` only, and end there if nothing behind it is held."""
    connection.execute("UPDATE log SET head = ? WHERE board_id = ? AND log = ?", (head, board_id, log))
    query = "SELECT 1 FROM frame WHERE board_id = ? AND log = ? AND seq > ? LIMIT 1"
    if not ask(connection, query, (board_id, log, head)):
        query = "SELECT boot, up, hash FROM frame WHERE board_id = ? AND log = ? AND seq = ?"
        boot, up, last = (ask(connection, query, (board_id, log, head)) or [(0, 0, b"")])[0]
        query = "UPDATE log SET top = ?, boot = ?, up = ?, hash = ? WHERE board_id = ? AND log = ?"
        connection.execute(query, (head, boot, up, last, board_id, log))


def _first_missing(connection: apsw.Connection, board_id: int, log: int, after: int, last: int) -> int | None:
    """Return the first frame in (after, last] that is neither held nor known to be lost."""
    expected = after + 1
    query = (
        "SELECT seq, seq FROM frame WHERE board_id = ?1 AND log = ?2 AND seq BETWEEN ?3 AND ?4"
        " UNION ALL SELECT first, last FROM hole WHERE board_id = ?1 AND log = ?2 AND last >= ?3"
        " UNION ALL SELECT first, last FROM gone WHERE board_id = ?1 AND log = ?2 AND last >= ?3 ORDER BY 1"
    )
    for first, end in ask(connection, query, (board_id, log, after + 1, last)):
        if first > expected:
            return expected
        expected = max(expected, end + 1)
    return expected if expected <= last else None
