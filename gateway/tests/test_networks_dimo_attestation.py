"""DIMO's attestations: the published signature, what is stated of a car's charging, and its server's checks."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from eth_account import Account
from eth_account.messages import encode_defunct
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from civilclock import Clock as SandboxClock
from emulator.networks import dimo_attestation as sandbox
from emulator.networks.cloudevents import BadEventError, raw_members
from wattness.clock import Clock
from wattness.config import NetworkConfig
from wattness.errors import ConfigError, RefusedError, UnavailableError
from wattness.keys.held import HeldSecp256k1
from wattness.model import Reading, Report
from wattness.networks import cloudevent, dimo_attestation
from wattness.networks.base import Sources
from wattness.networks.ethereum import keccak256
from wattnet.faults import Faults
from wattwire import merkle

START = 1_790_035_200_000  # 2026-09-22T00:00:00Z
LENGTH = 300_000
CIVIL = Clock(Clock().real_ms_now(), START + 86_400_000, 1)
SIGNER = HeldSecp256k1(ec.derive_private_key(4662, ec.SECP256K1()))
ADDRESS = "0x499F455FEd78a78fD462a617974Fa494Fa31D000"
PUBLISHED = (
    b'{"subject":"did:erc721:80002:0x45fbCD3ef7361d156e8b16F5538AE36DEdf61Da8:1005","insured":true,"provider":'
    b'"State Farm","coverageStartDate":1744751357,"expirationDate":1807822654,"policyNumber":"SF-12345678"}'
)
PUBLISHED_SIGNATURE = (
    "0xa2f41b51853db03749da01976aaef503252c3e240e4edb3c5651856c7b4842fa54be0cb843ee380561f5583ed7b38c99f8db6f3d3aa"
    "345856449e85be6e29af91b"
)
OURS = b'{"subject":"did:erc721:137:0xbA5738a18d83D41847dfFbDC6101d37C69c9B0cF:555","energyWh":1234}'
OURS_SIGNATURE = (
    "0x93ef0bf3306b2e0767343b16397262f5c7d68c29dfe587f327d6df7b0e3d3e23038a056ca1a4d0943934e02f3af2f457bd38c19c0b1b"
    "7493372fade7d1e0fe641b"
)
OURS_WITHOUT_PREFIX = (
    "1d487639376560ca797673c945a8bb4c81fca25dc204b080da576f862a2ec0f24fe8371f3ec6cef232173754f84906ac89da19425c2eb3"
    "be336f668fd396e9be01"
)


def report(number: int = 0, energy_mwh: int = 1000, **changes) -> Report:
    a = START + number * LENGTH
    figures = {"covered_ms": LENGTH, "energy": {"energy_import": energy_mwh, "energy_export": 0}, "rows": 5}
    value = {"device": "0", "role": "charger", "profile": "x", "a": a, "b": a + LENGTH, "figures": figures}
    evidence, root = [[1, 1, 1], [1, 5 * number + 1, 5 * number + 7]], bytes([number]) * 32
    return Report(bytes(range(32)), **(value | {"evidence": evidence, "root": root} | changes))


class Rig:
    """Served attestations, and adapters that read a car's rows."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self.folder, self.stack = folder, stack
        self.rows: list[Reading] = []

    async def serve(self, *script: str) -> None:
        clock = SandboxClock(CIVIL.real_ms, CIVIL.civil_ms, CIVIL.rate)
        serving = sandbox.serving(SIGNER.public_key, clock, Faults(script=list(script)))
        self.served = await self.stack.enter_async_context(serving)
        self.ledger = self.served.ledger

    async def open(self, **settings) -> dimo_attestation.AttestationNetwork:
        config = NetworkConfig(name="car", kind="dimo_attestation", url=self.served.url)
        config = structs.replace(config, settings=self.served.settings | settings)
        sources = Sources(None, None, self.readings, CIVIL, self.folder)
        return await self.stack.enter_async_context(dimo_attestation.open_network(config, SIGNER, sources))

    async def readings(self, board_key: bytes, device: str, a: int, b: int) -> list[Reading]:
        return [one for one in self.rows if a <= one.unix_ms < b]

    @property
    def token_file(self) -> Path:
        return Path(self.served.settings["token_file"])


