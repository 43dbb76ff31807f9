"""Glow: known answers, what is said of a slot, and that no slot ever gets a second packet."""

import asyncio
import random
import struct
from contextlib import AsyncExitStack
from pathlib import Path
from runpy import run_path

import pytest
from eth_keys.datatypes import PrivateKey
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from emulator.networks import glow as sandbox
from wattness.errors import ConfigError, RefusedError, UnavailableError
from wattness.keys import new_key
from wattness.networks import glow, glow_line, glow_wire

WORLD = run_path(str(Path(__file__).with_name("meter_world.py")))
HOUR, KEY, LENGTH, OTHER_KEY, START = (WORLD[name] for name in ("HOUR", "KEY", "LENGTH", "OTHER_KEY", "START"))
Gateway, Lives, World, interval = (WORLD[name] for name in ("Gateway", "Lives", "World", "interval"))

G1 = {  # ShortID 7
    (246_000, 85_000): """
        07000000f0c00300084c010000000000e33ada92eb8cb6c4e1b7eb96b31178d81252787c6e239e581f807d31e34707bd
        58764a82dddd7e25ade61e9d73c509b0ffd5a013744e7eb68316ff8e2ef5fff5""",
    (246_001, 0): """
        07000000f1c00300020000000000000077114a37a50ac933bfef9d0045328df170759cf0583f5552674d8fb80edc4733
        5a6317c7c75224d1f5bae34e3b740e40004711cc0b2a0934f1c9dfd9cfdcd709""",
    (246_002, -150): """
        07000000f2c003006affffffffffffff2797e396901d1258baadc7788e3afd9edec48ef8bbbe51e94e3f4fa72b044274
        324efab7605b7e0f66a0f93c45d0c3a15381999b82d4e1ab236aa584b32abca6""",
}
FIRST_SLOT = (START // 1000 - 1_700_352_000) // 300


@pytest.fixture
async def world(monkeypatch):
    monkeypatch.setattr(glow_line, "TIMEOUT_S", 0.5)
    monkeypatch.setattr(glow_line, "RECENT_S", 0.0)
    async with AsyncExitStack() as stack:
        yield World("glow", sandbox.serving, glow.open_network, stack)


async def opened(world, **changes):
    return await world.open(window_s=0, **changes)


def slot(number=0, mwh=85_000, drawn=0, **changes):
    a = changes.pop("a", START + number * LENGTH)
    return interval(a, {"energy_export": mwh, "energy_import": drawn}, **changes)


def output(signed):
    """What a packet says, read as the server reads it."""
    return struct.unpack_from("<q", signed, 8)[0]


@pytest.mark.parametrize(("slot_and_mwh", "packet"), G1.items())
async def test_known_answers(world, slot_and_mwh, packet):
    await world.serve()
    network = await opened(world)
    at, mwh = slot_and_mwh
    body = glow_wire.head(7, at, mwh)
    assert (await network.sign(body)).hex() == "".join(packet.split())


def test_slots_begin_with_the_genesis():
    genesis_ms = 1_700_352_000_000
    assert [glow_wire.slot_at(genesis_ms + ms) for ms in (-1, 0, 299_999, 300_000)] == [-1, 0, 0, 1]


@given(st.integers(-(1 << 62), 1 << 62))
def test_energy_is_read_as_it_was_measured_and_is_never_a_sentinel(mwh):
    packed = struct.pack("<Q", glow_wire.output(mwh))
    (read,) = struct.unpack("<q", packed)
    assert read == (2 if abs(mwh) < 24 else mwh)
    assert read not in {0, 1, 3}


@given(st.binary(max_size=900), st.binary(min_size=32, max_size=32))
def test_any_answer_is_read_or_not_believed(reply, key):
    if glow_wire.is_point(key):
        with pytest.raises(ValueError, match="it"):
            glow_wire.parse_sync(reply, key)


async def test_a_day_of_slots_is_taken_slot_by_slot(world):
    await world.serve()
    gateway = Gateway(await opened(world))
    for number, (mwh, drawn) in enumerate([(85_000, 0), (0, 0), (0, 150), (24, 0), (23, 0), (100, 100), (0, 23)]):
        receipt = await gateway.deliver([slot(number, mwh, drawn)])
        assert receipt.detail["slot"] == FIRST_SLOT + number
    taken = [output(packet) for packet in world.served.ledger.taken.values()]
    assert taken == [85_000, 2, -150, 24, 2, 2, 2]
    assert world.counts == {"taken": 7, "again": 0, "conflicts": 0, "refused": {}}


async def test_one_packet_for_a_slot_for_ever(world):
    """A second packet would ban the slot, whatever made it: a new figure, another stream, another board."""
    await world.serve()
    gateway = Gateway(await opened(world))
    await gateway.deliver([slot(1)])
    for report in (slot(1), slot(1, mwh=85_001), slot(0)):
        with pytest.raises(RefusedError, match="slot_used"):
            await gateway.make([report])
    with pytest.raises(RefusedError, match="second_stream"):
        await gateway.make([slot(2, device="1")])
    named = Gateway(await opened(world, devices=["1"]), gateway.memory)
    with pytest.raises(RefusedError, match="slot_used"):
        await named.make([slot(1, device="1")])
    await named.deliver([slot(2, device="1")])
    assert world.counts == {"taken": 2, "again": 0, "conflicts": 0, "refused": {}}


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        (slot(verdict="quarantined", reasons=["night"]), "quarantined: night"),
        (slot(covered_ms=0), "not_covered"),
        (slot(mwh=23, covered_ms=LENGTH * 9 // 10 - 1), "not_covered"),
        (slot(a=START + 1000, b=START + LENGTH + 1000), "no_slot"),
        (slot(a=LENGTH, b=2 * LENGTH), "no_slot"),
        (slot(b=START + 60_000), "interval_length"),
        (slot(mwh=13_500_001), "over_capacity"),
        (slot(mwh=0, drawn=13_500_001), "over_capacity"),
        (interval(START, {"energy_import": 5}), "no_energy"),
        (slot(-398), "too_old"),
        (slot(500), "in_future"),
    ],
)
async def test_what_would_be_lost_or_banned_is_refused_before_it_is_signed(world, report, reason):
    await world.serve()
    with pytest.raises(RefusedError, match=reason):
        await Gateway(await opened(world)).make([report])


async def test_what_is_just_good_enough_is_taken(world):
    await world.serve()
    gateway = Gateway(await opened(world))
    good = [
        slot(-396, mwh=13_500_000),
        slot(1, mwh=13_500_000),
        slot(2, mwh=0, covered_ms=LENGTH * 9 // 10),
        slot(3, mwh=500, covered_ms=10_000),
    ]
    for report in good:
        await gateway.deliver([report])
    assert world.counts["taken"] == len(good)
    assert world.counts["refused"] == {}


@pytest.mark.parametrize("fault", ["error", "timeout", "busy", "lost", "late_error"])
async def test_a_slot_counts_only_when_its_bit_is_set(world, fault):
    await world.serve(fault)
    gateway = Gateway(await opened(world))
    with pytest.raises(UnavailableError):
        await gateway.deliver([slot()])
    assert (await gateway.network.send(gateway.signed)).detail["slot"] == FIRST_SLOT
    assert (await gateway.network.send(gateway.signed)).detail["held"] == 85_000
    assert (world.counts["taken"], world.counts["conflicts"]) == (1, 0)


@pytest.mark.parametrize("fault", ["twice", "slow"])
async def test_a_packet_that_comes_twice_or_late_counts_once(world, fault):
    await world.serve(fault)
    gateway = Gateway(await opened(world, settings={"gap_ms": 100}))
    await gateway.deliver([slot()])
    assert world.counts == {"taken": 1, "again": int(fault == "twice"), "conflicts": 0, "refused": {}}


@pytest.mark.parametrize("seed", range(4))
async def test_every_slot_arrives_once_whatever_goes_wrong(world, monkeypatch, seed):
    monkeypatch.setattr(glow_line, "TIMEOUT_S", 0.1)
    monkeypatch.setattr(glow_line, "RECENT_S", 1800.0)
    source = random.Random(seed)
    fates = ("ok", "ok", "error", "timeout", "busy", "lost", "late_error", "twice")
    await world.serve(*source.choices(fates, k=40))
    lives = Lives(seed, lambda: opened(world, settings={"gap_ms": 1}))
    reports = [slot(number, mwh=source.choice([0, 30, 85_000])) for number in range(12)]
    for report in reports:
        await lives.deliver([report])
    counts = world.counts
    assert (counts["taken"], counts["conflicts"], counts["refused"], lives.refused) == (12, 0, {}, [])


async def test_signing_again_gives_the_same_bytes(world):
    await world.serve()
    first, later = await opened(world), await opened(world)
    assert await Gateway(first).make([slot()]) == await Gateway(later).make([slot()])


async def test_the_server_is_asked_before_a_slot_of_an_earlier_life_is_signed(world):
    await world.serve()
    network = await opened(world)
    assert await network.find([slot()]) is None
    await Gateway(network).deliver([slot()])
    found = await network.find([slot()])
    assert found.detail == {"slot": FIRST_SLOT, "held": 85_000}
    assert await network.find([slot(1)]) is None


async def shout(world, signed):
    """Send a packet past the adapter."""
    udp_port = int(world.served.url.rpartition(":")[2])
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        asyncio.DatagramProtocol, remote_addr=("127.0.0.1", udp_port)
    )
    before = sum(world.counts["refused"].values()) + world.counts["taken"] + world.counts["again"]
    transport.sendto(signed)
    while sum(world.counts["refused"].values()) + world.counts["taken"] + world.counts["again"] == before:
        await asyncio.sleep(0.001)
    transport.close()


async def test_a_banned_slot_is_told_to_the_owner(world, caplog):
    """Somebody else signs with this key: its packet and ours are two for one slot."""
    await world.serve()
    gateway, other = Gateway(await opened(world)), Gateway(await opened(world))
    await other.make([slot(mwh=85_001)])
    await gateway.deliver([slot()])
    await shout(world, other.signed)
    assert world.counts["conflicts"] == 1
    with pytest.raises(RefusedError, match="banned"):
        await gateway.network.send(gateway.signed)
    with pytest.raises(RefusedError, match="banned"):
        await gateway.network.find([slot()])
    told = "1 slots of the last two weeks are banned: does anything else sign with this key?"
    assert [one.text for one in await gateway.network.check() if not one.ok] == [told]
    for _ in range(2):
        await gateway.network.reconcile(-1)
    assert [record.getMessage() for record in caplog.records if "trouble" in record.msg] == [
        f"trouble network=test subject=gate text={told}"  # once a day
    ]


async def test_another_packet_in_our_slot_is_not_taken_for_ours(world):
    await world.serve()
    gateway, other = Gateway(await opened(world)), Gateway(await opened(world))
    await other.deliver([slot(mwh=85_001)])
    with pytest.raises(RefusedError, match="other_packet"):
        await gateway.deliver([slot()])
    assert world.counts["conflicts"] == 0


async def test_without_the_list_of_reports_the_bit_has_to_do(world):
    await world.serve()
    gateway = Gateway(await opened(world, settings={"http_port": 0}))
    await gateway.deliver([slot()])
    assert (await gateway.network.find([slot()])).detail["held"] is None
    unreachable = await opened(world, settings={"http_port": 9})
    assert (await unreachable.find([slot()])).detail["held"] is None
    assert [one.subject for one in await unreachable.check() if not one.ok] == ["endpoint"]


def altered(signed, at, xor=1):
    return signed[:at] + bytes((signed[at] ^ xor,)) + signed[at + 1 :]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda signed: altered(signed, 0), "unknown_device"),
        (lambda signed: altered(signed, 6), "too_far"),
        (lambda signed: altered(signed, 9), "bad_signature"),
        (lambda signed: altered(signed, 20), "bad_signature"),
        (lambda signed: signed + b"\0", "bad_size"),
        (
            lambda signed: signed[:48] + (2 * sandbox.HALF_ORDER + 1 - int.from_bytes(signed[48:])).to_bytes(32),
            "high_s",
        ),
        (lambda _: sealed(0), "sentinel"),
        (lambda _: sealed(1), "sentinel"),
        (lambda _: sealed(13_500_001), "over_capacity"),
    ],
)
async def test_the_sandbox_leaves_bad_packets_out(world, make, reason):
    await world.serve()
    gateway = Gateway(await opened(world))
    await shout(world, make(await gateway.make([slot()])))
    assert world.counts["refused"] == {reason: 1}
    assert world.counts["taken"] == 0


