"""CloudEvents as DIMO's servers read them: the header's rules, and the data's bytes as they stand in the body."""

import datetime as dt
import json
import re
from typing import Any, NamedTuple

HEADER_BYTES_MAX = 8 * 1024
FUTURE_S_MAX = 300
IDENTIFIER = re.compile(r"^[A-Za-z0-9\-_/,. :]+$")
IDENTIFIERS = ("type", "source", "subject", "id", "producer", "dataversion", "dataschema")
DID = re.compile(r"^did:erc721:(\d+):(0x[0-9a-fA-F]{40}):(\d+)$")
STAMP = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$")
SPACES = " \t\r\n"


class BadEventError(Exception):
    """Why an event is not taken: a snake_case reason."""


class Event(NamedTuple):
    """One event: its header, all texts, and its data both raw and read."""

    header: dict[str, str]
    raw: bytes
    data: Any
    at_s: float

    def key(self, kind: str) -> str:
        """Return what two sendings of one event have in common."""
        time = dt.datetime.fromtimestamp(int(self.at_s), dt.UTC).isoformat().replace("+00:00", "Z")
        return "!".join((self.header["subject"], time, kind, self.header["source"], self.header["id"]))


def parse(body: bytes, now_s: float) -> Event:
    """Read an event; raises BadEventError."""
    members = raw_members(body)
    raw = members.pop("data", None)
    if raw is None or "data_base64" in members:
        raise BadEventError("no_data" if raw is None else "two_datas")
    header: dict[str, Any] = {name: json.loads(value) for name, value in members.items()}
    if any(not isinstance(value, str) for value in header.values()):
        raise BadEventError("header_not_text")
    if len(json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode(errors="replace")) > HEADER_BYTES_MAX:
        raise BadEventError("header_too_long")
    if header.get("datacontenttype", "") not in {"", "application/json"}:
        raise BadEventError("content_type")
    header["subject"] = header.get("subject") or header.get("producer", "")
    for name in IDENTIFIERS:
        if name in header and not IDENTIFIER.match(header[name]):
            raise BadEventError(f"bad_{name}")
    at_s = instant(header["time"]) if "time" in header else now_s
    header.setdefault("id", f"server-made-{int(now_s * 1000)}")
    return Event(header, raw.encode(), json.loads(raw), at_s)


def instant(text: Any) -> float:
    """Return an RFC 3339 stamp in unix seconds; raises BadEventError."""
    if not isinstance(text, str) or not STAMP.match(text):
        raise BadEventError("bad_timestamp")
    try:
        return dt.datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise BadEventError("bad_timestamp") from None


def raw_members(body: bytes) -> dict[str, str]:
    """Return the members of the JSON object in `body`, each value as it is written there; raises BadEventError."""
    try:
        text = body.decode()
        json.loads(text)
    except (ValueError, RecursionError):
        raise BadEventError("bad_json") from None
    at = _skip(text, 0)
    if text[at] != "{":
        raise BadEventError("bad_json")
    decoder, found = json.JSONDecoder(), {}
    at = _skip(text, at + 1)
    while text[at] != "}":
        name, at = decoder.raw_decode(text, at)
        begin = _skip(text, _skip(text, at) + 1)  # behind the colon
        _, end = decoder.raw_decode(text, begin)
        if name in found:
            raise BadEventError("member_twice")
        found[name] = text[begin:end]
        at = _skip(text, end)
        at = _skip(text, at + 1) if text[at] == "," else at
    return found


def _skip(text: str, at: int) -> int:
    while text[at] in SPACES:
        at += 1
    return at
