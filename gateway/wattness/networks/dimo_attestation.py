"""DIMO's attestations: a signed statement of the energy that went into a car, with what proves it."""

import base64
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any, NamedTuple

import aiohttp
import msgspec
from msgspec import Meta

from wattness.config import NetworkConfig, check_url
from wattness.errors import ConfigError, RefusedError, UnavailableError
from wattness.model import Receipt, Report
from wattness.signing import DigestSigner
from wattwire import merkle

from . import archive
from .base import Check, Draft, Memory, Reconciled, Sources, secret_of, settings_of
from .cars import AMOY, VEHICLES, Cars, check_cars, contract, stream_name
from .cloudevent import Address, Header, Token, event, stamp, token_did
from .dimo_signals import fed_from_outside
from .ethereum import address, personal_digest
from .http import HttpClient, new_session, taken
from .meter import claimable
from .slots import slot

TIMEOUT_S = 10.0
FOREVER_S = 4_102_444_800  # a token that says more is not believed more
STATEMENT = "energyIntoVehicle/1"
GATE = "get a new token with DIMO's developer licence and put it into token_file"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[network.settings]` of this kind."""

    vehicles: dict[str, Token]  # the car's by its stream or its charger's: "<kid>/<device>", "<device>", or the role
    token_file: str = "dimo.jwt"  # noqa: S105 - mode 0600: the bearer token that DIMO gave for our address
    chain_id: Annotated[int, Meta(ge=1)] = AMOY
    vehicle_contract: Address = ""  # by default DIMO's on that chain


class Bearer(NamedTuple):
    """What a bearer token says of itself."""

    text: str
    address: str
    ends_unix_s: float


class AttestationNetwork:
    """The adapter; one per configured network of this kind."""

    def __init__(self, config: NetworkConfig, client: HttpClient, signer: DigestSigner, sources: Sources) -> None:
        self.name, self.client, self.signer, self.sources = config.name, client, signer, sources
        self.settings, self.window_s = settings_of(config, Settings), config.window_s
        self.address = address(signer.public_key)
        self.contract = contract(config, "vehicle_contract", VEHICLES, self.settings.chain_id)
        self._cars = Cars(self.settings.vehicles)

    async def validate(self, reports: Sequence[Report], memory: Memory) -> Draft:
        """Return the statement of a window, unsigned; raises RefusedError when nothing went into the car."""
        token, name = self._cars.of(reports[0], memory)
        fed, left_out = await self._fed(reports)
        if not fed:
            raise RefusedError("nothing_charged", ", ".join(left_out))
        subject = token_did(self.settings.chain_id, self.contract, token)
        header = Header(
            id="wattness-" + slot(reports, self.window_s).hex()[:32],
            source=self.address,
            producer=f"did:ethr:{self.settings.chain_id}:{self.address}",
            subject=subject,
            time=stamp(reports[-1].b),
            type="dimo.attestation",
            dataversion=STATEMENT,
        )
        data = {"subject": subject} | statement(reports, fed) | ({"leftOut": left_out} if left_out else {})
        return Draft(event(header, msgspec.json.encode(data)), {**memory, name: stream_name(reports[0])})

    async def _fed(self, reports: Sequence[Report]) -> tuple[list[Report], Counter[str]]:
        """Return the intervals in which energy came into the car from outside, and how many are left out and why."""
        found: list[Report] = []
        left_out: Counter[str] = Counter(quarantined=len(reports))
        for report in claimable(reports):
            left_out["quarantined"] -= 1
            if report.figures["energy"].get("energy_import", 0) <= 0:
                continue
            if report.role == "vehicle" and not fed_from_outside(
                await self.sources.readings(report.board_key, report.device, report.a, report.b)
            ):
                left_out["perhaps_braking"] += 1  # what a car's battery takes may be its own
            else:
                found.append(report)
        return found, +left_out

    async def sign(self, body: bytes) -> bytes:
        """Return the event with the signature over its data, which stays byte for byte what it is."""
        data = bytes(msgspec.json.decode(body, type=_Signed).data)
        signature = await self.signer.sign_digest(personal_digest(data))
        text = signature[:64].hex() + f"{27 + signature[64]:02x}"
        return body[:-1] + f',"signature":"0x{text}"}}'.encode()

    async def send(self, signed: bytes) -> Receipt:
        """Deliver a statement; a second time changes nothing, for DIMO knows it by its id and time."""
        token = self._token()
        if token.ends_unix_s <= self.sources.clock.real_ms_now() / 1000:
            raise UnavailableError(f"the bearer token has ended; {GATE}")
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token.text}"}
        answer = await self.client.exchange("POST", "/", data=signed, headers=headers)
        taken(answer, GATE)
        return Receipt(msgspec.json.decode(signed)["id"], {"status": answer.status})

    def _token(self) -> Bearer:
        """Read the bearer token, which its owner renews; raises UnavailableError with the remedy."""
        try:
            return parse_token(secret_of(self.sources, self.settings.token_file))
        except ConfigError as error:
            raise UnavailableError(str(error)) from None
        except ValueError:
            raise UnavailableError(f"{self.settings.token_file} holds no bearer token; {GATE}") from None

    async def find(self, reports: Sequence[Report]) -> Receipt | None:  # noqa: ARG002 - it cannot be asked
        """Return None: the same id and time again are harmless."""
        return None

    async def reconcile(self, after_epoch: int) -> Reconciled:  # noqa: ARG002 - it pays nothing
        """Return nothing: a statement earns nothing by itself."""
        return Reconciled([])

    async def check(self) -> list[Check]:
        """Return what can be known without making a statement."""
        checks = [Check("key", ok=True, text=f"Statements are signed by {self.address}.")]
        checks += await self.client.reach("/", self.sources.clock)
        try:
            token = self._token()
        except UnavailableError as error:
            return [*checks, Check("gate", ok=False, text=f"{error}.")]
        if token.ends_unix_s <= self.sources.clock.real_ms_now() / 1000:
            return [*checks, Check("gate", ok=False, text=f"The bearer token has ended; {GATE}.")]
        until = stamp(int(min(token.ends_unix_s, FOREVER_S)) * 1000)
        mine = token.address.lower() == self.address.lower()
        whose = "" if mine else f" It is of {token.address}, which must have delegated to {self.address}."
        return [*checks, Check("gate", ok=True, text=f"The bearer token lasts until {until}.{whose}")]


class _Signed(msgspec.Struct):
    data: msgspec.Raw


class _Claims(msgspec.Struct):
    exp: float
    ethereum_address: str


def parse_token(text: str) -> Bearer:
    """Return what a JWT says of itself, unverified: that is its reader's business; raises ValueError."""
    parts = text.split(".")
    if len(parts) != 3 or not text.isascii() or any(char.isspace() for char in text):
        raise ValueError("not three parts")
    claims = msgspec.json.decode(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)), type=_Claims)
    return Bearer(text, claims.ethereum_address, claims.exp)


def statement(reports: Sequence[Report], fed: Sequence[Report]) -> dict[str, Any]:
    """Return what is stated of a window: `evidence.root` is the Merkle root over the roots of the intervals told of."""
    first = reports[0]
    return {
        "statement": STATEMENT,
        "from": stamp(first.a),
        "to": stamp(reports[-1].b),
        "energyMilliWh": sum(report.figures["energy"]["energy_import"] for report in fed),
        "meteredAt": first.role,
        "sessions": sessions(fed),
        "evidence": {
            "board": first.board_key.hex(),
            "device": first.device,
            "provenance": sorted({report.provenance for report in fed}),
            "rules": first.rules,
            "intervals": [[report.a, report.b] for report in fed],
            "frames": archive.union(report.evidence for report in fed),
            "root": merkle.root([report.root for report in fed]).hex(),
        },
    }


def sessions(fed: Sequence[Report]) -> list[dict[str, Any]]:
    """Return neighbouring intervals as one session of charging each."""
    found: list[dict[str, Any]] = []
    last_b = None
    for report in fed:
        if report.a != last_b:
            found.append({"from": stamp(report.a), "energyMilliWh": 0})
        found[-1]["to"] = stamp(report.b)
        found[-1]["energyMilliWh"] += report.figures["energy"]["energy_import"]
        last_b = report.b
    return found


@asynccontextmanager
async def open_network(
    config: NetworkConfig, signer: DigestSigner, sources: Sources
) -> AsyncIterator[AttestationNetwork]:
    """Open the adapter of one configured network; raises ConfigError."""
    check_cars(config, settings_of(config, Settings).vehicles)
    check_url(config.url, ("http", "https"), f"$.network[{config.name}].url")
    connector = aiohttp.TCPConnector(limit=2 * config.in_flight + 2)
    async with new_session(connector=connector) as session:
        yield AttestationNetwork(config, HttpClient(session, config.url, TIMEOUT_S), signer, sources)
