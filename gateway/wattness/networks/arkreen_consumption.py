"""Arkreen's consumption reports: what a device draws now, and its counter, under a bearer token and unsigned.

A report carries no time: Arkreen dates it by its arrival, and asks for one in three minutes or faster. So one goes out
as soon as an interval is final, intervals longer than that are refused unless Arkreen agreed to a slower pace, and one
that is late is not sent at all: its energy comes with the next one, for the counter runs on.
"""

import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated

import msgspec
from msgspec import Meta

from wattness.clock import Clock
from wattness.config import NetworkConfig, check_url
from wattness.errors import ConfigError, RefusedError
from wattness.model import Receipt, Report
from wattness.signing import DigestSigner, Signer

from .base import Check, Draft, Memory, Reconciled, Sources, secret_of, settings_of
from .http import HttpClient, new_session
from .jsonrpc import JsonRpc
from .meter import IMPORT, energy_mwh, measured, only_stream, own, power_mw

TIMEOUT_S = 10.0
POWER_MW_MAX = ENERGY_MWH_MAX = (1 << 53) - 1  # beyond that JSON's numbers are no longer exact everywhere
SMALLER = "energy_smaller"
REFUSALS = {4003: SMALLER}
GATES = {
    1000: "Arkreen does not take the token: put a good one into the file that settings.token_file names",
    4002: "Arkreen does not know settings.client_id: look it up in Arkreen's console",
}
_HEX_32 = re.compile(r"0x[0-9a-f]{64}", re.IGNORECASE)


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What can be set for Arkreen's consumption reports."""

    client_id: Annotated[str, Meta(pattern=r"^0x[0-9a-fA-F]{64}$")]
    token_file: str  # in the gateway's home, mode 0600
    cadence_s: Annotated[int, Meta(ge=10, le=86_400)] = 180  # a report is wanted at least that often
    late_max_s: Annotated[int, Meta(ge=10)] = 600  # a report of a time longer ago is not sent
    start_mwh: Annotated[int, Meta(ge=0, le=ENERGY_MWH_MAX)] = 0  # where the counter begins, when Arkreen's is further


class ConsumptionNetwork:
    """The adapter: one client id is one device, one stream."""

    def __init__(self, config: NetworkConfig, rpc: JsonRpc, token: str, clock: Clock) -> None:
        self.name, self.devices = config.name, config.devices
        self.settings = settings_of(config, Settings)
        self.rpc, self.clock = rpc, clock
        self._headers = {"authorization": f"Bearer {token}"}

    async def validate(self, reports: Sequence[Report], memory: Memory) -> Draft:
        """Return the request: mean power of the interval, and the energy since this network was added."""
        (report,) = reports
        identity = self.settings.client_id.lower()
        memory = own(memory, identity)
        stream = only_stream(reports, memory, self.devices)
        measured(reports, report.b - report.a)
        power = power_mw(report, IMPORT)
        energy = int(memory.get("energy_mwh", self.settings.start_mwh)) + energy_mwh(report, IMPORT)
        if power > POWER_MW_MAX or energy > ENERGY_MWH_MAX:
            raise RefusedError("out_of_range", f"{power} mW and {energy} mWh")
        params = {"clientId": self.settings.client_id, "power": power, "energy": energy}
        call = {"jsonrpc": "2.0", "id": report.b // 1000, "method": "edr_reportConsumeData", "params": params}
        kept: dict[str, int | str] = {"identity": identity, "stream": stream, "energy_mwh": energy}
        return Draft(json.dumps(call, separators=(",", ":")).encode(), kept)

    async def sign(self, body: bytes) -> bytes:
        """Return the request as it is: nothing of it is signed, and the token is only added on its way."""
        return body

    async def send(self, signed: bytes) -> Receipt:
        """Deliver one report, unless it would be dated wrongly by now."""
        late_s = self.clock.now_ms() // 1000 - json.loads(signed)["id"]
        if late_s > self.settings.late_max_s:
            raise RefusedError("late", f"it is of {late_s} s ago, and Arkreen would take it for now")
        try:
            result = await self.rpc.call(signed, self._headers)
        except RefusedError as error:
            if error.reason != SMALLER:
                raise
            raise RefusedError(
                SMALLER, "Arkreen's counter is further: it has taken this energy already, or settings.start_mwh is low"
            ) from None
        return Receipt(str(result)[:128], {"result": result})

    async def find(self, reports: Sequence[Report]) -> Receipt | None:  # noqa: ARG002 - Arkreen cannot be asked
        """Arkreen refuses a counter that is smaller than its own, which keeps energy from being taken twice."""
        return None

    async def reconcile(self, after_epoch: int) -> Reconciled:  # noqa: ARG002 - Arkreen has no interface for payouts
        """Arkreen wants nothing between two reports."""
        return Reconciled([])

    async def check(self) -> list[Check]:
        """Look whether Arkreen is there; whether it takes the token only a report can tell."""
        key = Check("key", ok=True, text="The token is well formed, and its file is private.")
        unknown = "Arkreen tells only by its first answer whether it takes the token and settings.client_id."
        return [key, *await self.rpc.client.reach("", self.clock), Check("gate", ok=True, text=unknown)]


def _token(sources: Sources, settings: Settings, path: str) -> str:
    token = secret_of(sources, settings.token_file)
    if not _HEX_32.fullmatch(token):
        raise ConfigError(f"{path}.token_file: the file must hold 0x and 64 hex digits, as Arkreen gave them")
    return token


@asynccontextmanager
async def open_network(
    config: NetworkConfig,
    signer: Signer | DigestSigner,  # noqa: ARG001 - it knows us by the token
    sources: Sources,
) -> AsyncIterator[ConsumptionNetwork]:
    """Open the adapter of one configured network; raises ConfigError."""
    path = f"$.network[{config.name}]"
    check_url(config.url, ("http", "https"), f"{path}.url")
    settings = settings_of(config, Settings)
    if config.window_s:
        raise ConfigError(f"{path}.window_s: Arkreen takes consumption interval by interval; leave this out")
    if sources.interval_s > settings.cadence_s:
        raise ConfigError(
            f"$.interval.length_s: is {sources.interval_s}, and Arkreen wants consumption every {settings.cadence_s} s "
            f"or faster; set it to 60 (Arkreen's other reports and Glow need 300: that is another gateway's), or, "
            f"when Arkreen agreed to a slower pace, set {path}.settings.cadence_s = {sources.interval_s}"
        )
    token = _token(sources, settings, f"{path}.settings")
    async with new_session() as session:
        rpc = JsonRpc(HttpClient(session, config.url, TIMEOUT_S), REFUSALS, GATES)
        yield ConsumptionNetwork(config, rpc, token, sources.clock)
