"""Verifies what gateways of others recorded for a network, one message per line."""

import json
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from wattness.errors import ConfigError, RejectedError
from wattness.jsontext import once

from .m3tering_payload import decode, is_signed, verify_genesis
from .sourceful_archive import verify_delivery
from .sourceful_token import POINT_SIZE, TOKEN_BYTES_MAX

LINE_BYTES_MAX = TOKEN_BYTES_MAX


def verify_lines(kind: str, key: str, lines: BinaryIO) -> Iterator[dict[str, Any]]:
    """Yield what each line says, with `ok`, or the reason why it is not to be believed; raises ConfigError."""
    if kind not in VERIFIERS:
        raise ConfigError(f"{kind!r} has no recorded form that is verified here: expected {' or '.join(VERIFIERS)}.")
    try:
        public_key = bytes.fromhex(key)
    except ValueError:
        raise ConfigError("--key is not hex: expected the public key's bytes.") from None
    verifier = VERIFIERS[kind]
    number = 0
    while line := lines.readline(LINE_BYTES_MAX + 2):
        number += 1
        if not line.strip():
            continue
        try:
            yield {"line": number, "ok": True, **verifier(line.strip(), public_key)}
        except RejectedError as error:
            yield {"line": number, "ok": False, "reason": error.reason, "detail": str(error)}


def _sourceful(line: bytes, public_key: bytes) -> dict[str, Any]:
    point = public_key[1:] if len(public_key) == POINT_SIZE + 1 else public_key
    if not point:
        raise ConfigError("--key is missing: a token does not tell the key that signed it; expected X and Y in hex.")
    return verify_delivery(line, point)._asdict()


def _m3tering(line: bytes, public_key: bytes) -> dict[str, Any]:
    if line.startswith(b"["):
        return _genesis(line, public_key)
    try:
        raw = bytes.fromhex(line.decode())
    except ValueError:
        raise RejectedError("bad_form", "expected a message in hex, or a genesis triple in JSON") from None
    message = decode(raw)
    key = public_key or message.extension.device
    if not key:
        raise ConfigError("--key is missing: this message does not tell the key that signed it.")
    if message.extension.device not in {b"", key}:
        raise RejectedError("other_device", "it names another key than --key")
    if not is_signed(raw, key):
        raise RejectedError("bad_signature")
    found: dict[str, Any] = {"nonce": message.nonce, "energy_mwh": message.energy_mwh, "key": key.hex()}
    if message.extension.decivolts is not None:
        found["volts"] = message.extension.decivolts / 10
    if message.extension.place is not None:
        found |= zip(("longitude", "latitude"), (angle / 1e5 for angle in message.extension.place), strict=True)
    return found


def _genesis(line: bytes, public_key: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise RejectedError("bad_form", f"no JSON: {error}") from None
    found = verify_genesis(value)
    if public_key not in {b"", found.public_key}:
        raise RejectedError("other_device", "it names another key than --key")
    figures = {name: str(getattr(found, name)) for name in ("volts", "amperes", "kwh")}
    return {"nonce": found.nonce, **figures, "key": found.public_key.hex()}


VERIFIERS: dict[str, Callable[[bytes, bytes], dict[str, Any]]] = {"sourceful": _sourceful, "m3tering": _m3tering}
