"""The MQTT codec: known bytes, any bytes, any pieces, and the same on MicroPython."""

import itertools
import json
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattwire import mqtt
from wattwire.errors import WireError

TOPICS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters="+#"), min_size=1)
PACKETS = st.one_of(
    st.builds(mqtt.Connack, st.just(0), st.integers(0, 5)),
    st.just(mqtt.Connack(1, 0)),
    st.builds(mqtt.Publish, TOPICS, st.binary(max_size=300), st.just(0), st.integers(0, 1), st.just(0), st.none()),
    st.builds(
        mqtt.Publish,
        TOPICS,
        st.binary(max_size=300),
        st.just(1),
        st.integers(0, 1),
        st.integers(0, 1),
        st.integers(1, 0xFFFF),
    ),
    st.builds(mqtt.Puback, st.integers(1, 0xFFFF)),
    st.builds(mqtt.Suback, st.integers(1, 0xFFFF), st.lists(st.sampled_from((0, 1, 0x80)), min_size=1).map(bytes)),
    st.just(mqtt.Pingresp()),
)


def server_bytes(packet: tuple) -> bytes:
    """Encode what a server sends; written apart from the codec."""
    name = type(packet).__name__
    if name == "Publish":
        return mqtt.publish(packet.topic, packet.payload, packet.packet_id, retain=packet.retain, dup=packet.dup)
    if name == "Connack":
        return bytes((0x20, 2, packet.session_present, packet.code))
    if name == "Puback":
        return b"\x40\x02" + packet.packet_id.to_bytes(2, "big")
    if name == "Suback":
        body = packet.packet_id.to_bytes(2, "big") + packet.codes
        size = bytes((len(body),)) if len(body) < 128 else bytes((len(body) & 127 | 128, len(body) >> 7))
        return b"\x90" + size + body
    return b"\xd0\x00"


def read(pieces: Iterable[bytes], limit: int = mqtt.PACKET_BYTES_MAX) -> tuple[list, str | None]:
    """Return the packets in `pieces` and the reason that ended them."""
    reader = mqtt.Reader(limit)
    packets = []
    try:
        for piece in pieces:
            for packet in reader.feed(piece):
                packets.append(packet)  # noqa: PERF402 - those before an error count
    except WireError as error:
        return packets, error.reason
    return packets, None


KNOWN = [
    ("connect bare", mqtt.connect("a", 60), "100d00044d5154540402003c000161"),
    (
        "connect with all",
        mqtt.connect("kid", 30, "u", b"pw", mqtt.Will("w/s", b"offline", 1, True)),
        "102400044d51545404ee001e00036b69640003772f7300076f66666c696e6500017500027077",
    ),
    ("publish qos 0", mqtt.publish("a/b", b"xy"), "30070003612f627879"),
    ("publish qos 1 again", mqtt.publish("a/b", b"xy", 7, dup=True), "3a090003612f6200077879"),
    ("publish retained", mqtt.publish("a", b"", 1, retain=True), "33050001610001"),
    ("publish long", mqtt.publish("a", bytes(200))[:6], "30cb01000161"),
    ("puback", mqtt.puback(0x1234), "40021234"),
    ("subscribe", mqtt.subscribe(1, (("a/+", 1), ("b", 0))), "820c00010003612f2b0100016200"),
    ("pingreq", mqtt.PINGREQ, "c000"),
    ("disconnect", mqtt.DISCONNECT, "e000"),
]


@pytest.mark.parametrize(("what", "found", "expected"), KNOWN, ids=[what for what, _, _ in KNOWN])
def test_known_bytes(what, found, expected):
    assert found.hex() == expected, what


REFUSED = [
    ("10", "bad_type"),  # CONNECT comes from clients
    ("00", "bad_type"),
    ("f0", "bad_type"),
    ("62020001", "bad_type"),  # PUBREL: QoS 2 is not spoken
    ("21", "bad_form"),
    ("3400", "bad_form"),  # QoS 2
    ("3600", "bad_form"),
    ("3800", "bad_form"),  # a repetition of QoS 0
    ("20020006", "bad_range"),
    ("20020101", "bad_range"),
    ("2001", None),
    ("200100", "truncated"),
    ("2003000000", "trailing_bytes"),
    ("40020000", "bad_range"),
    ("d00100", "trailing_bytes"),
    ("d08000", "bad_form"),  # a length that is longer than needed
    ("30ffffff", "too_long"),
    ("30ffffffffff01", "too_long"),
    ("30" + "808080" + "80", "bad_form"),
    ("300100", "truncated"),
    ("30020000", "bad_form"),
    ("300300012b", "bad_form"),
    ("3003000100", "bad_form"),
    ("30020005", "truncated"),
    ("3204000161" + "00", "truncated"),
    ("3205000161" + "0000", "bad_range"),
    ("90020001", "truncated"),
    ("9003000102", "bad_range"),
    ("9003000080", "bad_range"),
]


