"""Arkreen's two kinds of report: known answers, what is sent of what was measured, and what its server says to it."""

import json
import random
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from runpy import run_path

import msgspec
import pytest
from eth_keys.datatypes import Signature
from hypothesis import given, settings
from hypothesis import strategies as st

from civilclock import Clock as SandboxClock
from emulator.networks import arkreen as sandbox
from wattness.errors import ConfigError, RefusedError, UnavailableError
from wattness.networks import arkreen, arkreen_consumption, base58, http, meter
from wattness.networks.ethereum import keccak256
from wattness.networks.jsonrpc import JsonRpc

WORLD = run_path(str(Path(__file__).with_name("meter_world.py")))
HOUR, KEY, LENGTH, OTHER_KEY, START = (WORLD[name] for name in ("HOUR", "KEY", "LENGTH", "OTHER_KEY", "START"))
Gateway, Lives, World = (WORLD[name] for name in ("Gateway", "Lives", "World"))
hour, interval = (WORLD[name] for name in ("hour", "interval"))

A1_ADDRESS = "0x1134e1FEcA30FE9EAF77222b30C6CC571b33CD52"
A1 = [
    "010064abb9db0000000069780000000016820620",
    "010064abbb070000000069780000000016820620",
    "010064abbc330000000115580000000016820620",
    "010064abbd5f0000000069780000000016825440",
    "010064abbe8b0000000069780000000016825440",
    "010064abbfb70000000121100000000016825440",
    "010064abc0e30000000121100000000016825440",
    "010064abc20f00000000fde80000000016825440",
    "010064abc33b00000000b3b0000000001682a260",
    "010064abc46700000000fa00000000001682a260",
    "010064abc59300000000f618000000001682a260",
    "010064abc6bf00000000cb20000000001682a260",
]
A1_SIGNATURE = "2rj9DbrxzGniLcYL9GUfsVSTKSS3muEh8UU4n9E46Mm6oMDApdTHW7WJfaMMhqwNwZmhPs6DQNacrBnwpQRpCxfa8"
A2 = (
    '{"version":1,"address":"0x499F455FEd78a78fD462a617974Fa494Fa31D000",'
    '"dataList":["01006553f16400000016e36000000000075bca00"]}'
)
A2_SIGNATURE = "53K4GP43AkEc9GSCVkBDGvzEZHXPEGTUGP4LCafU7Phq8RuEmtgWpRGsFfzPax3NwkG14i1gN6yrwhxyheLaAD5Ep"


SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=9)


@pytest.fixture
async def world():
    async with AsyncExitStack() as stack:
        yield World("arkreen", sandbox.serving, arkreen.open_network, stack, after_h=6)


@pytest.fixture
async def shop():
    """The same for consumption."""
    async with AsyncExitStack() as stack:
        serving, opener = sandbox.serving_consumption, arkreen_consumption.open_network
        yield World("arkreen_consumption", serving, opener, stack)


async def opened(world, **changes):
    return await world.open(window_s=3600, **changes)


def params(signed):
    return json.loads(signed)["params"]


def sent(signed):
    """The samples in a request, as the sandbox reads them."""
    return [tuple(sample) for sample in sandbox.samples_of(params(signed)["dataList"])]


def load(number, mwh=1000, **changes):
    return interval(START + number * LENGTH, {"energy_import": mwh}, mwh * 12, role="load", **changes)


def test_known_answer_of_arkreen():
    samples = sandbox.samples_of(A1)
    assert [arkreen.encode(*sample) for sample in samples] == A1
    value = {"version": 1, "address": A1_ADDRESS, "dataList": A1}
    assert sandbox.signer_of(value | {"signature": A1_SIGNATURE}) == A1_ADDRESS
    raw = sum(58**at * sandbox.BITCOIN[c] for at, c in enumerate(reversed(A1_SIGNATURE))).to_bytes(65, "big")
    assert base58.encode(raw) == A1_SIGNATURE
    body = json.dumps(value, separators=(",", ":")).encode()
    assert Signature(raw).recover_public_key_from_msg_hash(keccak256(body)).to_checksum_address() == A1_ADDRESS


async def test_known_answer_of_ours(world):
    await world.serve()
    network = await opened(world)
    assert network._draft("", [(1_700_000_100, 1_500_000, 123_456_000)]).body.decode() == A2
    signed = params(await network.sign(A2.encode()))
    assert signed.pop("signature") == A2_SIGNATURE
    assert json.dumps(signed, separators=(",", ":")) == A2


