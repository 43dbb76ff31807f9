"""Looking for devices: real Modbus servers on loopback addresses, a serial port, and what is no device at all."""

import asyncio
import json
import runpy
import sys
from pathlib import Path

import pytest
from pymodbus.constants import ExcCodes

from wattness.config import parse
from wattness.devices import parse_address
from wattness.discover import ground, known, scan
from wattness.discover.ground import Ground, Limits, parse_lan, parse_lines, parse_units
from wattness.discover.propose import propose, section
from wattness.discover.scan import Search
from wattness.errors import ConfigError
from wattness.modbus.device import Device as MeteredDevice
from wattness.modbus.line import Line
from wattness.profiles import profiles_dir

WORLD = runpy.run_path(str(Path(__file__).with_name("discover_world.py")))
Device, Nonsense = WORLD["Device"], WORLD["Nonsense"]
answering, bus, plugged, search = WORLD["answering"], WORLD["bus"], WORLD["plugged"], WORLD["search"]
served, summary, sunspec = WORLD["served"], WORLD["summary"], WORLD["sunspec"]
LIMITS, common, inverter, nameplate = WORLD["LIMITS"], WORLD["common"], WORLD["inverter"], WORLD["nameplate"]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="OTHER SYSTEMS HAVE ONE LOOPBACK ADDRESS ONLY")


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(scan, "PAUSE_MS", 10)


async def test_an_inverter_says_what_it_is(port):
    words = sunspec(common("Acme", "Sun 10", "A1"), inverter(), nameplate(1000))
    device = Device(words)
    async with served("127.0.0.2", port, device):
        survey = await search("127.0.0.0/29", port)
    assert summary(survey) == [("127.0.0.2", "tcp", 1, "sunspec", "pv", "certain")]
    (found,) = survey.found
    assert (found.maker, found.model, found.serial) == ("Acme", "Sun 10", "A1")
    assert found.offers[0].rated_w == 10_000
    assert survey.counts == {"asked": 6, "finished": 6, "open": 1, "closed": 5}
    assert survey.complete
    assert {code for code, *_ in device.requests} <= {3, 4}, "it only reads"