@pytest.fixture
async def rig(tmp_path, monkeypatch) -> AsyncIterator[Rig]:
    monkeypatch.setattr(dimo_attestation, "TIMEOUT_S", 0.5)
    async with AsyncExitStack() as stack:
        made = Rig(tmp_path, stack)
        await made.serve()
        yield made


# Known answers.


async def test_our_signature_is_the_known_one(rig):
    network = await rig.open()
    signed = await network.sign(b'{"id":"a","data":' + OURS + b"}")
    assert json.loads(signed)["signature"] == OURS_SIGNATURE
    assert raw_members(signed)["data"].encode() == OURS
    assert (await SIGNER.sign_digest(keccak256(OURS))).hex() == OURS_WITHOUT_PREFIX


def test_the_published_statement_was_signed_by_its_author():
    body = b'{"id":"a","producer":"p","data":' + PUBLISHED + b',"signature":"' + PUBLISHED_SIGNATURE.encode() + b'"}'
    author = "0x07B584f6a7125491C991ca2a45ab9e641B1CeE1b"
    assert sandbox.signer(sandbox.parse(body, 0)) == author
    spaced = body.replace(b'"insured":', b'"insured": ')
    assert sandbox.signer(sandbox.parse(spaced, 0)) != author


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=30)
@given(JSON, st.sampled_from([None, 1, 3]))
async def test_whatever_the_data_its_bytes_as_sent_are_what_is_signed(value, indent):
    data = json.dumps(value, indent=indent, ensure_ascii=False).encode()
    network = dimo_attestation.AttestationNetwork(
        NetworkConfig(name="x", kind="dimo_attestation", settings={"vehicles": {}}), None, SIGNER, None
    )
    signed = await network.sign(b'{"id":"a","producer":"p", "data":' + data + b"}")
    event = sandbox.parse(signed, 0)
    assert event.raw == data
    assert sandbox.signer(event) == ADDRESS
    message = encode_defunct(primitive=data)
    assert Account.recover_message(message, signature=json.loads(signed)["signature"]) == ADDRESS


# What is stated.


async def statement_of(network, *reports) -> dict:
    return json.loads((await network.validate(reports, {})).body)


async def test_a_day_is_stated_with_its_sessions_and_what_proves_it(rig):
    network = await rig.open()
    day = [report(0), report(1, 2500), report(2, 0), report(3, 700), report(4, 900, verdict="quarantined")]
    made = await statement_of(network, *day)
    data = made["data"]
    assert made["source"] == ADDRESS
    assert made["producer"] == f"did:ethr:80002:{ADDRESS}"
    assert made["subject"] == data["subject"] == "did:erc721:80002:0x45fbCD3ef7361d156e8b16F5538AE36DEdf61Da8:555"
    assert (data["from"], data["to"]) == ("2026-09-22T00:00:00.000Z", "2026-09-22T00:25:00.000Z")
    assert made["time"] == data["to"]
    assert data["energyMilliWh"] == 4200
    assert data["sessions"] == [
        {"from": "2026-09-22T00:00:00.000Z", "to": "2026-09-22T00:10:00.000Z", "energyMilliWh": 3500},
        {"from": "2026-09-22T00:15:00.000Z", "to": "2026-09-22T00:20:00.000Z", "energyMilliWh": 700},
    ]
    assert data["leftOut"] == {"quarantined": 1}
    evidence = data["evidence"]
    assert evidence["frames"] == [[1, 1, 12], [1, 16, 22]]
    assert evidence["intervals"] == [[day[at].a, day[at].b] for at in (0, 1, 3)]
    assert evidence["root"] == merkle.root([day[at].root for at in (0, 1, 3)]).hex()
    path = merkle.proof([day[at].root for at in (0, 1, 3)], 1)
    assert merkle.check(day[1].root, 1, 3, path, bytes.fromhex(evidence["root"]))  # one session without the others


