"""DIMO's ingest of a car's signals: what is told and what is not, and what its server makes of it."""

import json
import os
import runpy
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civilclock import Clock as SandboxClock
from emulator.author import Author
from emulator.networks import cloudevents as their_events
from emulator.networks import dimo as sandbox
from emulator.networks import dimo_attestation as their_statements
from emulator.networks.authority import Authority
from emulator.networks.base import Ledger
from emulator.networks.dimo_names import KINDS
from wattness import answers
from wattness.clock import Clock
from wattness.config import NetworkConfig
from wattness.errors import ConfigError, RefusedError, UnavailableError
from wattness.model import Reading, Report
from wattness.networks import cloudevent, dimo, dimo_signals
from wattness.networks.base import Sources
from wattness.networks.dimo_signals import POINTS, SIGNALS, Signal, fault
from wattness.networks.pace import Pace
from wattnet.faults import Faults
from wattwire import frame

PIPELINE = runpy.run_path(str(Path(__file__).with_name("pipeline_world.py")))
START = 1_790_035_200_000  # 2026-09-22T00:00:00Z
MINUTE = 60_000
LENGTH = 5 * MINUTE
CIVIL = Clock(Clock().real_ms_now(), START + 30 * MINUTE, 1)
BOARD = bytes(range(32))
KID = BOARD[:8].hex()
STAMP = cloudevent.stamp(START)
NO_KEY = None  # the certificate's is its own
GOOD = {"soc": Decimal("61.5"), "speed": Decimal(0), "battery_power": Decimal(-350)}


def row(minute: int, **points: str | int) -> Reading:
    return Reading(START + minute * MINUTE, {name: Decimal(value) for name, value in points.items()})


def report(number: int = 0, energy_mwh: int = 0, **changes) -> Report:
    a = START + number * LENGTH
    energy = {"energy_import": energy_mwh, "energy_export": 0}
    figures = {"covered_ms": LENGTH, "energy": energy, "rows": 5, "counter_resets": 0}
    value = {"device": "0", "role": "vehicle", "profile": "sae_j1979", "a": a, "b": a + LENGTH, "figures": figures}
    return Report(BOARD, **(value | {"evidence": [[1, 1, 7]], "root": bytes(32)} | changes))


