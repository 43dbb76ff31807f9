"""The EventRegistry's submitEvent as the facts tell it: its call taken apart by hand, and what the contract refuses."""

import re
from typing import NamedTuple

from eth_utils.crypto import keccak

WORD = 32
SIGNATURE = b"submitEvent(uint256,uint8,uint256,string,uint256,bytes32,uint8,uint256,bytes32,bytes)"
CURRENCY = re.compile(r"[A-Z0-9]{3,10}")
SOURCE_CHAINS = frozenset({0, 3338, 8453})
AHEAD_S_MAX = 300


class Event(NamedTuple):
    """The arguments, in order."""

    machine_id: int
    event_type: int
    value: int
    currency: str
    timestamp_s: int
    data_hash: bytes
    trust_level: int
    source_chain_id: int
    source_tx_hash: bytes
    metadata: bytes


class RevertError(Exception):
    """The contract refuses a call."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason, self.text = reason, text

    def data(self) -> bytes:
        """Return it as require() writes it: Error(string)."""
        text = self.text.encode()
        sizes = WORD.to_bytes(WORD, "big") + len(text).to_bytes(WORD, "big")
        return keccak(b"Error(string)")[:4] + sizes + text + bytes(-len(text) % WORD)


def parse_event(data: bytes) -> Event:
    """Return the arguments of a call; raises RevertError as the contract's decoder does."""
    if bytes(data[:4]) != keccak(SIGNATURE)[:4]:
        raise RevertError("unknown_function", "no such function")
    arguments = bytes(data[4:])
    words = [int.from_bytes(arguments[at : at + WORD], "big") for at in range(0, 10 * WORD, WORD)]
    if len(arguments) < 10 * WORD or words[1] > 255 or words[6] > 255:
        raise RevertError("bad_arguments", "the arguments do not decode")
    try:
        currency = _octets(arguments, words[3]).decode()
    except UnicodeDecodeError:
        raise RevertError("bad_arguments", "the currency is no text") from None
    machine_id, event_type, value, _, timestamp_s, data_hash, trust_level, chain, source, metadata = words
    about = (machine_id, event_type, value, currency, timestamp_s, data_hash.to_bytes(WORD, "big"), trust_level)
    return Event(*about, chain, source.to_bytes(WORD, "big"), _octets(arguments, metadata))


def check_event(data: bytes, machine_id: int | None, now_ms: int) -> Event:
    """Return the event that a call records for a machine its sender may speak for; raises RevertError."""
    event = parse_event(data)
    if event.machine_id != machine_id:
        raise RevertError("not_owner", "caller is not owner or controller, or no active subscription")
    if event.event_type > 1:
        raise RevertError("bad_type", "invalid event type")
    if event.event_type == 1 and event.currency:
        raise RevertError("bad_currency", "activity has no currency")
    if event.event_type == 0 and not CURRENCY.fullmatch(event.currency):
        raise RevertError("bad_currency", "invalid currency")
    if event.trust_level > 2 or (event.trust_level == 1 and event.source_tx_hash == bytes(WORD)):
        raise RevertError("bad_trust", "invalid trust level or no source transaction")
    if event.source_chain_id not in SOURCE_CHAINS:
        raise RevertError("bad_source", "invalid source chain")
    if not 0 < event.timestamp_s <= now_ms // 1000 + AHEAD_S_MAX:
        raise RevertError("bad_time", "timestamp in the future")
    return event


def _octets(arguments: bytes, offset: int) -> bytes:
    size = int.from_bytes(arguments[offset : offset + WORD], "big") if offset < len(arguments) else len(arguments)
    if offset % WORD or offset + WORD + size > len(arguments):
        raise RevertError("bad_arguments", "the arguments do not decode")
    return arguments[offset + WORD : offset + WORD + size]