@given(st.lists(st.integers(-10, 5_000), min_size=1, max_size=30))
def test_no_energy_is_lost_between_sessions_and_total(energies):
    reports = [report(number, energy) for number, energy in enumerate(energies)]
    fed = [one for one in reports if one.figures["energy"]["energy_import"] > 0]
    if not fed:
        return
    made = dimo_attestation.statement(reports, fed)
    assert made["energyMilliWh"] == sum(max(0, energy) for energy in energies)
    assert sum(session["energyMilliWh"] for session in made["sessions"]) == made["energyMilliWh"]


async def test_braking_is_not_attested_as_charging(rig):
    rig.rows = [Reading(START, {"speed": Decimal(60)}), Reading(START + LENGTH, {"speed": Decimal(0)})]
    network = await rig.open()
    made = await statement_of(network, report(0, role="vehicle"), report(1, 2500, role="vehicle"))
    assert made["data"]["energyMilliWh"] == 2500
    assert made["data"]["leftOut"] == {"perhaps_braking": 1}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"energy_mwh": 0}, "nothing_charged"),
        ({"role": "vehicle"}, "nothing_charged"),
        ({"verdict": "quarantined", "reasons": ["future_time"]}, "quarantined"),
        ({"figures": {"energy": {}, "covered_ms": 0}}, "nothing_charged"),
    ],
)
async def test_nothing_is_stated_of_nothing(rig, changes, reason):
    network = await rig.open()
    with pytest.raises(RefusedError) as caught:
        await network.validate([report(**changes)], {})
    assert caught.value.reason == reason


async def test_a_stream_without_a_car_is_not_stated(rig):
    network = await rig.open(vehicles={"1": 555})
    with pytest.raises(RefusedError, match="unknown_vehicle"):
        await network.validate([report()], {})


async def test_a_car_and_its_charger_are_not_stated_both(rig):
    with pytest.raises(ConfigError, match="once"):
        await rig.open(vehicles={"vehicle": 555, "charger": 555})
    network = await rig.open(vehicles={"charger": 555})
    memory = (await network.validate([report()], {})).memory
    for changes in ({"role": "vehicle"}, {"device": "1"}, {"board_key": bytes(32)}):
        with pytest.raises(RefusedError, match="unknown_vehicle"):
            await network.validate([structs.replace(report(), **changes)], memory)


# Its server.


async def signed_by(network, *reports) -> bytes:
    return await network.sign((await network.validate(reports or [report()], {})).body)


async def test_everything_good_is_taken_and_the_same_again_changes_nothing(rig):
    network = await rig.open()
    for number in range(3):
        signed = await signed_by(network, report(number))
        assert signed == await signed_by(network, report(number))
        assert await network.send(signed) == await network.send(signed)
    assert rig.ledger.counts() == {"taken": 3, "again": 3, "conflicts": 0, "refused": {}}


@pytest.mark.parametrize("word", ["error", "late_error", "lost", "timeout", "busy"])
async def test_trouble_is_for_later_with_the_same_bytes(rig, word):
    await rig.serve(word)
    network = await rig.open()
    signed = await signed_by(network)
    with pytest.raises(UnavailableError):
        await network.send(signed)
    await network.send(signed)
    assert len(rig.ledger.taken) == 1
    assert not rig.ledger.conflicts


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b'"energyMilliWh":1000', b'"energyMilliWh":9000', "bad_signature"),
        (b'"energyMilliWh":1000', b'"energyMilliWh": 1000', "bad_signature"),
        (b"2026-09-22T00:05:00.000Z", b"2026-09-24T00:05:00.000Z", "future"),
        (b"2026-09-22T00:05:00.000Z", b"1790035500", "bad_timestamp"),
        (b'"type":"dimo.attestation"', b'"type":"dimo.status"', "unknown_type"),
        (b'"subject":"did:erc721:80002:', b'"subject":"did:nft:80002:', "bad_subject"),
        (ADDRESS.encode(), b"0x" + b"11" * 20, "bad_signature"),
        (b'"data":', b'"data_base64":', "no_data"),
        (b'"id":"w', b'"id":"w;', "bad_id"),
        (b'"signature":"0x', b'"signature":"', "bad_signature"),
    ],
)
async def test_a_bad_statement_is_refused_for_good(rig, old, new, reason):
    network = await rig.open()
    signed = await signed_by(network)
    assert old in signed
    with pytest.raises(RefusedError) as caught:
        await network.send(signed.replace(old, new, 1))
    assert (caught.value.reason, reason in str(caught.value)) == ("http_400", True)
    assert rig.ledger.refused == {reason: 1}


