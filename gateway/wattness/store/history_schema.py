"""The history's own database beside the store's: what is derived from frames and kept for ever.

It is a file of its own so that its writing never waits for, nor holds up, the writer that boards wait for.
"""

from pathlib import Path
from typing import Any

import apsw

from wattness.errors import DamagedError, StoreError

from .integrity import damage
from .schema import BUSY_MS, connect_to_read

VERSION = 1
APPLICATION = 0x57415431

TABLES = """
-- Which store was read (its random number), and how far: the last frame and the last interval that were looked at.
CREATE TABLE source (
  store INTEGER PRIMARY KEY,
  frame INTEGER NOT NULL DEFAULT 0,
  interval INTEGER NOT NULL DEFAULT 0
) STRICT;

-- `top`: the highest position seen. `is_tangled`: its frames are not in the order of their rows' times.
-- `floor_ms`: rows up to here came from a store that is gone; `compacted_ms`: rows before it are in chunks.
CREATE TABLE stream (
  id INTEGER PRIMARY KEY,
  board_key BLOB NOT NULL,
  device TEXT NOT NULL,
  role TEXT NOT NULL,
  leading TEXT NOT NULL,  -- the point that coverage is told by
  first_ms INTEGER NOT NULL,
  last_ms INTEGER NOT NULL,
  top_log INTEGER NOT NULL DEFAULT 0,
  top_seq INTEGER NOT NULL DEFAULT 0,
  is_tangled INTEGER NOT NULL DEFAULT 0,
  floor_ms INTEGER NOT NULL DEFAULT -1,
  compacted_ms INTEGER NOT NULL DEFAULT 0,
  UNIQUE (board_key, device)
) STRICT;

CREATE TABLE series (
  id INTEGER PRIMARY KEY,
  stream_id INTEGER NOT NULL,
  point TEXT NOT NULL,
  unit TEXT NOT NULL,
  UNIQUE (stream_id, point)
) STRICT;

-- Rows of one point in [at × step, (at + 1) × step) seconds, in milli-units; a null `covered` is all of it.
-- Counters have first, last and rise (mWh, wire.md §4.3); other points sum, low and high; power without a counter
-- beside it also twice the areas over and under zero as rise and fall (mW ms).
CREATE TABLE bucket (
  series INTEGER NOT NULL,
  step INTEGER NOT NULL,
  at INTEGER NOT NULL,
  n INTEGER NOT NULL,
  covered INTEGER,  -- ms
  sum INTEGER,
  low INTEGER,
  high INTEGER,
  first INTEGER,
  last INTEGER,
  rise INTEGER,
  fall INTEGER,
  PRIMARY KEY (series, step, at)
) STRICT, WITHOUT ROWID;

-- Final intervals by verdict.
CREATE TABLE judged (
  stream INTEGER NOT NULL,
  step INTEGER NOT NULL,
  at INTEGER NOT NULL,
  accepted INTEGER NOT NULL,
  flagged INTEGER NOT NULL,
  quarantined INTEGER NOT NULL,
  PRIMARY KEY (stream, step, at)
) STRICT, WITHOUT ROWID;

-- Which frames have rows of a stream in a quarter of an hour.
CREATE TABLE span (
  stream INTEGER NOT NULL,
  slot INTEGER NOT NULL,
  log INTEGER NOT NULL,
  first INTEGER NOT NULL,
  last INTEGER NOT NULL,
  PRIMARY KEY (stream, slot, log)
) STRICT, WITHOUT ROWID;

-- Quarters of an hour that have to be summed up (again).
CREATE TABLE dirty (
  stream INTEGER NOT NULL,
  slot INTEGER NOT NULL,
  PRIMARY KEY (stream, slot)
) STRICT, WITHOUT ROWID;

-- Frames that nobody can read yet: no clock has dated them, or their streams record is not there.
CREATE TABLE waiting (
  board_id INTEGER NOT NULL,
  log INTEGER NOT NULL,
  boot INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  PRIMARY KEY (board_id, log, boot, seq)
) STRICT, WITHOUT ROWID;

-- Rows whose frames may be gone: a stream's day under one descriptor, as scaled integers.
CREATE TABLE chunk (
  stream INTEGER NOT NULL,
  day INTEGER NOT NULL,
  part INTEGER NOT NULL,
  first_ms INTEGER NOT NULL,
  last_ms INTEGER NOT NULL,
  rows INTEGER NOT NULL,
  described BLOB NOT NULL,  -- the stream as its streams record has it, in CBOR
  data BLOB NOT NULL,
  PRIMARY KEY (stream, day, part)
) STRICT, WITHOUT ROWID;

-- Frames whose rows are in chunks: the store may remove them.
CREATE TABLE removable (
  id INTEGER PRIMARY KEY,
  store INTEGER NOT NULL,
  board_id INTEGER NOT NULL,
  log INTEGER NOT NULL,
  first INTEGER NOT NULL,
  last INTEGER NOT NULL,
  frame INTEGER NOT NULL  -- those that came later stay
) STRICT;

-- What profiles had wrong, in the order in which it was put right.
CREATE TABLE correction (
  id INTEGER PRIMARY KEY,
  profile BLOB NOT NULL,
  body TEXT NOT NULL,
  applied_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE counter (
  name TEXT NOT NULL,
  reason TEXT NOT NULL,
  n INTEGER NOT NULL,
  PRIMARY KEY (name, reason)
) STRICT, WITHOUT ROWID;
"""


def history_path(store: Path) -> Path:
    """Return where the history of a store lies."""
    return store.with_suffix(".history.db")


def connect_history(path: Path) -> apsw.Connection:
    """Open or create the history for writing. Raises StoreError.

    A power cut may take back the last moments, never mix them up: they are derived again from the frames.
    """
    try:
        connection = apsw.Connection(str(path))
        connection.set_busy_timeout(BUSY_MS)
        connection.transaction_mode = "IMMEDIATE"
        connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", "normal")
        connection.pragma("cache_size", -8192)
        with connection:
            prepare(connection, path)
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise DamagedError(damage(path, error)) from None
    except apsw.Error as error:
        raise StoreError(f"{path} cannot be opened: {error}") from None
    return connection


def history_to_read(store: Path) -> apsw.Connection | None:
    """Open the history of a store for reading, None when there is none yet. Raises StoreError and apsw.Error."""
    path = history_path(store)
    if not path.exists():
        return None
    connection = connect_to_read(path)
    if connection.pragma("user_version"):
        return connection
    connection.close()
    return None


def prepare(connection: apsw.Connection, path: Path | str = "The history") -> None:
    """Make the tables where there are none."""
    found: Any = connection.pragma("user_version")
    if found > VERSION:
        raise StoreError(f"{path} was written by a newer version of Wattness; install that one.")
    if found == 0:
        connection.execute(TABLES)
        connection.pragma("application_id", APPLICATION)
        connection.pragma("user_version", VERSION)
