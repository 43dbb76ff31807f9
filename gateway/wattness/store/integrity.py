"""Is a database whole? What SQLite itself says of it."""

from pathlib import Path

import apsw


def problem_of(connection: apsw.Connection, *, thorough: bool = False) -> str:
    """Return what is wrong with a database, in SQLite's words; empty when it is whole.

    `thorough` also compares every index with its table.
    """
    try:
        query = f"PRAGMA {'integrity_check' if thorough else 'quick_check'}(3)"
        words = [str(row[0]) for row in connection.execute(query)]
    except (apsw.CorruptError, apsw.NotADBError, apsw.IOError) as error:
        return str(error)
    return "" if words == ["ok"] else "; ".join(words)


def damage(path: Path | str, what: object) -> str:
    """Return the sentence about a database that is corrupt."""
    return (
        f"{path} is damaged ({what}): stop the gateway and run `wattness db repair`, which saves what can be read; "
        "boards send again what was not acknowledged."
    )
