"""Looks into recorded frames with the very code by which the gateway accepts them."""

from collections.abc import Iterator
from typing import Any, BinaryIO

from wattwire import cose, frame
from wattwire.errors import WireError

from .errors import ConfigError, RejectedError
from .model import Arrival, Board
from .verify import Verifier

LINE_BYTES_MAX = 2 * 8192 + 64  # a frame in hex, and some white space
KINDS = {frame.KIND_STREAMS: "streams", frame.KIND_ROWS: "rows", frame.KIND_HEALTH: "health"}
FACTS = ("kid", "log", "seq", "kind", "unix")  # of every line; null where a refused frame does not prove them


def parse_public_key(text: str) -> bytes:
    """Return a board's public key, given as the hex of its 65-byte point; raises ConfigError."""
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        key = b""
    if len(key) != 65 or key[0] != 4:
        raise ConfigError("A board's public key is 65 bytes: 130 hexadecimal digits that begin with 04.")
    return key


def decode_frames(public_key: bytes, file: BinaryIO) -> Iterator[dict[str, Any]]:
    """Yield what each line of `file` holds, a frame in hex; blank lines are skipped. A bad key is a ConfigError."""
    kid = cose.kid(public_key)
    verifier = Verifier([Board(0, "", public_key, kid, cose.board_key(public_key), b"", "")])
    for number, line in enumerate(_lines(file), 1):
        if line.strip():
            yield {"line": number} | decode_frame(verifier, line)


def decode_frame(verifier: Verifier, line: bytes) -> dict[str, Any]:
    """Return what one line holds, or why it is refused."""
    try:
        raw = bytes.fromhex(line.decode("ascii"))
    except ValueError:
        too_long = len(line) >= LINE_BYTES_MAX and not line.endswith(b"\n")
        return _refused("too_long" if too_long else "bad_hex", None)
    kid = _kid(raw)
    try:
        verified = verifier.verify(Arrival(kid or b"", raw))
    except RejectedError as error:
        return _refused(error.reason, kid)
    return {"ok": True, "kid": kid.hex() if kid else None} | describe(verified.record)


def describe(record: Any) -> dict[str, Any]:
    """Return a record as plain values; numbers stay the integers that were signed."""
    facts: dict[str, Any] = {"log": record.log, "seq": record.seq, "kind": record.kind, "kind_name": KINDS[record.kind]}
    facts |= {"unix": record.unix, "boot": record.boot, "up": record.up, "prev": record.prev.hex()}
    if record.lost is not None:
        facts["lost"] = list(record.lost)
    if record.kind == frame.KIND_ROWS:
        return facts | {
            "streams_hash": record.body.streams_hash.hex(),
            "rows": [_rows(entry) for entry in record.body.entries],
        }
    if record.kind == frame.KIND_STREAMS:
        return facts | {
            "streams": [_stream(stream) for stream in record.body.streams],
            "about": record.body.about,
            "gateway": record.body.gateway.hex(),
        }
    return facts | {"health": record.body.values}


def _rows(entry: Any) -> dict[str, Any]:
    at = frame.times(entry)
    columns = [frame.undelta(column) for column in entry.columns]
    values = [list(row) for row in zip(*columns, strict=True)] if columns else [[] for _ in at]
    return {"stream": entry.stream, "at": at, "values": values}


def _stream(stream: Any) -> dict[str, Any]:
    points = [
        {"name": point.name, "unit": point.unit, "exponent": point.exponent, "modulus": point.modulus}
        for point in stream.points
    ]
    return {
        "role": stream.role,
        "profile": stream.profile,
        "profile_hash": stream.profile_hash.hex(),
        "unit": stream.unit,
        "points": points,
        "serial": stream.serial.hex() if stream.serial is not None else None,
        "rated_w": stream.rated_w,
        "inverted": bool(stream.inverted),
    }


def _refused(reason: str, kid: bytes | None) -> dict[str, Any]:
    return {"ok": False, "reason": reason} | dict.fromkeys(FACTS) | {"kid": kid.hex() if kid else None}


def _kid(raw: bytes) -> bytes | None:
    try:
        return bytes(cose.parse(raw)[0])
    except WireError:
        return None


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield lines, of which no more than LINE_BYTES_MAX is ever held."""
    while line := file.readline(LINE_BYTES_MAX):
        yield line
        while not line.endswith(b"\n") and line:
            line = file.readline(LINE_BYTES_MAX)
