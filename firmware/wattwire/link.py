"""The MQTT link of wire.md §2: topics, authenticated downlinks, acknowledgements and commands."""

from wattwire import cbor, cose, shape
from wattwire.errors import WireError
from wattwire.hmac import equal, hmac_sha256

LEAVES = ("frame", "state", "want", "ack", "cmd")
KEY_SIZE = 32
TAG_SIZE = 16
BODY_SIZE_MAX = 8192


def topic(kid: bytes, leaf: str) -> str:
    """Return the topic of a board's `frame`, `state`, `want`, `ack` or `cmd`."""
    if len(kid) != cose.KID_SIZE or leaf not in LEAVES:
        raise WireError("bad_form", "topic")
    return "wattness/1/" + kid.hex() + "/" + leaf


def seal(link_key: bytes, topic: str, body: bytes) -> bytes:
    """Return body ‖ tag, which only this link key makes for this topic."""
    return body + _tag(link_key, topic, body)


def open(link_key: bytes, topic: str, payload: bytes) -> bytes:
    """Return the body of what `seal` made; raises WireError."""
    if len(payload) > BODY_SIZE_MAX + TAG_SIZE:
        raise WireError("too_long")
    if len(payload) < TAG_SIZE:
        raise WireError("truncated")
    body = payload[:-TAG_SIZE]
    if not equal(_tag(link_key, topic, body), payload[-TAG_SIZE:]):
        raise WireError("bad_tag")
    return body


def encode_ack(log: int, seq: int, unix_ms: int) -> bytes:
    """Return the body that says: every frame of `log` up to `seq` is on the gateway's disk."""
    return cbor.encode(_uints(log, seq, unix_ms))


def decode_ack(body: bytes):
    """Return (log, seq, unix_ms); raises WireError."""
    return _uints(*_three(body))


def encode_command(counter: int, name: str, args) -> bytes:
    """Return the body of a command; `counter` rises strictly, `args` is any value of the wire."""
    return cbor.encode(_command(counter, name, args))


def decode_command(body: bytes):
    """Return (counter, name, args); raises WireError. Whether the counter rose is for the caller to check."""
    return _command(*_three(body))


def _three(body):
    return shape.items(cbor.decode(body), 3, "body")


def _uints(log, seq, unix_ms):
    return shape.uint(log, "log"), shape.uint(seq, "seq"), shape.uint(unix_ms, "unix_ms")


def _command(counter, name, args):
    return shape.uint(counter, "counter"), shape.name(name, "command"), args


def _tag(link_key, topic, body):
    if len(link_key) != KEY_SIZE:
        raise WireError("bad_key", "link key")
    return hmac_sha256(link_key, topic.encode() + b"\x00" + body)[:TAG_SIZE]