class Rig:
    """A served ingest, and adapters that read one car's rows."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self.folder, self.stack = folder, stack
        self.rows = [row(minute, soc=60 + minute, speed=0, battery_power=7000, charging=1) for minute in range(15)]

    async def serve(self, *script: str) -> None:
        faults = Faults(script=list(script))
        clock = SandboxClock(CIVIL.real_ms, CIVIL.civil_ms, CIVIL.rate)
        self.served = await self.stack.enter_async_context(sandbox.serving(b"", clock, faults))
        self.ledger = self.served.ledger

    async def open(self, **settings) -> dimo.DimoNetwork:
        config = NetworkConfig(name="car", kind="dimo", url=self.served.url, settings=self.served.settings | settings)
        return await self.stack.enter_async_context(dimo.open_network(config, NO_KEY, self.sources()))

    def sources(self) -> Sources:
        return Sources(None, None, self.readings, CIVIL, self.folder)

    async def readings(self, board_key: bytes, device: str, a: int, b: int) -> list[Reading]:
        assert board_key == BOARD
        return [one for one in self.rows if a <= one.unix_ms < b]

    async def event(self, network: dimo.DimoNetwork, *reports: Report, memory=None) -> dict:
        return json.loads((await network.validate(reports or [report()], memory or {})).body)


@pytest.fixture
async def rig(tmp_path, monkeypatch) -> AsyncIterator[Rig]:
    monkeypatch.setattr(dimo, "TIMEOUT_S", 0.5)
    monkeypatch.setattr(dimo, "PER_S_MAX", 10_000)
    async with AsyncExitStack() as stack:
        made = Rig(tmp_path, stack)
        await made.serve()
        yield made


# What DIMO knows.


def test_the_names_are_the_servers_own_116():
    assert len(SIGNALS) == 116
    theirs = {"string": dimo_signals.TEXT, "object": dimo_signals.PLACE}
    assert {name: theirs.get(unit, unit) for name, unit in KINDS.items()} == SIGNALS


UNITS = {"soc": "%", "soh": "%", "fuel_level": "%", "speed": "km/h", "odometer": "km", "range": "km"}
UNITS |= {"battery_power": "W", "battery_voltage": "V", "aux_voltage": "V", "charging": "0/1", "plugged": "0/1"}
UNITS |= {"ambient_temperature": "Cel", "engine_speed": "rpm", "run_time": "s"}


def test_every_point_has_its_unit():
    assert {name: SIGNALS[point.signal] for name, point in POINTS.items()} == UNITS
    assert SIGNALS[dimo_signals.CHARGING_POWER.signal] == "kW"
    assert SIGNALS[dimo_signals.ADDED_ENERGY] == SIGNALS[dimo_signals.GROSS_CAPACITY] == "kWh"


OBSERVED = [  # what the real server did with each
    ("isIgnitionOn", STAMP, True, False),
    ("currentLocationLatitude", STAMP, 52.5, False),
    ("currentLocationLongitude", STAMP, 13.4, False),
    ("powertrainType", STAMP, 5, False),
    ("speed", 1_790_035_200, 50, False),
    ("isIgnitionOn", STAMP, "1", True),
    ("speed", STAMP, "50.25", True),
    ("speed", "2026-09-22T02:00:00+02:00", 50, True),
    ("currentLocationCoordinates", STAMP, {"latitude": 52.5, "longitude": 13.4}, True),
    ("currentLocationCoordinates", STAMP, {"latitude": "here", "longitude": 13.4}, False),
    ("currentLocationCoordinates", STAMP, 52.5, False),
    ("powertrainType", STAMP, "COMBUSTION", True),
    ("speed", STAMP, "fast", False),
    ("speed", STAMP, None, False),
    ("speed", "2026-09-22 00:00:00", 50, False),
    ("speed", "2026-13-22T00:00:00Z", 50, False),
    ("Speed", STAMP, 50, False),
]


@pytest.mark.parametrize(("name", "timestamp", "value", "is_taken"), OBSERVED)
async def test_a_bad_signal_is_caught_here_and_refused_there(rig, name, timestamp, value, is_taken):
    assert bool(fault(Signal(name, timestamp, value), START)) is not is_taken
    assert (sandbox.signal_fault({"name": name, "timestamp": timestamp, "value": value}) == "") is is_taken
    signals = [{"name": "speed", "timestamp": STAMP, "value": 1}] * (not is_taken)
    data = {"signals": [*signals, {"name": name, "timestamp": timestamp, "value": value}]}
    header = await header_of(rig)
    network = await rig.open()
    sending = network.send(cloudevent.event(header, json.dumps(data).encode()))
    if is_taken:
        await sending
        assert len(rig.ledger.signals) == 1
    else:
        with pytest.raises(RefusedError, match="http_400"):
            await sending
        assert rig.ledger.signals == []  # the good one is lost as well
        assert rig.ledger.raw == 1


async def header_of(rig, **changes) -> cloudevent.Header:
    network = await rig.open()
    made = await rig.event(network)
    known = {name: made[name] for name in cloudevent.Header.__struct_fields__ if name in made}
    return cloudevent.Header(**(known | changes))


# What we make of a row.


@given(st.sampled_from(sorted(POINTS)), st.data())
def test_a_value_is_the_same_in_dimos_unit_and_back(name, data):
    point = POINTS[name]
    places = 0 if SIGNALS[point.signal] == "0/1" else 3
    value = data.draw(st.decimals(point.low, point.high, places=places))
    (signal,), left_out = dimo_signals.signals([Reading(START, {name: value})])
    told = json.loads(json.dumps(dimo_signals.as_json(signal), default=raw_number), parse_float=Decimal)
    assert Decimal(told["value"]).scaleb(point.exponent) == value
    assert (told["name"], told["timestamp"]) == (point.signal, STAMP)
    assert not left_out
    assert not fault(signal, START)


def raw_number(raw):
    text = bytes(raw).decode()
    return int(text) if text.lstrip("-").isdigit() else float(text)


@given(st.dictionaries(st.sampled_from([*POINTS, "power", "fuel_type", "x"]), st.decimals(), max_size=8))
def test_whatever_is_read_only_what_dimo_takes_is_told(values):
    found, left_out = dimo_signals.signals([Reading(START, values)])
    good = dimo_signals.checked(found, START, left_out)
    encoded = [dimo_signals.as_json(signal) for signal in good]
    assert all(not sandbox.signal_fault(one | {"value": raw_number(one["value"])}) for one in encoded)
    assert len(good) + left_out.total() >= len(values.keys() & POINTS.keys())


def test_battery_power_keeps_its_sign_and_charging_power_is_in_kilowatts():
    rows = [row(0, battery_power=-15_000, charging=0), row(1, battery_power=11_040, charging=1)]
    found, _ = dimo_signals.signals(rows)
    told = [(signal.name, dimo_signals.number_text(signal.value)) for signal in found]
    assert told == [
        ("powertrainTractionBatteryCurrentPower", "-15000"),
        ("powertrainTractionBatteryChargingIsCharging", "0"),
        ("powertrainTractionBatteryCurrentPower", "11040"),
        ("powertrainTractionBatteryChargingIsCharging", "1"),
        ("powertrainTractionBatteryChargingPower", "11.04"),
    ]


def test_what_cannot_be_true_costs_only_itself():
    rows = [row(0, soc=104, speed=50, charging="0.5", odometer="NaN", voltage=400)]
    found, left_out = dimo_signals.signals(rows)
    assert [signal.name for signal in found] == ["speed"]
    assert left_out == {"out_of_range": 2, "not_a_number": 1}


def test_what_is_dated_ahead_or_told_twice_is_left_out():
    left_out = Counter()
    late, last = (Signal("speed", cloudevent.stamp(START + ahead), Decimal(1)) for ahead in (300_001, 300_000))
    assert dimo_signals.checked([late, last, last], START, left_out) == [last]
    assert left_out == {"future": 1, "twice": 1}


def test_rows_are_told_at_the_owners_spacing():
    rows = [Reading(START + at * 10_000, {}) for at in range(30)]
    assert [one.unix_ms - START for one in dimo_signals.spaced(rows, MINUTE)] == [0, 60_000, 120_000, 180_000, 240_000]


@pytest.mark.parametrize(
    ("rows", "is_fed"),
    [
        ([row(0, speed=0), row(1, speed=0)], True),
        ([row(0, speed=0, charging=1), row(1, speed=30, charging=0)], False),
        ([row(0, charging=1), row(1, plugged=1, charging=0)], True),
        ([row(0, charging=1), row(1, charging=0)], False),
        ([row(0, battery_power=7000)], False),
        ([], False),
    ],
)
def test_braking_is_not_taken_for_charging(rows, is_fed):
    assert dimo_signals.fed_from_outside(rows) is is_fed


# The adapter.


async def test_a_window_is_one_event(rig):
    network = await rig.open()
    made = await rig.event(network, report(0, 580_000))
    assert made["subject"] == "did:erc721:80002:0x45fbCD3ef7361d156e8b16F5538AE36DEdf61Da8:555"
    assert made["producer"].endswith(":777")
    assert made["source"] == sandbox.LICENCE
    assert (made["time"], made["dataversion"]) == ("2026-09-22T00:05:00.000Z", "default/v1.0")
    assert made["data"].keys() == {"signals"}
    by_name = Counter(signal["name"] for signal in made["data"]["signals"])
    assert by_name["speed"] == 5
    added = [one for one in made["data"]["signals"] if one["name"] == dimo_signals.ADDED_ENERGY]
    assert added == [{"name": dimo_signals.ADDED_ENERGY, "timestamp": "2026-09-22T00:05:00.000Z", "value": 0.58}]


async def test_everything_good_is_taken_and_the_same_again_changes_nothing(rig):
    network = await rig.open()
    memory = {}
    for number in range(3):
        draft = await network.validate([report(number)], memory)
        memory = draft.memory
        signed = await network.sign(draft.body)
        assert signed == draft.body
        receipt = await network.send(signed)
        assert await network.send(signed) == receipt
        assert receipt.detail == {"left_out": "", "status": 200}
    counts = rig.ledger.counts()
    assert counts == {"taken": 3, "again": 3, "conflicts": 0, "refused": {}}
    assert not rig.ledger.pruned
    assert {subject for subject, _, _ in rig.ledger.signals} == {"555"}


async def test_a_bad_value_costs_only_itself_and_is_counted(rig):
    rig.rows[1].values["soc"] = Decimal(250)
    network = await rig.open()
    draft = await network.validate([report()], {})
    receipt = await network.send(draft.body)
    assert receipt.detail["left_out"] == "out_of_range:1"
    assert network.left_out == {"out_of_range": 1}
    assert len([name for _, name, _ in rig.ledger.signals if name == "speed"]) == 5


async def test_a_session_grows_until_the_car_leaves(rig):
    rig.rows[12:] = [row(minute, soc=70, speed=40, battery_power=9000, charging=0) for minute in range(12, 15)]
    network = await rig.open()
    memory, added = {}, []
    for number in range(3):
        draft = await network.validate([report(number, 500_000)], memory)
        memory = draft.memory
        signals = json.loads(draft.body)["data"]["signals"]
        added += [one["value"] for one in signals if one["name"] == dimo_signals.ADDED_ENERGY]
    assert added == [0.5, 1]
    assert (memory[f"{KID}/0 mwh"], memory[f"{KID}/0 until"]) == (0, 0)


async def test_a_window_of_several_intervals_is_told_in_order(rig):
    network = await rig.open()
    made = await rig.event(network, report(0, 500_000), report(1, 250_000), report(2, verdict="quarantined"))
    added = [one["value"] for one in made["data"]["signals"] if one["name"] == dimo_signals.ADDED_ENERGY]
    assert added == [0.5, 0.75]
    assert len([one for one in made["data"]["signals"] if one["name"] == "speed"]) == 10


async def test_the_vin_and_the_capacity_are_told_once_a_day_and_only_where_set(rig):
    car = {"token_id": 555, "synthetic_token_id": 777, "vin": "1HGBH41JXMN109186", "battery_kwh": 77.4}
    network = await rig.open(vehicles={"0": car})
    draft = await network.validate([report(0)], {})
    await network.send(draft.body)
    assert rig.ledger.fingerprints == 1
    assert ("555", dimo_signals.GROSS_CAPACITY, 77.4) in rig.ledger.signals
    made = await rig.event(network, report(1), memory=draft.memory)
    assert "vin" not in made["data"]
    assert dimo_signals.GROSS_CAPACITY not in {one["name"] for one in made["data"]["signals"]}


@pytest.mark.parametrize(
    ("rows", "changes", "reason"),
    [
        ([], {}, "no_signals"),
        ([row(0, fuel_type=4)], {}, "no_signals"),
        ([row(0, soc=101)], {}, "no_signals"),
        ([row(0, soc=50)], {"verdict": "quarantined", "reasons": ["unsettled_point"]}, "quarantined"),
    ],
)
async def test_what_has_nothing_to_tell_is_never_sent(rig, rows, changes, reason):
    rig.rows = rows
    network = await rig.open(vehicles={"vehicle": {"token_id": 1, "synthetic_token_id": 2, "battery_kwh": 50}})
    with pytest.raises(RefusedError) as caught:
        await network.validate([report(**changes)], {})
    assert caught.value.reason == reason


async def test_another_car_is_not_reported_as_this_one(rig):
    network = await rig.open()
    memory = (await network.validate([report()], {})).memory
    with pytest.raises(RefusedError, match="unknown_vehicle"):
        await network.validate([report(device="1")], memory)
    cars = {name: {"token_id": at, "synthetic_token_id": at} for at, name in enumerate(("vehicle", f"{KID}/1"), 5)}
    network = await rig.open(vehicles=cars)
    subjects = [(await rig.event(network, report(device=unit), memory=memory))["subject"][-2:] for unit in ("0", "1")]
    assert subjects == [":5", ":6"]


@pytest.mark.parametrize(
    ("fault_word", "wait_s"), [("error", 0), ("late_error", 0), ("lost", 0), ("timeout", 0), ("busy", 1)]
)
async def test_trouble_is_for_later_with_the_same_bytes(rig, fault_word, wait_s):
    await rig.serve(fault_word)
    network = await rig.open()
    signed = await network.sign((await network.validate([report()], {})).body)
    with pytest.raises(UnavailableError) as caught:
        await network.send(signed)
    assert caught.value.retry_after_s == wait_s
    await network.send(signed)
    assert rig.ledger.counts()["taken"] == 1
    assert rig.ledger.counts()["conflicts"] == 0


async def test_a_stranger_is_not_heard(rig, tmp_path):
    chain, key = Authority(tmp_path).issue(sandbox.LICENCE)
    network = await rig.open(certificate=str(chain), certificate_key=str(key))
    with pytest.raises(UnavailableError):
        await network.send((await network.validate([report()], {})).body)
    assert rig.ledger.raw == 0


async def test_an_identifier_must_have_its_form_and_a_header_its_size(rig):
    header = await header_of(rig)
    for changes, reason in (
        ({"id": "a;b"}, "bad_id"),
        ({"subject": "did#1"}, "bad_subject"),
        ({"type": "x" * 9000}, "header_too_long"),
    ):
        worse = cloudevent.Header(**({name: getattr(header, name) for name in header.__struct_fields__} | changes))
        with pytest.raises(RefusedError, match=r"bad_identifier|header_too_long"):
            cloudevent.event(worse, b"{}")
        body = cloudevent.event(header, b'{"signals":[]}')
        forged = json.dumps(json.loads(body) | changes).encode()
        network = await rig.open()
        with pytest.raises(RefusedError) as caught:
            await network.send(forged)
        assert reason in str(caught.value)


async def test_check_tells_of_certificate_clock_and_endpoint(rig):
    network = await rig.open()
    found = {check.subject: check for check in await network.check()}
    assert found.keys() == {"key", "clock", "endpoint", "gate"}
    assert all(check.ok for check in found.values())
    assert sandbox.LICENCE in found["key"].text
    assert rig.ledger.raw == 0


async def test_a_renewed_certificate_is_used_without_a_new_start(rig, tmp_path):
    authority = Authority(tmp_path)
    chain, key = authority.issue(sandbox.LICENCE, days=5)
    network = await rig.open(certificate=str(chain), certificate_key=str(key))
    told = (await network.check())[0]
    assert (told.ok, "renew it" in told.text) == (False, True)
    authority.issue(sandbox.LICENCE)
    os.utime(chain, ns=(1, 1))  # a file system may be too slow to tell
    network.certificate.refresh()
    assert (await network.check())[0].ok
    key.chmod(0o644)
    os.utime(key, ns=(1, 1))
    with pytest.raises(UnavailableError, match="chmod 600"):
        await network.send(b'{"id":"a"}')


async def test_a_cars_own_rows_arrive_as_its_signals(rig):
    """From a board's signed integers to DIMO's units, through the gateway's database."""
    points = (("soc", "%", -1), ("speed", "km/h", 0), ("battery_power", "W", 1), ("odometer", "km", -1))
    stream = frame.Stream(
        "vehicle", "x", bytes(16), 1, tuple(frame.Point(*point, None) for point in points), None, None, False
    )
    author = Author(5, PIPELINE["GATEWAY"], START - MINUTE)
    author.streams(START - MINUTE // 2, stream, about={"unsettled_0": "odometer"})
    columns = ([615, 616, None], [0, 0, 3], [-35, 1104, 0], [123456] * 3)
    author.entries(START, [frame.Entry(0, 0, MINUTE, [frame.delta(column) for column in columns])])
    bench = PIPELINE["Bench"](author)
    bench.put(*author.frames)
    (view,) = bench.reader.streams()
    rig.rows = list(answers.readings_of(bench.reader, (view.board_key, view.device), START, START + LENGTH))
    network = await rig.open()
    told = [
        (one["name"], one["timestamp"][14:16], one["value"]) for one in (await rig.event(network))["data"]["signals"]
    ]
    soc, power = "powertrainTractionBatteryStateOfChargeCurrent", "powertrainTractionBatteryCurrentPower"
    assert told == [
        ("speed", "00", 0), (soc, "00", 61.5), (power, "00", -350),
        ("speed", "01", 0), (soc, "01", 61.6), (power, "01", 11040),
        ("speed", "02", 3), (power, "02", 0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"vehicles": {}}, r"vehicles: must name"),
        ({"chain_id": 7}, r"vehicle_contract: must be set"),
        ({"synthetic_contract": ""}, r"synthetic_contract: must be set"),
        ({"synthetic_contract": "0x12"}, r"settings\.synthetic_contract"),
        ({"certificate": "none.crt"}, r"get a new one"),
        ({"vehicles": {"0": {"token_id": 1, "synthetic_token_id": 2, "vin": "I"}}}, r"settings\.vehicles"),
        (
            {
                "vehicles": {
                    "0": {"token_id": 1, "synthetic_token_id": 2},
                    "1": {"token_id": 1, "synthetic_token_id": 3},
                }
            },
            r"once",
        ),
        ({"every": 5}, r"settings"),
    ],
)
async def test_wrong_settings_are_named(rig, settings, message):
    with pytest.raises(ConfigError, match=message):
        await rig.open(**settings)


