"""The database's tables, and how a connection to it is opened."""

import secrets
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import apsw

from wattness.errors import DamagedError, StoreError

from . import paytables, totals, windows
from .integrity import damage

VERSION = 6
BUSY_MS = 5000

TABLES = """
CREATE TABLE board (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  public_key BLOB NOT NULL UNIQUE,
  kid BLOB NOT NULL UNIQUE,
  board_key BLOB NOT NULL UNIQUE,
  link_key BLOB NOT NULL,
  password TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'quarantined', 'removed')),
  reason TEXT NOT NULL DEFAULT '',
  enrolled_ms INTEGER NOT NULL,
  command INTEGER NOT NULL DEFAULT 0,  -- the counter of the last command
  provenance TEXT NOT NULL DEFAULT 'board' CHECK (provenance IN ('board', 'gateway'))  -- who saw what it signs
) STRICT;
CREATE UNIQUE INDEX board_name ON board (name) WHERE state <> 'removed';

-- Every frame with a good signature and form, as it came.
CREATE TABLE frame (
  id INTEGER PRIMARY KEY,
  board_id INTEGER NOT NULL,
  log INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  boot INTEGER NOT NULL,
  up INTEGER NOT NULL,
  unix INTEGER,
  received_ms INTEGER NOT NULL,
  hash BLOB NOT NULL,  -- what the next record's prev must say
  raw BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX frame_position ON frame (board_id, log, seq);
CREATE INDEX frame_health ON frame (board_id, log, seq) WHERE kind = 3;

-- The other side of an equivocation: a second payload for a position that is taken.
CREATE TABLE conflict (
  board_id INTEGER NOT NULL,
  log INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  hash BLOB NOT NULL,
  received_ms INTEGER NOT NULL,
  raw BLOB NOT NULL,
  PRIMARY KEY (board_id, log, seq, hash)
) STRICT;

-- Frames: `head` is acknowledged, `top` is the highest held, `folded` is the last that intervals have seen.
CREATE TABLE log (
  board_id INTEGER NOT NULL,
  log INTEGER NOT NULL,
  head INTEGER NOT NULL,
  top INTEGER NOT NULL,
  frames INTEGER NOT NULL,  -- how many are held
  folded INTEGER NOT NULL,
  boot INTEGER NOT NULL,  -- of the top frame
  up INTEGER NOT NULL,
  hash BLOB NOT NULL,
  waiting INTEGER,  -- the first folded frame that no clock has dated yet
  since_ms INTEGER,  -- when the rows behind an undeclared hole begin, while there is one
  moved_ms INTEGER NOT NULL,  -- when `folded` last rose
  received_ms INTEGER NOT NULL,  -- when the newest frame came
  PRIMARY KEY (board_id, log)
) STRICT, WITHOUT ROWID;
CREATE INDEX log_since ON log (since_ms) WHERE since_ms IS NOT NULL;

-- What boards declared as lost for good, and by which frame.
CREATE TABLE hole (
  board_id INTEGER NOT NULL,
  log INTEGER NOT NULL,
  first INTEGER NOT NULL,
  last INTEGER NOT NULL,
  declared_by INTEGER NOT NULL,
  PRIMARY KEY (board_id, log, declared_by)
) STRICT, WITHOUT ROWID;

-- What intervals have passed over: declared holes, and those that were given up (declared_by is null).
CREATE TABLE skip (
  board_id INTEGER NOT NULL,
  log INTEGER NOT NULL,
  first INTEGER NOT NULL,
  last INTEGER NOT NULL,
  declared_by INTEGER,
  PRIMARY KEY (board_id, log, first)
) STRICT, WITHOUT ROWID;

-- Streams records, and whether they name this gateway.
CREATE TABLE descriptor (
  board_id INTEGER NOT NULL,
  log INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  hash BLOB NOT NULL,
  ours INTEGER NOT NULL,
  PRIMARY KEY (board_id, log, seq)
) STRICT, WITHOUT ROWID;

-- The first frame of each boot that knew the time: unix = up + offset_ms.
CREATE TABLE dating (
  board_id INTEGER NOT NULL,
  log INTEGER NOT NULL,
  boot INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  offset_ms INTEGER NOT NULL,
  PRIMARY KEY (board_id, log, boot)
) STRICT, WITHOUT ROWID;

-- What is wrong with a frame's content; most frames have no row here.
CREATE TABLE verdict (
  board_id INTEGER NOT NULL,
  log INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  reason TEXT NOT NULL,
  level TEXT NOT NULL CHECK (level IN ('flagged', 'quarantined')),
  PRIMARY KEY (board_id, log, seq, reason)
) STRICT, WITHOUT ROWID;

-- `open_ms`: everything before is final. `due_ms`: the end of the open interval that has rows.
CREATE TABLE stream (
  id INTEGER PRIMARY KEY,
  board_id INTEGER NOT NULL,
  device TEXT NOT NULL,
  role TEXT NOT NULL,
  profile TEXT NOT NULL,
  unit INTEGER NOT NULL,
  rated_w INTEGER,
  points TEXT NOT NULL,
  first_ms INTEGER,  -- the first and the last row
  last_ms INTEGER,
  open_ms INTEGER,
  due_ms INTEGER,
  start_log INTEGER,  -- where the evidence of the open interval begins
  start_seq INTEGER,
  UNIQUE (board_id, device)
) STRICT;
CREATE INDEX stream_due ON stream (due_ms) WHERE due_ms IS NOT NULL;

CREATE TABLE interval (
  id INTEGER PRIMARY KEY,
  stream_id INTEGER NOT NULL,
  a INTEGER NOT NULL,
  b INTEGER NOT NULL,
  role TEXT NOT NULL,
  profile TEXT NOT NULL,
  rated_w INTEGER,
  figures TEXT NOT NULL,
  evidence TEXT NOT NULL,
  root BLOB NOT NULL,
  verdict TEXT NOT NULL CHECK (verdict IN ('accepted', 'flagged', 'quarantined')),
  reasons TEXT NOT NULL,
  final_ms INTEGER NOT NULL,
  UNIQUE (stream_id, a)
) STRICT;

CREATE TABLE job (
  id INTEGER PRIMARY KEY,
  network TEXT NOT NULL,
  key TEXT NOT NULL,
  interval_id INTEGER NOT NULL,
  board_id INTEGER NOT NULL,
  state TEXT NOT NULL DEFAULT 'available'
    CHECK (state IN ('available', 'running', 'retryable', 'completed', 'discarded')),
  attempt INTEGER NOT NULL DEFAULT 0,
  due_ms INTEGER NOT NULL DEFAULT 0,  -- real time; the lease's end while running
  created_ms INTEGER NOT NULL,  -- civil time
  body BLOB,
  reason TEXT NOT NULL DEFAULT '',
  receipt TEXT,
  receipt_detail TEXT,
  UNIQUE (network, key)
) STRICT;
CREATE INDEX job_due ON job (network, due_ms) WHERE state IN ('available', 'running', 'retryable');
CREATE INDEX job_interval ON job (interval_id);

CREATE TABLE reward (
  network TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  board_key BLOB NOT NULL,
  device TEXT NOT NULL,
  amount INTEGER NOT NULL,
  detail TEXT NOT NULL,
  received_ms INTEGER,  -- civil time at which we learnt of it; null: before this was kept
  PRIMARY KEY (network, epoch, board_key, device)
) STRICT, WITHOUT ROWID;

-- Frames that were removed once their rows were kept elsewhere; one that comes again is a duplicate.
CREATE TABLE gone (
  board_id INTEGER NOT NULL,
  log INTEGER NOT NULL,
  first INTEGER NOT NULL,
  last INTEGER NOT NULL,
  PRIMARY KEY (board_id, log, first)
) STRICT, WITHOUT ROWID;

CREATE TABLE counter (
  name TEXT NOT NULL,
  reason TEXT NOT NULL,
  n INTEGER NOT NULL,
  PRIMARY KEY (name, reason)
) STRICT, WITHOUT ROWID;
"""