def recorded(profile):
    """Return the registers of a device as its profile's frames have them."""
    form = json.loads((profiles_dir() / "frames" / f"{profile}.json").read_text())
    words = {}
    for request, answer in ((bytes.fromhex(one), bytes.fromhex(two)) for one, two in form["cases"][0]["exchanges"]):
        address = int.from_bytes(request[2:4], "big")
        data = answer[3:-2]
        words |= {address + at // 2: int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)}
    return words


@pytest.mark.parametrize(("number", "confidence"), [(1648, "certain"), (1653, "certain"), (1654, "possible")])
async def test_a_meter_is_known_by_its_model_number(port, number, confidence):
    words = dict.fromkeys(range(100), 0) | recorded("carlo_gavazzi_em24_e1") | {0x0B: number}
    async with served("127.0.0.2", port, Device(words, code=4)):
        survey = await search("127.0.0.2", port)
    (offer,) = survey.found[0].offers
    assert (offer.profile, offer.role, offer.confidence) == ("carlo_gavazzi_em24_e1", "grid", confidence)


@pytest.mark.parametrize(("maker", "profile"), [("Fronius", "fronius_sunspec"), ("SMA", "sma_sunspec")])
async def test_a_makers_own_profile_goes_first(port, maker, profile):
    async with served("127.0.0.2", port, Device(sunspec(common(maker, "X", "1"), inverter()))):
        survey = await search("127.0.0.2", port)
    assert [(offer.profile, offer.role) for offer in survey.found[0].offers] == [(profile, "pv")]


async def test_a_solaredge_is_known_by_its_own_words(port):
    words = dict.fromkeys(range(40000, 40300), 0) | sunspec(common("SolarEdge ", "SE7K", "7E", length=65), inverter())
    async with served("127.0.0.2", port, Device(words)):
        survey = await search("127.0.0.2", port)
    offers = {offer.role: offer for offer in survey.found[0].offers}
    assert (offers["pv"].profile, offers["pv"].confidence) == ("solaredge_inverter", "certain")
    assert "SolarEdge" in offers["pv"].why


async def test_a_map_with_values_that_cannot_be_is_doubtful(port):
    async with served("127.0.0.2", port, Device(sunspec(common("Acme", "X", "1"), inverter(frequency=500)))):
        survey = await search("127.0.0.2", port)
    (offer,) = survey.found[0].offers
    assert offer.confidence == "possible"
    assert "frequency of 5 cannot be" in offer.why


async def test_a_sunspec_meter_and_another_unit_behind_the_same_address(port):
    meters = WORLD["wire"](("1:sunspec_inverter:home.pv", "240:sunspec_meter:home.grid"), WORLD["StoppedClock"]())
    async with served("127.0.0.3", port, *meters):
        survey = await search("127.0.0.3", port, units=(1, 240))
    assert summary(survey) == [
        ("127.0.0.3", "tcp", 1, "sunspec", "pv", "certain"),
        ("127.0.0.3", "tcp", 240, "sunspec", "grid", "certain"),
    ]


async def test_a_device_that_answers_by_any_unit_is_one(port):
    devices = [Device(sunspec(common("Acme", "X", "1"), inverter()), unit=unit) for unit in (1, 126)]
    async with served("127.0.0.2", port, *devices):
        survey = await search("127.0.0.2", port, units=(1, 126))
    assert [found.unit for found in survey.found] == [1]


async def test_units_that_nobody_has_are_no_devices(port):
    async with served("127.0.0.2", port, Device(sunspec(common("Acme", "X", "1"), inverter()))):
        survey = await search("127.0.0.2", port, units=())
    assert ([found.unit for found in survey.found], survey.mute) == ([1], [])


@pytest.mark.parametrize("manner", [ExcCodes.DEVICE_FAILURE, ExcCodes.DEVICE_BUSY, "silent"])
async def test_a_device_that_minds_registers_it_does_not_have(port, manner):
    device = WORLD["Minding"](WORLD["DEYE"], manner)
    async with served("127.0.0.2", port, device):
        survey = await search("127.0.0.2", port)
    profiles = {offer.profile for found in survey.found for offer in found.offers}
    if manner == "silent":  # too many silences, then it is named and left alone
        assert profiles == set()
        assert "not to the end" in survey.mute[0].why
    else:
        assert profiles == {"deye_sunsynk_1p"}


async def test_a_hybrid_is_offered_as_each_of_its_roles(port):
    async with served("127.0.0.2", port, Device(WORLD["DEYE"])):
        survey = await search("127.0.0.2", port)
    (found,) = survey.found
    assert {(offer.profile, offer.role) for offer in found.offers} == {
        ("deye_sunsynk_1p", role) for role in ("pv", "grid", "load", "battery")
    }
    assert {str(offer.confidence) for offer in found.offers} == {"possible"}
    assert "answers like deye_sunsynk_1p" in found.offers[0].why


@pytest.mark.parametrize(("kind", "profile"), [("sdm120", "eastron_sdm120"), ("sdm630", "eastron_sdm630")])
async def test_an_eastron_behind_a_converter(port, kind, profile):
    async with bus("127.0.0.4", port, f"1:{kind}:home.grid"):
        survey = await search("127.0.0.4", port, limits=LIMITS._replace(answer_s=0.4))
    assert summary(survey)[0] == ("127.0.0.4", "rtu+tcp", 1, profile, "grid", "possible")
    assert not survey.mute


@pytest.mark.parametrize(
    "words",
    [sunspec(common("Acme", "X", "1"), inverter()), sunspec(common("SMA", "X", "1"), inverter()), WORLD["DEYE"]],
)
async def test_what_is_proposed_can_be_metered(port, tmp_path, words):
    async with served("127.0.0.2", port, Device(words)):
        survey = await search("127.0.0.2", port)
        text = "".join(section(one) for one in propose(survey.found, []))
        for settings in parse(text, tmp_path).device:
            line = Line(parse_address(settings.url, "url"))
            device = MeteredDevice(settings, line)
            await device.identify()
            assert (device.stream().role, await device.poll() is None) == (settings.role, False)
            line.close()


@pytest.mark.parametrize("seed", range(8))
async def test_nonsense_is_no_device(port, seed):
    async with served("127.0.0.5", port, Nonsense(seed)):
        survey = await search("127.0.0.5", port)
    assert survey.found == []
    assert "nothing that a profile knows" in survey.mute[0].why


async def test_an_unknown_device_is_named_once(port):
    devices = [Nonsense(1), Device({5: 1}, unit=126), Device({7: 1}, unit=240)]
    async with served("127.0.0.5", port, *devices):
        survey = await search("127.0.0.5", port, units=(1, 126, 240))
    assert [mute.why for mute in survey.mute] == ["unit 1 answers, and is nothing that a profile knows"]


async def test_a_line_at_another_speed_is_not_taken_for_a_device(monkeypatch):
    monkeypatch.setattr(known, "SERIAL_BAUDS", (9600,))
    async with plugged("2:sdm120:home.pv", garble=True) as path:
        survey = await Search(Ground(lines=parse_lines([path]), units=(2,)), LIMITS).run()
    assert survey.found == []
    assert "the baud rate" in survey.mute[0].why


async def test_who_says_nothing_is_named(port):
    async with answering("127.0.0.6", port, WORLD["silent"]), answering("127.0.0.7", port, WORLD["garbling"]):
        survey = await search(["127.0.0.6", "127.0.0.7", "127.0.0.8"], port, limits=LIMITS._replace(answer_s=0.05))
    assert survey.found == []
    whys = {mute.address.host: mute.why for mute in survey.mute}
    assert "another program may hold the only one" in whys["127.0.0.6"]
    assert "no answer in Modbus" in whys["127.0.0.7"]
    assert "127.0.0.8" not in whys, "nobody listens there"
    assert survey.counts["closed"] == 1


async def test_a_device_that_takes_one_connection(port, free_ports):
    (behind,) = free_ports(1)
    device = Device(sunspec(common("Acme", "X", "1"), inverter()))
    async with (
        served("127.0.0.2", behind, device),
        answering("127.0.0.8", port, WORLD["lonely"](("127.0.0.2", behind))),
    ):
        survey = await search("127.0.0.8", port)
    assert summary(survey) == [("127.0.0.8", "tcp", 1, "sunspec", "pv", "certain")]


async def test_what_the_gateway_reads_is_left_alone(port):
    device = Device(sunspec(common("Acme", "X", "1"), inverter()))
    busy = frozenset([scan.Address("tcp", "127.0.0.2", port)])
    async with served("127.0.0.2", port, device):
        survey = await search("127.0.0.2", port, busy=busy)
    assert (survey.counts["busy"], device.requests, survey.complete) == (1, [], True)


async def test_time_is_up_and_what_was_found_is_kept(port):
    device = Device(sunspec(common("Acme", "X", "1"), inverter()))
    async with served("127.0.0.2", port, device), answering("127.0.0.6", port, WORLD["silent"]):
        limits = LIMITS._replace(answer_s=60, total_s=3)
        survey = await search(["127.0.0.2", "127.0.0.6"], port, limits=limits)
    assert not survey.complete
    assert (len(survey.found), survey.counts["unfinished"]) == (1, 1)


async def test_one_device_may_not_take_all_the_time(port):
    async with answering("127.0.0.6", port, WORLD["silent"]):
        survey = await search("127.0.0.6", port, limits=LIMITS._replace(answer_s=60, device_s=0.1))
    assert "not done within 0.1 s" in survey.mute[0].why


async def test_a_serial_port(monkeypatch):
    monkeypatch.setattr(known, "SERIAL_BAUDS", (115_200, 9600))
    async with plugged("2:sdm120:home.pv", "3:sdm630:home.grid") as path:
        lines = parse_lines([f"{path}?baud=115200"])
        survey = await Search(Ground(lines=lines, units=(1, 2, 3)), LIMITS).run()
        assert [entry[1:5] for entry in summary(survey)] == [
            ("serial", 2, "eastron_sdm120", "grid"),
            ("serial", 3, "eastron_sdm630", "grid"),
        ]
        assert survey.found[0].address.baud == 115_200
        found_out = await Search(Ground(lines=parse_lines([path]), units=(2,)), LIMITS).run()
        assert found_out.found[0].address.baud == 115_200
        nobody = await Search(Ground(lines=lines, units=(9,)), LIMITS).run()
        assert "look at the wires A and B" in nobody.mute[0].why


async def test_connections_are_few_at_once_and_not_too_fast(port):
    most, now = 0, 0

    async def slow(reader, writer):
        nonlocal most, now
        now += 1
        most = max(most, now)
        await reader.read(1)
        now -= 1

    async with answering("0.0.0.0", port, slow):
        limits = Limits(parallel=2, examined=1, rate_hz=1e6, answer_s=0.01, device_s=0.02)
        survey = await search("127.0.1.0/28", port, limits=limits)
    assert survey.counts["open"] == 14
    assert most <= 5, "two that knock, one that is asked, and those just ended"


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["10.0.0.0/19"], "8192 addresses, more than 4096"),
        (["10.0.0.0/20", "10.1.0.0/24"], "more than 4096"),
        (["8.8.8.0/24"], "not private"),
        (["224.0.0.0/28"], "no network of devices"),
        (["fd00::/64"], "no more than 65536"),
        (["home"], "no network"),
        (["10.0.0.0/33"], "no network"),
    ],
)
def test_networks_that_are_refused(texts, words):
    with pytest.raises(ConfigError, match=words):
        parse_lan(texts)