async def test_a_certificate_of_somebody_else_is_named(rig, tmp_path):
    chain, key = Authority(tmp_path).issue("gateway")
    with pytest.raises(ConfigError, match="connection licence"):
        await rig.open(certificate=str(chain), certificate_key=str(key))


def test_fifty_a_second_and_no_more():
    turns = Pace(3000)
    assert [round(turns.reserve(10.0), 3) for _ in range(4)] == [0, 0.02, 0.04, 0.06]
    assert turns.reserve(11.0) == 0
    turns, rate = Pace(3000), sandbox.Rate(50)
    at_s = [100 + turns.reserve(100.0) for _ in range(1000)]
    assert not any(rate.is_over(moment) for moment in at_s)
    assert [rate.is_over(200.0) for _ in range(101)] == [False] * 100 + [True]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
SIGNALISH = st.dictionaries(
    st.sampled_from(["name", "timestamp", "value"]), JSON | st.sampled_from([STAMP, "speed", [], {}])
)
HEADER = ["id", "source", "producer", "subject", "time", "type", "signature", "datacontenttype"]


@given(
    st.dictionaries(st.sampled_from(HEADER), JSON | st.just(STAMP)),
    JSON | st.dictionaries(st.sampled_from(["vin", "signals", "events"]), JSON | st.lists(SIGNALISH, max_size=3)),
)
def test_the_servers_hear_anything(header, data):
    body = json.dumps(header | {"data": data}).encode()
    clock = SandboxClock()
    ingest = sandbox.Ingest(sandbox.DisLedger(), clock)
    attestations = their_statements.Attestations(Ledger(), clock, None)
    for take in (ingest._take, attestations._take):
        with suppress(their_events.BadEventError):
            take(body, sandbox.LICENCE)


