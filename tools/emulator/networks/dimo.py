"""A sandbox of DIMO's ingest (DIS): asks for a client certificate, takes an event whole or not at all."""

import re
import ssl
import tempfile
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from civilclock import Clock
from wattnet.faults import Faults, inject

from .authority import Authority
from .base import Ledger, Served
from .cloudevents import DID, FUTURE_S_MAX, BadEventError, Event, instant, parse
from .dimo_names import KINDS
from .serving import listening

LICENCE = "0x1B0D3cBEeAa7C9E5a5a11ecb1e8cBd3b5ED5eA11"  # the connection licence that we issue certificates for
CHAIN = 80002
VEHICLES = "0x45fbCD3ef7361d156e8b16F5538AE36DEdf61Da8"
SYNTHETICS = "0x5D10000000000000000000000000000000005D10"
BODY_BYTES_MAX = 1 << 20
PER_S_MAX = 50
VIN = re.compile(r"^[A-HJ-NPR-Z0-9]{17}$")
NUMBER = re.compile(r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$")
EVENTS = {
    "behavior.harshBraking", "behavior.harshAcceleration", "behavior.harshCornering", "behavior.extremeBraking",
    "safety.collision", "security.engineBlock", "security.engineUnblock",
}  # fmt: skip


class DisLedger(Ledger):
    """What the ingest took, and what it silently left out of it."""

    def __init__(self) -> None:
        super().__init__()
        self.pruned: Counter[str] = Counter()
        self.signals: list[tuple[str, str, Any]] = []  # subject's token, name, value
        self.fingerprints = 0
        self.raw = 0  # events that were kept as they came, the refused ones as well


@asynccontextmanager
async def serving(public_key: bytes, clock: Clock, faults: Faults) -> AsyncIterator[Served]:  # noqa: ARG001 - see CN
    """Serve the ingest on this machine; the certificate in the settings says who we are."""
    ledger = DisLedger()
    app = web.Application(
        middlewares=[inject(msgspec.structs.replace(faults, paths=("/",)))], client_max_size=BODY_BYTES_MAX
    )
    app.router.add_post("/", Ingest(ledger, clock).take)
    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(Path(folder))
        chain, key = authority.issue("localhost")
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.file))
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(chain, key)
        async with listening(app, context) as url:
            yield Served(url, ledger, _settings(authority))


def _settings(authority: Authority) -> dict[str, Any]:
    chain, key = authority.issue(LICENCE)
    return {
        "certificate": str(chain),
        "certificate_key": str(key),
        "ca_file": str(authority.file),
        "chain_id": CHAIN,
        "synthetic_contract": SYNTHETICS,
        "vehicles": {"vehicle": {"token_id": 555, "synthetic_token_id": 777}},
    }


class Rate:
    """So many requests in a second, and as many again at once."""

    def __init__(self, per_s: int) -> None:
        self.newest: deque[float] = deque(maxlen=2 * per_s)

    def is_over(self, now_s: float) -> bool:
        """Count a request and tell whether it is one too many."""
        is_full = len(self.newest) == self.newest.maxlen
        if is_full and now_s - self.newest[0] < 1:
            return True
        self.newest.append(now_s)
        return False


class Ingest:
    """Reads events as the server does."""

    def __init__(self, ledger: DisLedger, clock: Clock) -> None:
        self.ledger = ledger
        self.clock = clock
        self.rate = Rate(PER_S_MAX)

    async def take(self, request: web.Request) -> web.Response:
        """Answer one event: 200, or 400 and why."""
        body = await request.read()
        if self.rate.is_over(self.clock.real_ms_now() / 1000):
            self.ledger.refuse("too_fast")
            return web.Response(status=503, text="slow down")
        try:
            self._take(body, common_name(request))
        except BadEventError as error:
            self.ledger.refuse(str(error))
            return web.Response(status=400, text=str(error))
        return web.Response()

    def _take(self, body: bytes, source: str) -> None:
        now_s = self.clock.now_ms() / 1000
        event = parse(body, now_s)
        event.header["source"] = source
        self.ledger.raw += 1
        if not isinstance(event.data, dict):
            raise BadEventError("data_not_object")
        if any(not isinstance(event.data.get(name) or [], list) for name in ("signals", "events")):
            raise BadEventError("not_a_list")
        kinds = derived(event.data)
        if not kinds:
            raise BadEventError("unknown_type")
        signals = event.data.get("signals") or []
        bad = [reason for reason in (signal_fault(signal) for signal in signals) if reason]
        bad += [f"bad_event_{name}" for name in event_names(event.data) if name not in EVENTS]
        if bad:  # one costs all the others
            raise BadEventError(bad[0])
        if self.ledger.take(event.key(kinds[-1]), body) and self.ledger.taken.get(event.key(kinds[-1])) == body:
            self._keep(event, signals, now_s)

    def _keep(self, event: Event, signals: list[dict[str, Any]], now_s: float) -> None:
        if "vin" in event.data:
            self.ledger.fingerprints += bool(VIN.match(str(event.data["vin"])))
        subject = DID.match(event.header["subject"])
        if subject is None or (int(subject[1]), subject[2]) != (CHAIN, VEHICLES):
            self.ledger.pruned["foreign_subject"] += len(signals)
            return
        seen = set()
        for signal in signals:
            place = signal["name"], signal["timestamp"]
            if instant(signal["timestamp"]) > now_s + FUTURE_S_MAX:
                self.ledger.pruned["future"] += 1
            elif place in seen:
                self.ledger.pruned["twice"] += 1
            elif isinstance(signal["value"], dict) and not any(
                signal["value"].get(part) for part in ("latitude", "longitude")
            ):
                self.ledger.pruned["null_island"] += 1
            else:
                seen.add(place)
                self.ledger.signals.append((subject[3], signal["name"], signal["value"]))


def common_name(request: web.Request) -> str:
    """Return whose certificate the connection came with."""
    peer = request.get_extra_info("peercert")
    return next(str(value) for part in peer["subject"] for name, value in part if name == "commonName")


def derived(data: dict[str, Any]) -> list[str]:
    """Return the types of events that are in the data, whatever its header says."""
    return [
        kind
        for name, kind in (("vin", "dimo.fingerprint"), ("events", "dimo.events"), ("signals", "dimo.status"))
        if data.get(name)
    ]


def event_names(data: dict[str, Any]) -> list[str]:
    """Return what the events in the data are called."""
    return [str(event.get("name")) if isinstance(event, dict) else "" for event in data.get("events") or []]


def signal_fault(signal: Any) -> str:
    """Return why a signal is bad, "" for a good one."""
    if not isinstance(signal, dict) or not {"name", "timestamp", "value"} <= signal.keys():
        return "no_signal"
    kind = KINDS.get(str(signal["name"]))
    if kind is None:
        return "unknown_signal"
    try:
        instant(signal["timestamp"])
    except BadEventError as error:
        return str(error)
    value = signal["value"]
    if kind == "string":
        return "" if isinstance(value, str) else "not_a_string"
    if kind == "object":
        parts = value.values() if isinstance(value, dict) else [None]
        return "" if all(is_float64(part) for part in parts) else "not_coordinates"
    return "" if is_float64(value) else "not_a_float64"


def is_float64(value: Any) -> bool:
    """Tell whether Go would make a number of it: a JSON number or a text of one, but no boolean."""
    if isinstance(value, str):
        return bool(NUMBER.match(value))
    return isinstance(value, int | float) and not isinstance(value, bool)
