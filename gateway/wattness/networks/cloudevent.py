"""CloudEvents as DIMO takes them: a header of texts, and data whose bytes stay as they were written."""

import datetime as dt
import re
from typing import Annotated

import msgspec

from wattness.errors import RefusedError

from .ethereum import checksummed

HEADER_BYTES_MAX = 8192
FUTURE_MS_MAX = 300_000  # what is dated further ahead is not taken
IDENTIFIER = re.compile(r"\A[A-Za-z0-9\-_/,. :]+\Z")
FIXED = b'{"specversion":"1.0","datacontenttype":"application/json",'
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

Address = Annotated[str, msgspec.Meta(pattern=r"\A(0x[0-9a-fA-F]{40})?\Z")]
Token = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class Header(msgspec.Struct, frozen=True, omit_defaults=True):
    """All of an event but its data, and what is the same in all of ours."""

    id: str
    source: str
    producer: str
    subject: str
    time: str
    type: str
    dataversion: str
    leftout: str = ""  # ours: how many values were not fit to be told, by reason


def event(header: Header, data: bytes) -> bytes:
    """Return an event with exactly these bytes of JSON as its data; raises RefusedError."""
    text = FIXED + msgspec.json.encode(header)[1:]
    if len(text) > HEADER_BYTES_MAX:
        raise RefusedError("header_too_long", f"{len(text)} bytes, at most {HEADER_BYTES_MAX}")
    for name in ("id", "source", "producer", "subject", "type", "dataversion"):
        if not IDENTIFIER.match(getattr(header, name)):
            raise RefusedError("bad_identifier", name)
    return text[:-1] + b',"data":' + data + b"}"


def stamp(unix_ms: int) -> str:
    """Return an instant as RFC 3339 in UTC."""
    return (_EPOCH + dt.timedelta(milliseconds=unix_ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def token_did(chain_id: int, contract: str, token: int) -> str:
    """Return the identifier of a token of a contract."""
    return f"did:erc721:{chain_id}:{checksummed(bytes.fromhex(contract[2:]))}:{token}"