def test_the_server_prunes_what_it_says_it_prunes():
    ledger = sandbox.DisLedger()
    ingest = sandbox.Ingest(ledger, SandboxClock(CIVIL.real_ms, CIVIL.civil_ms, 1))
    null = {"name": "currentLocationCoordinates", "timestamp": STAMP, "value": {"latitude": 0, "longitude": 0}}
    ahead = {"name": "speed", "timestamp": cloudevent.stamp(CIVIL.now_ms() + 400_000), "value": 1}
    once = {"name": "speed", "timestamp": STAMP, "value": 1}
    subject = f"did:erc721:{sandbox.CHAIN}:{sandbox.VEHICLES}:1"
    body = {"id": "a", "type": "x", "subject": subject, "producer": "p", "time": STAMP}
    ingest._take(json.dumps(body | {"data": {"vin": "no", "signals": [null, ahead, once, once]}}).encode(), "0x1")
    assert ledger.pruned == {"null_island": 1, "future": 1, "twice": 1}
    assert ledger.fingerprints == 0
    ingest._take(
        json.dumps(body | {"subject": "did:erc721:1:" + "0x" + "0" * 40 + ":1", "data": {"signals": [once]}}).encode(),
        "0x1",
    )
    assert ledger.pruned["foreign_subject"] == 1
    for data, reason in (({}, "unknown_type"), ({"events": [{"name": "tripStart"}]}, "bad_event_tripStart")):
        with pytest.raises(their_events.BadEventError, match=reason):
            ingest._take(json.dumps(body | {"data": data}).encode(), "0x1")
