"""Dongle, battery monitors and adverts on the air: a real GATT client, and the decoders that board and gateway use."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from bumble.core import AdvertisingData
from bumble.device import Device, Peer

from emulator.radio.air import Air
from emulator.radio.car import Car, Ecu
from emulator.radio.dongle import FAMILIES, dongle, electric_car
from emulator.radio.elm import Elm327, Fault
from emulator.radio.monitors import KINDS, Pack, monitor
from emulator.radio.peripheral import Peripheral
from emulator.radio.victron import BATTERY, SOLAR, VictronDevice, battery_record, solar_record
from wattness.radio import decode_victron, find_vehicle
from wattwire import bms, elm327, elm_setup, obd
from wattwire.errors import WireError

ANSWER_S = 0.5


@pytest.fixture
async def air() -> AsyncIterator[Air]:
    air = Air()
    yield air
    await air.close()


class Client:
    """A central that is connected to one peripheral."""

    def __init__(self, notify: asyncio.Queue[bytes], write):
        self.heard, self.write = notify, write


async def connect(air: Air, peripheral: Peripheral) -> Client:
    central = await air.device("central")
    connection = await central.connect(peripheral.address)
    peer = Peer(connection)
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    source = sink = None
    for service in await peer.discover_services():
        for each in await service.discover_characteristics():
            if each.properties & each.properties.__class__.NOTIFY:
                source = each
            if each.properties & each.properties.__class__.WRITE:
                sink = each
    await source.subscribe(lambda data: heard.put_nowait(bytes(data)))
    return Client(heard, lambda data: sink.write_value(data, with_response=True))


async def ask(client: Client, command: str) -> list[str] | None:
    reader = elm327.Reader()
    await client.write(command.encode() + b"\r")
    while True:
        try:
            async with asyncio.timeout(ANSWER_S):
                lines = reader.feed(await client.heard.get())
        except TimeoutError:
            return None
        if lines is not None:
            return lines


async def converse(client: Client, dialogue):
    lines = None
    while True:
        try:
            command, _ = dialogue.send(lines)
        except StopIteration as end:
            return end.value
        lines = await ask(client, command)


@pytest.mark.parametrize("family", FAMILIES)
async def test_a_session_by_every_family_of_services(air: Air, family: str):
    elm = Elm327(electric_car())
    async with dongle(air, elm, family) as peripheral:
        client = await connect(air, peripheral)
        adapter = await converse(client, elm_setup.adapter())
        assert adapter == ("ELM327 v1.5", 14100, [])
        assert await converse(client, elm_setup.bus()) == "6"
        await converse(client, elm_setup.select("7E4", "7EC", [], elm_setup.Ears()))
        vehicle = find_vehicle("hyundai_kia_egmp")
        lines = await ask(client, "2201019")
        assert len(lines) == 9
        found = obd.values(obd.commands(vehicle, "7E4", "220101"), "220101", lines, set())
        assert found["soc"] == (165, 2)
        assert found["battery_voltage"] == (3813, 10)


@pytest.mark.parametrize(
    ("header", "answer", "request_", "name", "value"),
    [
        ("744", "74C", "22E003", "battery_voltage", (3814, 10)),
        ("7B3", "7BB", "220100", "speed", (50, 1)),
        ("7C6", "7CE", "22B002", "odometer", (54321, 1)),
        ("7E4", "7EC", "220105", "soh", (1000, 10)),
    ],
)
async def test_other_ecus_need_flow_control_of_their_own(header, answer, request_, name, value):
    elm = Elm327(electric_car())
    vehicle = find_vehicle("hyundai_kia_egmp")
    commands = obd.commands(vehicle, header, request_)
    await converse_text(elm, elm_setup.adapter())
    await converse_text(elm, elm_setup.bus("6"))
    await converse_text(elm, elm_setup.select(header, answer, [], elm_setup.Ears()))
    assert obd.values(commands, request_, await ask_text(elm, request_), set())[name] == value
    await ask_text(elm, "ATFCSM0")
    if header != "7E4":
        with pytest.raises(WireError, match="truncated"):
            obd.values(commands, request_, await ask_text(elm, request_), set())


async def ask_text(elm: Elm327, command: str) -> list[str] | None:
    """Without a radio between."""
    reader = elm327.Reader()
    await elm.hear(command.encode() + b"\r")
    try:
        async with asyncio.timeout(0.05):
            return reader.feed(await elm.say())
    except TimeoutError:
        return None


async def converse_text(elm: Elm327, dialogue):
    lines = None
    while True:
        try:
            command, _ = dialogue.send(lines)
        except StopIteration as end:
            return end.value
        lines = await ask_text(elm, command)


async def ready(elm: Elm327, header: str = "7DF", answer: str | None = None) -> None:
    await converse_text(elm, elm_setup.adapter())
    await converse_text(elm, elm_setup.bus("6"))
    await converse_text(elm, elm_setup.select(header, answer, [], elm_setup.Ears()))


async def test_two_ecus_answer_several_identifiers_and_the_lower_counts():
    elm = Elm327(electric_car())
    await ready(elm)
    vehicle = find_vehicle("sae_j1979")
    request = "010D5B46"
    lines = await ask_text(elm, request)
    assert len(lines) == 2
    found = obd.values(obd.commands(vehicle, "7DF", request), request, lines, set())
    assert found["speed"] == (50, 1)
    assert found["ambient_temperature"] == (21, 1)
    many = await ask_text(elm, "019A0DA6")
    found = obd.values(obd.commands(vehicle, "7DF", "019A0DA6"), "019A0DA6", many, set())
    assert found["battery_current"] == (-100, 10)
    assert (await ask_text(elm, "0902"))[0].startswith("7E81014")
    assert obd.vin(await ask_text(elm, "0902")) == "KMHKR81AFNU000001"


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault not in {Fault.LOSE_CHUNK, Fault.DROP_LINK}])
@pytest.mark.parametrize("echoes", [False, True])
async def test_a_fault_gives_no_wrong_value_and_the_next_request_is_answered(fault: Fault, *, echoes: bool):
    elm = Elm327(electric_car(), echoes=echoes)
    await ready(elm, "7E4", "7EC")
    vehicle = find_vehicle("hyundai_kia_egmp")
    commands = {request: obd.commands(vehicle, "7E4", request) for request in ("220101", "220105")}
    good = {
        request: obd.values(commands[request], request, await ask_text(elm, request), set()) for request in commands
    }
    elm.faults = {elm.count: fault}
    lines = await ask_text(elm, "220101")
    if lines is None:
        await elm.hear(elm327.WAKE)
        assert elm327.split((await elm.say()).rstrip(b">")) in ([], ["STOPPED"])
    else:
        with pytest.raises(WireError):
            obd.values(commands["220101"], "220101", lines, set())
    assert obd.values(commands["220105"], "220105", await ask_text(elm, "220105"), set()) == good["220105"]


async def test_the_link_loses_a_notification_and_itself(air: Air):
    elm = Elm327(electric_car())
    async with dongle(air, elm) as peripheral:
        client = await connect(air, peripheral)
        await converse(client, elm_setup.adapter())
        await converse(client, elm_setup.bus("6"))
        await converse(client, elm_setup.select("7E4", "7EC", [], elm_setup.Ears()))
        elm.faults = {elm.count: Fault.LOSE_CHUNK, elm.count + 2: Fault.DROP_LINK}
        commands = obd.commands(find_vehicle("hyundai_kia_egmp"), "7E4", "220101")
        with pytest.raises(WireError):
            obd.values(commands, "220101", await ask(client, "220101"), set())
        assert obd.values(commands, "220101", await ask(client, "220101"), set())["soc"] == (165, 2)
        assert await ask(client, "220101") is None
        elm.begin()
        again = await connect(air, peripheral)
        assert (await converse(again, elm_setup.adapter())).identity == "ELM327 v1.5"


async def test_a_car_that_sleeps_and_one_on_29_bits():
    asleep = electric_car()
    asleep.awake, asleep.millivolts = False, 12_300
    elm = Elm327(asleep)
    assert (await converse_text(elm, elm_setup.adapter())).millivolts == 12300
    before = asleep.requests
    with pytest.raises(WireError, match="unable_to_connect"):
        await converse_text(elm, elm_setup.bus())
    assert asleep.requests > before
    meb = Car([Ecu("17FC007B", "17FE007B", {"22028C": b"\x80"}, pad=0x55)], protocol="7")
    elm = Elm327(meb)
    await converse_text(elm, elm_setup.adapter())
    await converse_text(elm, elm_setup.bus("7"))
    await converse_text(elm, elm_setup.select("17FC007B", "17FE007B", [], elm_setup.Ears()))
    commands = obd.commands(find_vehicle("vw_meb"), "17FC007B", "22028C")
    found = obd.values(commands, "22028C", await ask_text(elm, "22028C"), set())
    assert found["soc"][0] / found["soc"][1] == pytest.approx(128 * 20.4 / 46 - 6.4)


async def test_a_clone_lacks_what_it_lacks():
    elm = Elm327(electric_car(), lacks=("S0", "AT1", "CRA", "FCSD"))
    adapter = await converse_text(elm, elm_setup.adapter())
    assert adapter.lacks == ["ATS0", "ATAT1"]
    await converse_text(elm, elm_setup.bus("6"))
    await converse_text(elm, elm_setup.select("7E4", "7EC", adapter.lacks, elm_setup.Ears()))
    commands = obd.commands(find_vehicle("hyundai_kia_egmp"), "7E4", "220101")
    lines = await ask_text(elm, "220101")
    assert lines[0].startswith("7EC 10 3D")
    assert obd.values(commands, "220101", lines, set())["soc"] == (165, 2)


@pytest.mark.parametrize("family", KINDS)
async def test_battery_monitors_on_the_air(air: Air, family: str):
    device = KINDS[family](Pack())
    decoder = bms.decoder(family)
    async with monitor(air, device, f"{family} pack") as peripheral:
        client = await connect(air, peripheral)
        found = await points(client, decoder)
        assert value(found["voltage"]) == 52.48 if family != "daly" else 52.4
        assert value(found["current"]) == -12.5
        assert value(found["soc"]) == 81
        device.damage_next = 1
        with pytest.raises(WireError):
            await points(client, decoder)
        assert await points(client, decoder) == found
        peripheral.lose_next = 1
        try:
            assert await points(client, decoder) == found
        except (WireError, TimeoutError):
            decoder = bms.decoder(family)
        assert await points(client, decoder) == found


async def silence(client: Client) -> None:
    """What is left of an answer is no part of the next one."""
    while True:
        try:
            async with asyncio.timeout(0.05):
                await client.heard.get()
        except TimeoutError:
            return


async def points(client: Client, decoder):
    await silence(client)
    await client.write(decoder.requests()[-1 if decoder.__class__.__name__ == "Jk" else 0])
    async with asyncio.timeout(ANSWER_S):
        while True:
            found = decoder.feed(await client.heard.get())
            if found:
                return found


def value(point: tuple[int, int]) -> float:
    return round(point[0] * 10.0 ** point[1], 6)


async def listen(central: Device, count: int) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    enough = asyncio.Event()

    def on_advertisement(advertisement):
        data = advertisement.data.get(AdvertisingData.Type.MANUFACTURER_SPECIFIC_DATA, raw=True)
        if data:
            found[advertisement.address.to_string(with_type_qualifier=False)] = bytes(data)
        if len(found) == count:
            enough.set()

    central.on("advertisement", on_advertisement)
    await central.start_scanning(filter_duplicates=False)
    async with asyncio.timeout(5):
        await enough.wait()
    await central.stop_scanning()
    return found


async def test_eight_victron_devices_on_the_air(air: Air):
    devices = [VictronDevice(air, f"v{n}", bytes([n] * 16), BATTERY if n % 2 else SOLAR) for n in range(8)]
    for number, device in enumerate(devices):
        record = (
            battery_record(13_000 + 10 * number, -1500, 805) if number % 2 else solar_record(100 + number, 13_000, 77)
        )
        await device.show(record)
    heard = await listen(await air.device("central"), 8)
    for number, device in enumerate(devices):
        signals = decode_victron(device.key.hex(), [heard[device.address].hex()])["signals"]
        if number % 2:
            assert signals["voltage"]["value"] == pytest.approx(13 + number / 100)
            assert signals["current"]["value"] == -1.5
            assert signals["soc"]["value"] == 80.5
        else:
            assert signals["power"]["value"] == 100 + number
            assert signals["battery_current"]["value"] == 7.7