@given(st.integers(0, (1 << 40) - 1), st.integers(0, (1 << 48) - 1), st.integers(0, (1 << 64) - 1))
def test_samples_are_read_as_they_were_written(unix_s, mw, mwh):
    assert sandbox.samples_of([arkreen.encode(unix_s, mw, mwh)]) == [(unix_s, mw, mwh)]


@given(st.tuples(*[st.integers(-(1 << 70), 1 << 70)] * 3))
def test_what_does_not_fit_is_refused_and_never_wrapped(sample):
    if all(0 <= value < 1 << bits for value, bits in zip(sample, (40, 48, 64), strict=True)):
        return
    with pytest.raises(RefusedError, match="out_of_range"):
        arkreen.encode(*sample)


@given(st.binary(max_size=70))
def test_base58_keeps_every_byte(data):
    text, number = base58.encode(data), 0
    for letter in text:
        number = number * 58 + sandbox.BITCOIN[letter]
    zeros = len(text) - len(text.lstrip("1"))
    assert bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big") == data


@given(st.integers(-(1 << 50), 1 << 50), st.sampled_from(["pv", "load", "battery", "charger"]))
def test_power_counts_in_the_direction_of_its_energy(mean, role):
    """Of pv + is generation; of all others + is what they take."""
    report = interval(START, {}, mean, role=role)
    generated, drawn = meter.power_mw(report, meter.EXPORT), meter.power_mw(report, meter.IMPORT)
    assert (generated - drawn) == (mean if role == "pv" else -mean)
    assert min(generated, drawn) == 0


@given(st.integers(0, 1 << 40), st.integers(1, LENGTH))
def test_power_without_its_own_point_is_the_counters(mwh, covered_ms):
    report = interval(START, {"energy_export": mwh}, covered_ms=covered_ms)
    mw = meter.power_mw(report, meter.EXPORT)
    assert mw * covered_ms <= mwh * HOUR < (mw + 1) * covered_ms


