"""What waits for a network whose settings were changed: what is signed goes as it is, the rest only if still wanted."""

import json
from collections.abc import Sequence

import apsw

from .schema import ask
from .settings import Wants

_UNSIGNED = "network = :network AND state IN ('available', 'running', 'retryable') AND body IS NULL"
_WANTED = "SELECT 1 FROM interval WHERE interval.id = {} AND stream_id IN (SELECT value FROM json_each(:streams))"
_LEAVE_OUT = f"""
DELETE FROM part WHERE job_id IN (SELECT id FROM job WHERE {_UNSIGNED}) AND NOT EXISTS ({_WANTED.format("interval_id")})
"""  # noqa: S608 - constants
_SIMPLE = f"end_ms IS NOT NULL OR NOT EXISTS ({_WANTED.format('job.interval_id')})"
_SLOT = """
end_ms IS NULL OR (stream IS NULL) <> :is_board OR (turn IS NULL) > (:serial = 'none')
OR NOT EXISTS (SELECT 1 FROM part WHERE job_id = job.id)
"""
_WINDOW = f"{_SLOT} OR end_ms - begin_ms <> :window_ms"
_INTERVAL = f"{_SLOT} OR (begin_ms, end_ms) <> (SELECT a, b FROM interval WHERE interval.id = interval_id)"  # noqa: S608
_GIVE_UP = f"UPDATE job SET state = 'discarded', reason = 'settings_changed' WHERE {_UNSIGNED} AND ({{}})"  # noqa: S608
# What is signed for a network that had no order goes within the order that there is now.
_IN_TURN = """
UPDATE job SET turn = '' WHERE network = :network AND state IN ('available', 'running', 'retryable') AND turn IS NULL
"""
_FORGET = """
UPDATE job SET state = 'discarded', reason = 'network_removed'
 WHERE state IN ('available', 'running', 'retryable') AND network NOT IN (SELECT value FROM json_each(?))
   AND (SELECT b FROM interval WHERE interval.id = interval_id) < ?
"""


def refit(connection: apsw.Connection, wants: Wants) -> None:
    """Give up reports that are not signed and that a network would not be given as it is set now."""
    streams = ask(connection, "SELECT stream.id, device, board_key FROM stream JOIN board ON board.id = board_id")
    values = {
        "network": wants.network,
        "streams": json.dumps([number for number, device, key in streams if wants.names(device, key)]),
        "window_ms": wants.window_ms,
        "is_board": wants.scope == "board",
        "serial": wants.serial,
    }
    connection.execute(_LEAVE_OUT, values)
    connection.execute(
        _GIVE_UP.format(_SIMPLE if wants.is_simple() else _WINDOW if wants.window_ms else _INTERVAL), values
    )
    if wants.serial != "none":
        connection.execute(_IN_TURN, values)


def forget_removed(connection: apsw.Connection, networks: Sequence[str], before_ms: int) -> int:
    """Give up reports of before a time that wait for none of these networks; returns how many."""
    connection.execute(_FORGET, (json.dumps(networks), before_ms))
    return connection.changes()
