"""A Console and a prover of M3tering: they check every message by themselves, and answer as the network does.

In reality the Console is a client of ChirpStack's broker; here the broker is part of it, so that it can fail on
request. `Console` alone is what decides, for tests with another broker.
"""

import base64
import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import msgspec
from aiohttp import web
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from civilclock import Clock
from wattnet.faults import Faults, drawing, inject

from .base import Ledger, Served
from .mqttserver import ACCEPTED, Login, MqttServer, Publication, listening, suffer
from .serving import listening as serving_http

SIZES = (72, 74, 106, 112)  # the core; with voltage; with the device's id; with longitude and latitude
PLACE = struct.pack(">ff", 6.5, 3.25)


class Uplink(NamedTuple):
    """What ChirpStack tells of one message."""

    application: str
    dev_eui: str
    raw: bytes


class BadMessageError(Exception):
    """What a Console logs and does not answer; its text is the reason."""


class Console:
    """One meter's book: its public key, as on the M3ter NFT, and the nonce that it sent last."""

    def __init__(self, public_key: bytes, ledger: Ledger) -> None:
        self.public_key, self.ledger = public_key, ledger
        self.last = 0
        self.energy_mwh: list[int] = []  # of each message taken
        self.extensions: list[bytes] = []

    def hear(self, topic: str, payload: bytes) -> tuple[str, bytes] | None:
        """Take one event; return the downlink's topic and command, or None where there is nothing to say."""
        try:
            uplink = read_event(topic, payload)
            answer = self.take(uplink.raw)
        except BadMessageError as error:
            self.ledger.refuse(str(error))
            return None
        command = {"devEui": uplink.dev_eui, "confirmed": False, "fPort": 1, "data": base64.b64encode(answer).decode()}
        return f"application/{uplink.application}/device/{uplink.dev_eui}/command/down", json.dumps(command).encode()

    def take(self, raw: bytes) -> bytes:
        """Return the answer to one message; raises BadMessageError."""
        nonce, energy_mwh = self.open(raw)
        if nonce == self.last + 1:
            self.ledger.take(str(nonce), raw)
            self.last = nonce
            self.energy_mwh.append(energy_mwh)
            self.extensions.append(raw[72:])
            return b"\x01" + PLACE
        if str(nonce) in self.ledger.taken:
            self.ledger.take(str(nonce), raw)  # the same once more, or a conflict
        elif nonce:
            self.ledger.refuse("bad_nonce")
        return b"\x01" + self.last.to_bytes(4, "big") + PLACE

    def open(self, raw: bytes) -> tuple[int, int]:
        """Return nonce and energy of a message that this meter signed; raises BadMessageError."""
        if len(raw) not in SIZES:
            raise BadMessageError("bad_length")
        if len(raw) >= 106 and raw[74:106] != self.public_key:
            raise BadMessageError("unknown_device")
        try:
            VerifyKey(self.public_key).verify(raw[:8], raw[8:72])
        except (BadSignatureError, ValueError):
            raise BadMessageError("bad_signature") from None
        nonce, energy_mwh = struct.unpack(">II", raw[:8])
        return nonce, energy_mwh


def read_event(topic: str, payload: bytes) -> Uplink:
    """Read ChirpStack's uplink event; raises BadMessageError."""
    levels = topic.split("/")
    try:
        event: Any = json.loads(payload)
        dev_eui = event["deviceInfo"]["devEui"]
        raw = base64.b64decode(event["data"], validate=True)
    except (ValueError, KeyError, TypeError):
        raise BadMessageError("bad_event") from None
    if levels != ["application", levels[1], "device", dev_eui, "event", "up"]:
        raise BadMessageError("bad_topic")
    return Uplink(levels[1], dev_eui, raw)


class Entry(msgspec.Struct, forbid_unknown_fields=True):
    """One message in a prover's batch."""

    m3ter_id: int
    message: str


def read_batch(body: bytes) -> list[bytes]:
    """Return the cores in a prover's batch; raises BadMessageError."""
    try:
        cores = [bytes.fromhex(entry.message) for entry in msgspec.json.decode(body, type=list[Entry])]
    except (ValueError, msgspec.DecodeError):
        raise BadMessageError("bad_form") from None
    if any(len(core) != SIZES[0] for core in cores):
        raise BadMessageError("not_the_core")
    return cores


class Broker:
    """The broker with the Console behind it."""

    def __init__(self, console: Console, faults: Faults) -> None:
        self.console, self.faults = console, faults
        self.server = MqttServer(self.admit, self.take)
        self._draw = drawing(faults)

    def admit(self, login: Login) -> int:  # noqa: ARG002 - ChirpStack's broker lets everybody in on its own network
        """Let anybody in."""
        return ACCEPTED

    async def take(self, login: Login, publication: Publication) -> str:  # noqa: ARG002 - as above
        """Hand an uplink to the Console and publish its answer."""
        if not publication.topic.endswith("/event/up"):
            return "puback"
        answers: list[tuple[str, bytes] | None] = []
        outcome = await suffer(
            "ok" if _asks(publication) else self._draw(),
            self.faults,
            lambda: answers.append(self.console.hear(publication.topic, publication.payload)),
        )
        for answer in answers * {"puback": 1, "twice": 2}.get(outcome, 0):
            if answer is not None:
                self.server.publish(*answer)
        return outcome


def _asks(publication: Publication) -> bool:
    """Whether a message only asks for the nonce: that submits nothing."""
    try:
        return read_event(publication.topic, publication.payload).raw[:4] == bytes(4)
    except BadMessageError:
        return False


@asynccontextmanager
async def serving(public_key: bytes, clock: Clock, faults: Faults) -> AsyncIterator[Served]:  # noqa: ARG001 - no time in it
    """Serve a Console that knows one meter."""
    async with serving_console(Console(public_key, Ledger()), faults) as served:
        yield served


@asynccontextmanager
async def serving_console(console: Console, faults: Faults) -> AsyncIterator[Served]:
    """Serve this Console behind a broker of its own."""
    async with listening(Broker(console, faults).server) as url:
        yield Served(url, console.ledger, {"answer_s": 1.0})


@asynccontextmanager
async def proving(console: Console, faults: Faults) -> AsyncIterator[Served]:
    """Serve a prover, which reads batches of cores over HTTP."""

    async def batch(request: web.Request) -> web.Response:
        try:
            for raw in read_batch(await request.read()):
                console.take(raw)
        except BadMessageError as error:
            console.ledger.refuse(str(error))
            return web.Response(status=400, text=str(error))
        return web.Response(text="ok")

    async def front(_: web.Request) -> web.Response:
        return web.Response(text="prover")

    app = web.Application(middlewares=[inject(faults)])
    app.router.add_post("/batch-payloads", batch)
    app.router.add_get("/", front)
    async with serving_http(app) as url:
        yield Served(url, console.ledger, {"m3ter_id": 7})
