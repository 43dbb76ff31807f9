"""Frames whose bytes are no longer what their boards signed: damage that SQLite itself cannot see."""

from typing import NamedTuple

import apsw

from wattness.errors import ConfigError, RejectedError
from wattness.model import Arrival
from wattness.verify import Verifier

from .schema import ask

_FRAMES = "SELECT id, hash, raw FROM frame WHERE board_id = ?"


class _Signer(NamedTuple):
    id: int
    kid: bytes
    public_key: bytes


def spoilt(connection: apsw.Connection) -> list[int]:
    """Return the ids of such frames; every one that is held is verified once more."""
    found = []
    for row in ask(connection, "SELECT id, kid, public_key FROM board"):
        signer = _Signer(*row)
        try:
            verifier = Verifier([signer])
        except ConfigError:  # its key is what was damaged: its frames may be good
            continue
        for frame, link, raw in connection.execute(_FRAMES, (signer.id,)):
            if not _is_good(verifier, signer.kid, link, raw):
                found.append(frame)
    return found


def problem_of_frames(connection: apsw.Connection) -> str:
    """Return in words that frames are spoilt; empty when all are good."""
    try:
        count = len(spoilt(connection))
    except apsw.SQLError:  # it is of another version, and says so at its start
        return ""
    return f"frames that are no longer what their boards signed: {count}" if count else ""


def _is_good(verifier: Verifier, kid: bytes, link: bytes, raw: bytes) -> bool:
    try:
        found = verifier.verify(Arrival(kid, raw))
    except RejectedError:
        return False
    return found.digest[: len(link)] == link