async def test_other_words_under_the_same_id_are_a_conflict(rig):
    network = await rig.open()
    await network.send(await signed_by(network, report(0)))
    with pytest.raises(RefusedError, match="other_statement"):
        await network.send(await signed_by(network, report(0, 1001)))
    assert len(rig.ledger.conflicts) == 1


# The token.


async def test_a_token_that_has_ended_costs_no_statement(rig):
    network = await rig.open()
    signed = await signed_by(network)
    issuer = sandbox.Issuer(SandboxClock())
    issuer.key = rsa.generate_private_key(65_537, 2048)
    for text in (issuer.token(ADDRESS, -1), "no token", "a.b.c", "a.e30.c"):
        rig.token_file.write_text(text)
        with pytest.raises(UnavailableError, match="token"):
            await network.send(signed)
        gate = (await network.check())[-1]
        assert (gate.subject, gate.ok) == ("gate", False)
    rig.token_file.write_text(issuer.token(ADDRESS))  # in time, yet of an issuer that the server does not know
    with pytest.raises(UnavailableError, match="401"):
        await network.send(signed)
    rig.token_file.chmod(0o644)
    with pytest.raises(UnavailableError, match="chmod 600"):
        await network.send(signed)
    assert rig.ledger.taken == {}


async def test_check_tells_of_key_clock_endpoint_and_token(rig):
    network = await rig.open()
    found = {check.subject: check for check in await network.check()}
    assert found.keys() == {"key", "clock", "endpoint", "gate"}
    assert all(check.ok for check in found.values())
    assert ADDRESS in found["key"].text
    claims = base64.urlsafe_b64encode(json.dumps({"exp": 1 << 40, "ethereum_address": "0x12"}).encode()).decode()
    rig.token_file.write_text(f"e30.{claims.rstrip('=')}.AA")
    assert "must have delegated" in (await network.check())[-1].text


@given(st.text(max_size=60) | st.from_regex(r"[A-Za-z0-9_-]{0,20}\.[A-Za-z0-9_-]{0,40}\.[A-Za-z0-9_-]{0,20}"))
def test_a_token_is_one_or_a_value_error(text):
    try:
        dimo_attestation.parse_token(text)
    except ValueError:
        return
    assert text.count(".") == 2


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"vehicles": {}}, "must name"),
        ({"vehicles": {"0": 1, "1": 1}}, "once"),
        ({"chain_id": 5}, "vehicle_contract: must be set"),
        ({"token": "x"}, r"settings"),
    ],
)
async def test_wrong_settings_are_named(rig, wrong, message):
    with pytest.raises(ConfigError, match=message):
        await rig.open(**wrong)


# The sandbox's own parser.


@given(st.binary(max_size=60))
def test_any_bytes_are_an_event_or_a_bad_one(body):
    try:
        sandbox.parse(body, 0)
    except BadEventError:
        return
    raise AssertionError


async def test_stamps_and_ids_are_dimos(rig):
    assert cloudevent.stamp(START + 1) == "2026-09-22T00:00:00.001Z"
    network = await rig.open()
    ids = [(await statement_of(network, one))["id"] for one in (report(0), report(0, 5), report(1))]
    assert ids[0] == ids[1] != ids[2]
    assert all(cloudevent.IDENTIFIER.match(one) for one in ids)