async def test_a_plant_joins_with_nothing_and_goes_on_from_there(world):
    await world.serve()
    gateway = Gateway(await opened(world))
    await gateway.deliver(hour(0))
    assert sent(gateway.signed) == [((START + HOUR) // 1000, 0, 0)]
    receipt = await gateway.deliver(hour(1))
    assert receipt.id == "200"
    at = (START + HOUR) // 1000
    assert sent(gateway.signed) == [(at + 300 * n, 600_000, 50_000 * n) for n in range(1, 13)]
    assert gateway.memory["energy_mwh"] == 600_000
    assert world.counts == {"taken": 2, "again": 0, "conflicts": 0, "refused": {}}


async def test_a_missing_interval_gives_no_sample_and_no_energy(world):
    await world.serve()
    gateway = Gateway(await opened(world))
    await gateway.deliver(hour(0))
    reports = hour(1)
    at = START + HOUR
    reports[3] = interval(at + 3 * LENGTH, {"energy_export": 0}, covered_ms=0)
    reports[5] = interval(at + 5 * LENGTH, {"energy_export": 77_000}, verdict="quarantined", reasons=["too_much"])
    del reports[8]
    await gateway.deliver(reports)
    stamps = [(unix_s - at // 1000) // 300 for unix_s, _, _ in sent(gateway.signed)]
    assert stamps == [1, 2, 3, 5, 7, 8, 10, 11, 12]
    assert gateway.memory["energy_mwh"] == 9 * 50_000
    assert world.counts["taken"] == 2


@pytest.mark.parametrize(
    ("reports", "reason"),
    [
        (hour(1, verdict="quarantined", reasons=["night"]), "quarantined: night"),
        (hour(1, covered_ms=0), "not_covered"),
        (hour(1, b=START), "interval_length"),
        ([interval(START + HOUR, {"energy_import": 5}, 60)], "no_energy"),
        (hour(1, device="1"), "second_stream"),
        (hour(1, board_key=b"b" * 32), "second_stream"),
        (hour(0), "not_ascending"),
        (hour(1, mwh=1 << 64), "out_of_range"),
    ],
)
async def test_what_arkreen_cannot_take_is_refused_before_it_is_signed(world, reports, reason):
    await world.serve()
    gateway = Gateway(await opened(world))
    await gateway.deliver(hour(0))
    with pytest.raises(RefusedError, match=reason):
        await gateway.make(reports)
    assert world.counts["refused"] == {}


async def test_another_stream_takes_over_when_the_owner_names_it(world):
    await world.serve()
    gateway = Gateway(await opened(world, devices=["1"]))
    await gateway.deliver(hour(0, device="0"))
    await gateway.deliver(hour(1, device="1"))
    assert gateway.memory["stream"].endswith("/1")
    assert world.counts["taken"] == 2


@pytest.mark.parametrize("fault", ["error", "late_error", "lost", "timeout", "busy"])
async def test_a_troubled_arkreen_gets_the_same_bytes_again(world, monkeypatch, fault):
    monkeypatch.setattr(arkreen, "TIMEOUT_S", 0.5)
    await world.serve("ok", fault)
    gateway = Gateway(await opened(world))
    await gateway.deliver(hour(0))
    with pytest.raises(UnavailableError):
        await gateway.deliver(hour(1))
    await gateway.network.send(gateway.signed)
    await gateway.network.send(gateway.signed)
    assert world.counts["taken"] == 2
    assert (world.counts["conflicts"], world.counts["refused"]) == (0, {})


@pytest.mark.parametrize("seed", range(4))
async def test_every_hour_arrives_once_whatever_goes_wrong(world, monkeypatch, seed):
    monkeypatch.setattr(arkreen, "TIMEOUT_S", 0.1)
    source = random.Random(seed)
    await world.serve(*source.choices(("ok", "ok", "error", "busy", "lost", "late_error", "twice", "timeout"), k=20))
    lives = Lives(seed, lambda: opened(world))
    for number in range(6):
        await lives.deliver(hour(number, mwh=1000 + number))
    counts = world.counts
    assert (counts["taken"], counts["conflicts"], counts["refused"], lives.refused) == (6, 0, {}, [])
    assert lives.memory["energy_mwh"] == 12 * sum(1000 + number for number in range(1, 6))


async def test_signing_again_gives_the_same_bytes(world):
    await world.serve()
    first, later = Gateway(await opened(world)), Gateway(await opened(world))
    assert await first.make(hour(0)) == await later.make(hour(0))
    assert await first.make(hour(1)) == await later.make(hour(1))


async def test_an_address_that_is_not_registered_makes_reports_wait(world):
    await world.serve(key=OTHER_KEY)
    network = await opened(world)
    with pytest.raises(UnavailableError, match="have it registered"):
        await network.validate(hour(0), {})
    gateway = Gateway(await opened(world, settings={"resume": False}))
    with pytest.raises(UnavailableError, match="have it registered"):
        await gateway.deliver(hour(0))
    assert [one.subject for one in await network.check() if not one.ok] == ["gate"]


async def test_check_names_the_key_and_knows_the_miner(world):
    await world.serve()
    found = {one.subject: one for one in await (await opened(world)).check()}
    assert all(one.ok for one in found.values())
    assert found.keys() == {"key", "endpoint", "clock", "gate"}
    assert "0x499F455FEd78a78fD462a617974Fa494Fa31D000" in found["key"].text
    assert world.counts["taken"] == 0


def sample(hours=3, mw=0, mwh=10_000_000):
    return arkreen.encode((START + hours * HOUR) // 1000, mw, mwh)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ([sample()] * 13, "bad_count"),
        ([], "bad_count"),
        ([sample(), sample()], "not_ascending"),
        ([sample(mwh=5)], "energy_smaller"),
        ([sample(hours=1)], "not_ascending"),
        ([sample(hours=9)], "in_future"),
        (["02" + sample()[2:]], "bad_sample"),
        ([sample().upper().replace("01", "AB", 1)], "bad_sample"),
        ([sample() + "00"], "bad_sample"),
    ],
)
async def test_the_sandbox_refuses_bad_content_though_it_is_signed(world, data, reason):
    await world.serve()
    gateway = Gateway(await opened(world))
    for number in (0, 1):
        await gateway.deliver(hour(number))
    value = {"version": 1, "address": gateway.network.address, "dataList": data}
    body = json.dumps(value, separators=(",", ":")).encode()
    signature = base58.encode(await KEY.sign_digest(keccak256(body)))
    call = {"jsonrpc": "2.0", "id": 1, "method": "tx_reportMinerPoGG", "params": value | {"signature": signature}}
    with pytest.raises(RefusedError, match="invalid_content"):
        await gateway.network.send(json.dumps(call).encode())
    assert world.counts["refused"] == {reason: 1}


@pytest.mark.parametrize("signature", ["", "0OIl", "1" * 90, "z" * 89, A2_SIGNATURE])
async def test_the_sandbox_refuses_bad_signatures(world, signature):
    await world.serve()
    gateway = Gateway(await opened(world))
    call = json.loads(await gateway.make(hour(0)))
    call["params"]["signature"] = signature
    with pytest.raises(RefusedError, match="invalid_signature"):
        await gateway.network.send(json.dumps(call).encode())
    assert world.counts["refused"] == {"bad_signature": 1}


@given(SCALARS, st.dictionaries(st.sampled_from(["version", "address", "dataList", "signature"]), SCALARS))
def test_the_sandbox_answers_anything_by_an_error_of_its_own(method, params):
    miners = sandbox.Miners(sandbox.Ledger(), KEY.public_key, SandboxClock())
    with pytest.raises(sandbox.ApiError):
        miners.report(params | {"address": miners.address}, b"")
    with pytest.raises(sandbox.ApiError):
        sandbox._call(json.dumps({"jsonrpc": "2.0", "method": method, "params": [params]}).encode())


async def test_other_samples_for_a_time_that_was_reported_are_a_conflict(world):
    await world.serve()
    gateway = Gateway(await opened(world))
    for number in (0, 1):
        await gateway.deliver(hour(number))
    forgetful = Gateway(gateway.network, {"stream": gateway.memory["stream"], "energy_mwh": 0, "unix_s": 0})
    with pytest.raises(RefusedError, match="invalid_content"):
        await forgetful.deliver(hour(1, mwh=51_000))
    assert world.counts["conflicts"] == 1


class TestLostMemory:
    """Arkreen tells only a sum, so what a lost life has claimed is counted off, and never claimed again."""

    async def test_a_restored_backup_leaves_out_what_arkreen_has(self, world):
        await world.serve()
        gateway = Gateway(await opened(world))
        for number in (0, 1):
            await gateway.deliver(hour(number))
        backup = dict(gateway.memory)
        for number in (2, 3):
            await gateway.deliver(hour(number))
        restored = Gateway(await opened(world), backup)
        for number in (2, 3):
            assert await restored.network.find(hour(number)) is None
            for _ in range(2):  # as often as it is asked
                with pytest.raises(RefusedError, match="claimed_before"):
                    await restored.make(hour(number))
        await restored.network.validate(hour(4, count=6), restored.memory)  # which the disk did not take
        await restored.deliver(hour(4, count=6))
        assert sent(restored.signed)[0][2] == 36 * 50_000 + 50_000
        assert world.counts["conflicts"] == 0

    async def test_an_hour_that_arkreen_has_in_part_is_sent_in_part(self, world):
        await world.serve()
        gateway = Gateway(await opened(world))
        for number in (0, 1):
            await gateway.deliver(hour(number))
        backup = dict(gateway.memory)
        await gateway.deliver(hour(2)[:6])
        restored = Gateway(await opened(world), backup)
        await restored.network.find(hour(2))
        await restored.deliver(hour(2))
        assert [mwh for _, _, mwh in sent(restored.signed)] == [50_000 * n for n in range(19, 25)]

    async def test_without_any_memory_it_goes_on_where_arkreen_stands_but_not_with_old_hours(self, world):
        await world.serve()
        gateway = Gateway(await opened(world))
        for number in (0, 1):
            await gateway.deliver(hour(number))
        lost = Gateway(await opened(world))
        with pytest.raises(RefusedError, match="before_resume"):
            await lost.make(hour(1))
        lost.network._life.began_ms -= 7 * HOUR // 2
        await lost.deliver(hour(2))
        assert sent(lost.signed)[0][2] == 650_000
        assert world.counts["conflicts"] == 0

    async def test_a_new_key_is_a_new_miner_that_begins_with_nothing(self, world):
        await world.serve()
        gateway = Gateway(await opened(world))
        for number in (0, 1):
            await gateway.deliver(hour(number))
        await world.serve(key=OTHER_KEY)
        rotated = Gateway(await opened(world, key=OTHER_KEY), dict(gateway.memory))
        await rotated.deliver(hour(2))
        assert [(mw, mwh) for _, mw, mwh in sent(rotated.signed)] == [(0, 0)]
        await rotated.deliver(hour(3))
        assert sent(rotated.signed)[0][2] == 50_000

    @pytest.mark.parametrize("total", ["", "-1", "1.5", "many", "9" * 5000, None, []])
    async def test_a_total_that_is_no_number_makes_reports_wait(self, world, total):
        await world.serve()
        network = await opened(world)
        network.rpc.client = Answering(200, {"id": 1, "result": {"totalEnergyGeneration": total}})
        with pytest.raises(UnavailableError):
            await network.validate(hour(0), {})

    @settings(max_examples=15, deadline=None)
    @given(st.lists(st.integers(1, 3), min_size=1, max_size=6), st.data())
    async def test_whatever_was_lost_is_claimed_once(self, energies, data):
        """What Arkreen ends with is what was measured since the plant joined, whichever backup came back."""
        hours = [hour(number, mwh, count=1) for number, mwh in enumerate([0, *energies])]
        async with AsyncExitStack() as stack:
            world = World("arkreen", sandbox.serving, arkreen.open_network, stack, after_h=20)
            await world.serve()
            gateway = Gateway(await opened(world))
            backups = []
            for reports in hours[:-1]:
                await gateway.deliver(reports)
                backups.append(dict(gateway.memory))
            at = data.draw(st.integers(0, len(backups) - 1))
            restored = Gateway(await opened(world), backups[at])
            for reports in hours[at + 1 : -1]:
                await restored.network.find(reports)
                with pytest.raises(RefusedError, match="claimed_before"):
                    await restored.make(reports)
            await restored.network.find(hours[-1])
            await restored.deliver(hours[-1])
            assert sent(restored.signed)[-1][2] == sum(energies)
            assert world.counts["conflicts"] == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"interval_s": 60}, r"\$\.interval\.length_s: is 60, .* set it to 300"),
        ({"window_s": 0}, r"window_s: Arkreen takes one report an hour"),
        ({"settings": {"reume": True}}, r"settings.*reume"),
        ({"url": "ftp://here"}, r"\.url"),
    ],
)
async def test_a_configuration_that_does_not_fit_says_what_would(world, changes, message):
    await world.serve()
    with pytest.raises(ConfigError, match=message):
        await world.open(**({"window_s": 3600} | changes))


