"""A bundler of Arweave data items (ANS-104), which checks signature and content before it takes one."""

import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import msgspec
from aiohttp import web
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_keys.datatypes import PublicKey

from civilclock import Clock
from wattnet import faults as trouble

from .base import Ledger, Served
from .day import DayError, check_archive, check_root, decode
from .serving import listening

PATH = "/tx"
BYTES_MAX = 64 << 20
ETHEREUM = 3


class Parsed(NamedTuple):
    """A data item, taken apart."""

    signature: bytes
    owner: bytes
    raw_tags: bytes
    tags: dict[str, str]
    data: bytes


class Bundler:
    """Takes items of one owner."""

    def __init__(self, owner: bytes) -> None:
        """`owner` is the uncompressed point."""
        self.owner = owner
        self.ledger = Ledger()

    async def about(self, _: web.Request) -> web.Response:
        """Say what this is."""
        return web.json_response({"version": "sandbox"})

    async def take(self, request: web.Request) -> web.Response:
        """Take an item, or say why not."""
        raw = await request.read()
        try:
            item = self._checked(raw)
        except DayError as error:
            self.ledger.refuse(error.reason)
            return web.Response(text=str(error), status=400)
        name = base64.urlsafe_b64encode(hashlib.sha256(item.signature).digest()).decode().rstrip("=")
        self.ledger.take(name, raw)
        owner = base64.urlsafe_b64encode(item.owner).decode().rstrip("=")
        return web.json_response({"id": name, "owner": owner, "dataCaches": [], "fastFinalityIndexes": []})

    def _checked(self, raw: bytes) -> Parsed:
        item = _parse(raw)
        if item.owner != self.owner:
            raise DayError("unknown_owner")
        parts = [b"dataitem", b"1", b"3", item.owner, b"", b"", item.raw_tags, item.data]
        signed = encode_defunct(primitive=_deep_hash(parts))
        if Account.recover_message(signed, signature=item.signature) != PublicKey(item.owner[1:]).to_checksum_address():
            raise DayError("bad_signature")
        kind = item.tags.get("Content-Type")
        if kind == "application/vnd.ipld.car":
            check_archive(item.data)
        elif kind == "application/vnd.ipld.dag-cbor":
            check_root(decode(item.data))
        else:
            raise DayError("bad_tags", "Content-Type")
        return item


def _deep_hash(parts: list[bytes]) -> bytes:
    """Return the deep hash of a list of blobs, as ANS-104 has it."""

    def sha(data: bytes) -> bytes:
        return hashlib.sha384(data).digest()

    total = sha(f"list{len(parts)}".encode())
    for part in parts:
        total = sha(total + sha(sha(f"blob{len(part)}".encode()) + sha(part)))
    return total


def _parse(raw: bytes) -> Parsed:
    if len(raw) < 150 or int.from_bytes(raw[:2], "little") != ETHEREUM or raw[132:134] != b"\x00\x00":
        raise DayError("bad_item", "head")
    count, size = (int.from_bytes(raw[at : at + 8], "little") for at in (134, 142))
    raw_tags = raw[150 : 150 + size]
    tags = _tags(raw_tags)
    if not 0 < count == len(tags) <= 128 or size > 4096:
        raise DayError("bad_tags", "count")
    return Parsed(raw[2:67], raw[67:132], raw_tags, tags, raw[150 + size :])


def _tags(raw: bytes) -> dict[str, str]:
    """Return what Avro's array of pairs of strings holds, in one block."""
    at = 0

    def long() -> int:
        nonlocal at
        number = shift = 0
        while True:
            byte = raw[at]
            at += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number >> 1 ^ -(number & 1)

    def string() -> str:
        nonlocal at
        size = long()
        at += size
        return raw[at - size : at].decode()

    try:
        found = {string(): string() for _ in range(long())}
        if long() != 0 or at != len(raw):
            raise DayError("bad_tags", "end")
    except (IndexError, ValueError):
        raise DayError("bad_tags", "form") from None
    return found


@asynccontextmanager
async def serving(public_key: bytes, clock: Clock, faults: trouble.Faults) -> AsyncIterator[Served]:
    """Serve a bundler at which the key's account has credit."""
    del clock  # an item has no time of its own
    bundler = Bundler(public_key)
    middleware = trouble.inject(msgspec.structs.replace(faults, paths=(PATH,)))
    app = web.Application(client_max_size=BYTES_MAX, middlewares=[middleware])
    app.router.add_get("/", bundler.about)
    app.router.add_post(PATH, bundler.take)
    async with listening(app) as url:
        yield Served(url, bundler.ledger, {})