def test_networks_that_are_scanned():
    assert [str(each) for each in parse_lan(["192.168.1.7/24", "192.168.1.0/24"])] == ["192.168.1.0/24"]
    assert parse_lan(["8.8.8.8"], force=True)
    assert parse_lan(["10.0.0.0/16"], force=True)
    with pytest.raises(ConfigError, match="no more than 65536"):
        parse_lan(["10.0.0.0/15"], force=True)
    targets = list(Ground(parse_lan(["10.0.0.0/30"]), (502, 1502)).targets())
    assert [(each.host, each.port) for each in targets] == [
        (h, p) for h in ("10.0.0.1", "10.0.0.2") for p in (502, 1502)
    ]


def test_units_and_ports_in_words():
    assert parse_units("1-3, 126,2") == (1, 2, 3, 126)
    for text in ("", "3-1", "256", "a", "1-", "-1", "1--2", "9" * 50):
        with pytest.raises(ConfigError, match="--units"):
            parse_units(text)
    with pytest.raises(ConfigError, match="There is no port /dev/nothing; "):
        parse_lines(["/dev/nothing"])
    with pytest.raises(ConfigError, match="whole path"):
        parse_lines(["ttyUSB0"])
    with pytest.raises(ConfigError, match="baud is one of"):
        parse_lines(["/dev/null?baud=12"])


def test_no_network_to_propose(monkeypatch):
    monkeypatch.setattr(ground, "FOREIGN_HOST", ("127.0.0.1", 9))
    assert str(ground.own_network()) == "127.0.0.0/24"
    monkeypatch.setattr(ground, "FOREIGN_HOST", ("255.255.255.255", 9))
    with pytest.raises(ConfigError, match="say where to look"):
        ground.own_network()


async def test_a_search_can_be_stopped(port):
    async with answering("127.0.0.6", port, WORLD["silent"]):
        task = asyncio.create_task(search("127.0.0.6", port, limits=LIMITS._replace(answer_s=60)))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