def sealed(value):
    head = struct.pack("<IIQ", 7, FIRST_SLOT, value)
    return head + PrivateKey((4662).to_bytes(32)).sign_msg_hash(keccak(b"EquipmentReport" + head)).to_bytes()[:64]


async def test_a_packet_that_is_too_old_by_now_is_given_up(world):
    await world.serve()
    gateway = Gateway(await opened(world))
    await gateway.make([slot()])
    later = World("glow", sandbox.serving, glow.open_network, world.stack, after_h=37)
    await later.serve()
    with pytest.raises(RefusedError, match="too_old"):
        await (await opened(later)).send(gateway.signed)


class TestSync:
    """What a server says counts only when it is this server's, of this farm, and of now."""

    async def test_an_unknown_device_waits_for_its_auditor(self, world):
        await world.serve()
        gateway = Gateway(await opened(world, settings={"short_id": 8}))
        with pytest.raises(UnavailableError, match="does not know ShortID 8: an auditor"):
            await gateway.deliver([slot()])
        assert [one.subject for one in await gateway.network.check() if not one.ok] == ["endpoint"]
        assert world.counts["refused"] == {}

    async def test_another_farms_short_id_is_told(self, world):
        await world.serve(key=WORLD["EVEN_KEY"])
        network = await opened(world)
        with pytest.raises(UnavailableError, match=r"is another key's; look at settings.short_id"):
            await network.find([slot()])
        assert [one.subject for one in await network.check() if not one.ok] == ["gate"]

    async def test_another_servers_signature_is_not_believed(self, world):
        await world.serve()
        network = await opened(world, settings={"server_key": KEY.public_key[1:33].hex()})
        with pytest.raises(UnavailableError, match=r"not by settings.server_key"):
            await network.find([slot()])

    async def test_an_old_answer_is_not_believed(self, world):
        await world.serve()
        later = World("glow", sandbox.serving, glow.open_network, world.stack, after_h=5)
        later.served = world.served
        network = await opened(later)
        with pytest.raises(UnavailableError, match="look at both clocks"):
            await network.find([slot()])
        assert [one.subject for one in await network.check() if not one.ok] == ["clock"]

    @pytest.mark.parametrize("reply", [b"", b"\x01", b"\x05\x00abc", b"\x04\x00abcd", b"\xff\xff" + bytes(70_000)])
    async def test_any_other_answer_leaves_the_slot_to_be_sent_again(self, world, reply):
        async def answer(reader, writer):
            await reader.readexactly(4)
            writer.write(reply)
            writer.close()

        await world.serve()
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(UnavailableError):
                await (await opened(world, settings={"tcp_port": port})).find([slot()])

    async def test_nobody_there_is_unavailable(self, world):
        await world.serve()
        network = await opened(world, settings={"tcp_port": 9})
        with pytest.raises(UnavailableError):
            await network.find([slot()])
        assert [one.subject for one in await network.check() if not one.ok] == ["endpoint"]

    @given(st.integers(-3000, 6000))
    def test_bits_lie_as_the_server_counts_them(self, away):
        bits = bytearray(504)
        if 0 <= away < 4032:
            bits[away // 8] |= 1 << away % 8
        synced = glow_wire.Synced(bytes(32), 5000, bytes(bits), 0, 0)
        assert synced.has(5000 + away) is (True if 0 <= away < 4032 else None)
        assert [synced.has(5000 + at) for at in range(4032)].count(True) == (0 <= away < 4032)

    async def test_a_slot_beyond_the_history_is_not_told_to_be_missing(self, world):
        synced = glow_wire.Synced(bytes(32), FIRST_SLOT + 1, bytes(504), 0, 0)
        with pytest.raises(UnavailableError, match="does not reach"):
            glow._has(synced, FIRST_SLOT)

    async def test_a_farm_that_moves_is_told(self, world):
        await world.serve()
        network = await opened(world)
        synced = (await network.line.sync())._replace(next_short_id=9)
        assert [one.ok for one in await network._gates(synced)] == [False]


async def test_check_asks_without_a_packet(world):
    await world.serve()
    found = await (await opened(world)).check()
    assert [(one.subject, one.ok) for one in found] == [
        ("key", True),
        ("clock", True),
        ("endpoint", True),
        ("gate", True),
    ]
    assert world.counts["taken"] == 0


def test_every_new_key_fits(tmp_path):
    keys = [new_key(f"file:{number}.key", tmp_path, "secp256k1").public_key for number in range(20)]
    assert all(glow_wire.fits(key) for key in keys)
    assert not glow_wire.fits(OTHER_KEY.public_key)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"interval_s": 60}, r"\$\.interval\.length_s: is 60, .* set it to 300"),
        ({"window_s": 3600}, "window_s: Glow takes every five minutes"),
        ({"settings": {"server_key": "00" * 32}}, "server_key: is no public key"),
        ({"settings": {"server_key": "AB" * 32}}, "settings.server_key"),
        ({"settings": {"short_id": 0}}, "settings.short_id"),
        ({"settings": {"capacity": 1}}, "settings.*capacity"),
        ({"url": "http://127.0.0.1"}, r"url: must begin with udp://"),
        ({"url": "udp://glow.example"}, "set `production = true`"),
        ({"url": "udp://127.0.0.1.glow.example"}, "set `production = true`"),
        ({"key": None}, "begins with 02: make one with"),
    ],
)
async def test_a_configuration_that_does_not_fit_says_what_would(world, changes, message):
    await world.serve()
    signer = OTHER_KEY if "key" in changes else KEY
    given = {name: value for name, value in changes.items() if name != "key"}
    with pytest.raises(ConfigError, match=message):
        await world.open(**({"window_s": 0, "key": signer} | given))


async def test_a_server_of_glow_is_used_when_the_owner_says_so(world):
    await world.serve()
    network = await opened(world, url="udp://glow.example", production=True)
    assert network.line.server.udp_port == 35_045
    network = await opened(world, url="udp://[::1]:4")
    assert (network.line.server.host, network.line.server.udp_port) == ("::1", 4)