class Answering:
    """A client whose endpoint answers what it is told to."""

    url = "http://test"

    def __init__(self, status, body):
        self.answer = http.Answer(status, body if isinstance(body, bytes) else json.dumps(body).encode())

    async def exchange(self, *_, **__):
        return self.answer


async def called(status, body):
    rpc = JsonRpc(Answering(status, body), {12207: "invalid_content"}, {12208: "register it"})
    return await rpc.call(b'{"id":1}')


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        ({"code": 12207, "message": "no"}, RefusedError, "invalid_content"),
        ({"code": "12207"}, RefusedError, "invalid_content"),
        (12207, RefusedError, "invalid_content"),
        ({"code": 9}, RefusedError, "code_9"),
        ({"code": -32602}, RefusedError, "code_-32602"),
        ({"code": -32601}, UnavailableError, "-32601"),
        ({"code": -32000}, UnavailableError, "-32000"),
        ({"code": 12208}, UnavailableError, "register it"),
        ({"message": "what?"}, UnavailableError, "what?"),
        ([], UnavailableError, "error"),
        ("9" * 5000, RefusedError, "code_9"),
    ],
)
async def test_errors_of_the_protocol_are_told_apart(status, error, kind, words):
    with pytest.raises(kind, match=words):
        await called(status, {"id": 1, "error": error})


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, b"bad request", RefusedError),
        (403, b"who are you?", UnavailableError),
        (404, b"<html>", UnavailableError),
        (302, b"", UnavailableError),
        (200, b"<html>welcome", UnavailableError),
        (200, [1], UnavailableError),
        (200, {"id": 2, "result": "200"}, UnavailableError),
        (200, {"id": 1}, UnavailableError),
        (200, b"[" * 100_000, UnavailableError),
    ],
)
async def test_only_a_clear_no_is_final(status, body, kind):
    with pytest.raises(kind):
        await called(status, body)