@pytest.mark.parametrize(("data", "reason"), REFUSED)
def test_refused_bytes(data, reason):
    assert read([bytes.fromhex(data)]) == ([], reason)


def test_a_packet_over_the_limit_is_refused_at_its_length():
    head = mqtt.publish_head("t", 5000)
    assert read([head[:3]], limit=4096) == ([], "too_long")
    assert read([head[:3]], limit=6000) == ([], None)


def test_a_reader_that_failed_stays_so():
    reader = mqtt.Reader()
    with pytest.raises(WireError):
        list(reader.feed(b"\x00"))
    with pytest.raises(WireError):
        list(reader.feed(mqtt.puback(1)))


@pytest.mark.parametrize(
    "make",
    [
        lambda: mqtt.connect("c", 70000),
        lambda: mqtt.connect("c", 60, None, "secret"),
        lambda: mqtt.connect("c" * 70000, 60),
        lambda: mqtt.publish("a/#", b""),
        lambda: mqtt.publish("", b""),
        lambda: mqtt.publish("a", b"", 0),
        lambda: mqtt.publish("a", b"", 65536),
        lambda: mqtt.publish("a", b"", dup=True),
        lambda: mqtt.publish_head("a", 1 << 28),
        lambda: mqtt.puback(0),
        lambda: mqtt.subscribe(1, ()),
        lambda: mqtt.subscribe(1, (("a", 2),)),
    ],
)
def test_nothing_wrong_is_sent(make):
    with pytest.raises(WireError):
        make()


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


@given(st.lists(PACKETS, max_size=6), st.lists(st.integers(0, 4000), max_size=8))
def test_packets_come_back_in_any_pieces(packets, places):
    data = b"".join(server_bytes(packet) for packet in packets)
    assert read(cut(data, places)) == (packets, None)


@settings.get_profile("parsers")
@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=8))
def test_any_bytes_give_packets_or_one_error(data, places):
    assert read(cut(data, places)) == read([data])


@given(st.lists(PACKETS, min_size=1, max_size=3), st.data())
def test_a_flipped_bit_never_gives_another_exception(packets, data):
    wire = bytearray(b"".join(server_bytes(packet) for packet in packets))
    bit = data.draw(st.integers(0, 8 * len(wire) - 1))
    wire[bit // 8] ^= 1 << bit % 8
    read([bytes(wire)])


ON_BOARD = """
import json, sys
from wattwire import mqtt
from wattwire.errors import WireError
out = []
for line in json.loads(sys.stdin.read()):
    reader, packets, reason = mqtt.Reader(), [], None
    try:
        for byte in bytes.fromhex(line):
            for packet in reader.feed(bytes((byte,))):
                packets.append(repr(packet))
    except WireError as error:
        reason = error.reason
    out.append([packets, reason])
will = mqtt.Will("w/s", b"offline", 1, True)
print(json.dumps([out, mqtt.connect("kid", 30, "u", b"pw", will).hex(), mqtt.subscribe(1, (("a/+", 1),)).hex()]))
"""


def test_micropython_reads_and_writes_the_same(run_micropython):
    lines = [data for data, _ in REFUSED] + [
        "20020000" + "40020007" + "d000" + "9003000101",
        mqtt.publish("a/b", bytes(range(256)), 9, dup=True).hex(),
        mqtt.publish("a/b", b"x" * 20000).hex()[:40],
    ]
    expected = [
        [[repr(packet) for packet in packets], reason]
        for packets, reason in (read([bytes.fromhex(line)]) for line in lines)
    ]
    found, connect, subscribe = json.loads(run_micropython(ON_BOARD, json.dumps(lines)))
    assert connect == KNOWN[1][2]
    assert subscribe == mqtt.subscribe(1, (("a/+", 1),)).hex()
    assert found == expected