MIGRATIONS = {  # from that version to the next
    1: (
        "ALTER TABLE board ADD COLUMN provenance TEXT NOT NULL DEFAULT 'board'"
        " CHECK (provenance IN ('board', 'gateway'))"
    ),
    2: totals.MIGRATION,
    3: (
        "CREATE TABLE IF NOT EXISTS gone (board_id INTEGER NOT NULL, log INTEGER NOT NULL, first INTEGER NOT NULL,"
        " last INTEGER NOT NULL, PRIMARY KEY (board_id, log, first)) STRICT, WITHOUT ROWID"
    ),
    4: windows.TABLES,
    5: paytables.TABLES,
}


def connect(path: Path) -> apsw.Connection:
    """Open or create the database for writing: what is committed is on the disk. Raises StoreError."""
    connection = _open(path, apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
    connection.transaction_mode = "IMMEDIATE"  # one that began as a reader may not wait for its turn to write
    try:
        connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", "full")
        connection.pragma("cache_size", -16_384)
        connection.pragma("wal_autocheckpoint", 2000)
        _migrate(connection, path)
    except (apsw.CorruptError, apsw.NotADBError) as error:
        connection.close()
        raise DamagedError(damage(path, error)) from None
    except apsw.Error as error:
        connection.close()
        raise StoreError(f"{path} cannot be opened: {error}") from None
    return connection


def connect_to_read(path: Path) -> apsw.Connection:
    """Open an existing database for reading. Raises StoreError."""
    if not path.exists():
        raise StoreError(f"There is no {path}; has the gateway run yet?")
    connection = _open(path, apsw.SQLITE_OPEN_READWRITE)
    connection.pragma("query_only", True)
    return connection


def ask(connection: apsw.Connection, query: str, bindings: Any = ()) -> list[Any]:
    """Return all rows of a query."""
    return connection.execute(query, bindings).fetchall()


def write_rows(connection: apsw.Connection, query: str, rows: Sequence[Sequence[Any]]) -> None:
    """Run `query`, with `{rows}` where VALUES belong, for many rows in few statements.

    Each statement gives up the interpreter's lock, and must wait to have it back.
    """
    at = 0
    for size in (64, 16, 4, 1):
        while len(rows) - at >= size:
            row = f"({', '.join('?' * len(rows[0]))})"
            statement = query.format(rows=", ".join([row] * size))
            connection.execute(statement, list(chain.from_iterable(rows[at : at + size])))
            at += size


def _open(path: Path, flags: int) -> apsw.Connection:
    try:
        connection = apsw.Connection(str(path), flags=flags)
    except apsw.Error as error:
        raise StoreError(f"{path} cannot be opened: {error}") from None
    connection.set_busy_timeout(BUSY_MS)
    return connection


def _migrate(connection: apsw.Connection, path: Path) -> None:
    if connection.pragma("user_version") == VERSION:
        return
    with connection:
        found = connection.pragma("user_version")
        if found > VERSION:
            raise StoreError(f"{path} was written by a newer version of Wattness; install that one.")
        if found == 0:
            connection.execute(TABLES + totals.TABLES + windows.TABLES + paytables.TABLES)
        for version in range(found or VERSION, VERSION):
            connection.execute(MIGRATIONS[version])
        if not connection.pragma("application_id"):  # a random number by which the history knows this store
            connection.pragma("application_id", secrets.randbelow((1 << 31) - 1) + 1)
        connection.pragma("user_version", VERSION)