@settings(max_examples=50)
@given(SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.sampled_from(["code", "message"]), SCALARS))
async def test_any_answer_gives_a_result_or_a_network_error(value):
    for body in ({"id": 1, "error": value}, {"id": 1, "result": value}, value):
        with suppress(RefusedError, UnavailableError):
            await called(200, msgspec.json.encode(body))


class TestConsumption:
    async def test_the_counter_runs_on(self, shop):
        await shop.serve()
        gateway = Gateway(await shop.open())
        for number in range(3):
            receipt = await gateway.deliver([load(number)])
        assert receipt.id == "OK"
        assert params(gateway.signed) == {
            "clientId": shop.served.settings["client_id"],
            "power": 12_000,
            "energy": 3000,
        }
        assert "Bearer" not in gateway.signed.decode()
        assert shop.counts == {"taken": 3, "again": 0, "conflicts": 0, "refused": {}}

    async def test_it_may_begin_further_on(self, shop):
        await shop.serve()
        gateway = Gateway(await shop.open(settings={"start_mwh": 5_000_000}))
        await gateway.deliver([load(0)])
        assert params(gateway.signed)["energy"] == 5_001_000

    @pytest.mark.parametrize("fault", ["error", "late_error", "lost", "timeout", "busy"])
    async def test_trouble_gets_the_same_bytes_again(self, shop, monkeypatch, fault):
        monkeypatch.setattr(arkreen_consumption, "TIMEOUT_S", 0.5)
        await shop.serve(fault)
        gateway = Gateway(await shop.open())
        with pytest.raises(UnavailableError):
            await gateway.deliver([load(0)])
        await gateway.network.send(gateway.signed)
        assert (shop.counts["taken"], shop.counts["refused"]) == (1, {})

    async def test_a_late_report_is_left_out_and_its_energy_comes_with_the_next(self, shop):
        await shop.serve()
        gateway = Gateway(await shop.open(settings={"late_max_s": 2 * 3600}))
        with pytest.raises(RefusedError, match=r"late: it is of 10[0-9]{3} s ago"):
            await gateway.deliver([load(0)])
        await gateway.deliver([load(24)])
        assert params(gateway.signed)["energy"] == 2000
        assert shop.counts["taken"] == 1

    @pytest.mark.parametrize(
        ("report", "reason"),
        [
            (load(0, verdict="quarantined"), "quarantined"),
            (load(0, covered_ms=0), "not_covered"),
            (load(0, device="1"), "second_stream"),
            (interval(START, {"energy_export": 4}, 4, role="load"), "no_energy"),
            (load(0, mwh=1 << 53), "out_of_range"),
        ],
    )
    async def test_what_cannot_be_sent_is_refused(self, shop, report, reason):
        await shop.serve()
        gateway = Gateway(await shop.open(), {"stream": "00" * 32 + "/0", "energy_mwh": 0})
        with pytest.raises(RefusedError, match=reason):
            await gateway.make([report])

    async def test_a_smaller_counter_is_final_and_a_wrong_id_or_token_waits(self, shop):
        await shop.serve()
        gateway = Gateway(await shop.open())
        await gateway.deliver([load(0, mwh=9000)])
        with pytest.raises(
            RefusedError, match=r"energy_smaller: .* taken this energy already, or settings.start_mwh is low"
        ):
            await Gateway(gateway.network).deliver([load(1)])
        with pytest.raises(UnavailableError, match="client_id"):
            await Gateway(await shop.open(settings={"client_id": "0x" + "0" * 64})).deliver([load(1)])
        gateway.network._headers = {"authorization": "Bearer 0x00"}
        with pytest.raises(UnavailableError, match="token_file"):
            await gateway.deliver([load(2)])
        assert shop.counts["refused"] == {"energy_smaller": 1, "bad_client": 1, "bad_token": 1}

    async def test_a_slow_pace_is_only_taken_when_arkreen_agreed(self, shop):
        await shop.serve()
        with pytest.raises(ConfigError, match=r"every 180 s .* set it to 60 .*cadence_s = 300"):
            await shop.open(settings={"cadence_s": 180})
        assert await shop.open(interval_s=60, settings={"cadence_s": 180})

    @pytest.mark.parametrize(
        ("text", "mode", "message"),
        [("0x" + "a" * 63, 0o600, "64 hex digits"), ("0x" + "a" * 64, 0o644, "chmod 600"), (None, 0, "cannot be read")],
    )
    async def test_the_token_is_private_and_well_formed(self, shop, tmp_path, text, mode, message):
        await shop.serve()
        file = tmp_path / "token"
        if text is not None:
            file.write_text(text)
            file.chmod(mode)
        with pytest.raises(ConfigError, match=message):
            await shop.open(settings={"token_file": str(file)})

    async def test_check_asks_without_a_report(self, shop):
        await shop.serve()
        found = await (await shop.open()).check()
        assert all(one.ok for one in found)
        assert shop.counts["taken"] == 0

    async def test_it_waits_for_nothing_between_reports(self, shop):
        await shop.serve()
        network = await shop.open()
        assert await network.find([load(0)]) is None
        assert (await network.reconcile(-1)).rewards == []
