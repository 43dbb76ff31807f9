"""The proxy's frames and requests: what is whole, what is nonsense, and what pymodbus says of the same bytes."""

import ipaddress
import itertools
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymodbus.pdu import DecodePDU

from wattness import proxy as package
from wattness.config import parse as parse_config
from wattness.devices import Proxy
from wattness.errors import ConfigError
from wattness.proxy.access import Access, client_of
from wattness.proxy.asked import DeclinedError, Written, parse
from wattness.proxy.mbap import Request, Requests, answer
from wattness.proxy.rest import KEYS_MAX, REST_S, Rests
from wattness.proxy.share import merged
from wattwire.errors import WireError
from wattwire.plan import Read

REQUEST = st.builds(Request, st.integers(0, 65535), st.integers(0, 255), st.binary(min_size=1, max_size=253))
PYMODBUS = DecodePDU(True)
README = Path(package.__file__).with_name("README.md")


def fed(data, *cuts):
    """Feed `data` in pieces; gives the requests, and whether it was nonsense in the end."""
    requests, found = Requests(), []
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    try:
        for start, end in itertools.pairwise(edges):
            found += requests.feed(data[start:end])
    except WireError:
        return found, True
    return found, requests.is_broken


@given(st.lists(REQUEST, max_size=5), st.lists(st.integers(0, 2000), max_size=5))
def test_requests_come_whole_and_in_order_however_they_are_cut(requests, cuts):
    data = b"".join(answer(request, request.pdu) for request in requests)
    assert fed(data, *cuts) == (requests, False)


@settings.get_profile("parsers")
@given(st.binary(max_size=600), st.lists(st.integers(0, 600), max_size=5))
def test_any_bytes_give_requests_or_a_wire_error(data, cuts):
    assert fed(data, *cuts) == fed(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("0001 0001", "bad_protocol"),
        ("0001 0100 0006 01", "bad_protocol"),
        ("0001 0000 0000", "bad_length"),
        ("0001 0000 0001", "bad_length"),
        ("0001 0000 00ff", "bad_length"),
        ("0001 0000 ffff", "bad_length"),
        ("4745 5420 2f20 4854 5450", "bad_protocol"),
    ],
)
def test_nonsense_is_known_as_early_as_can_be(data, reason):
    requests = Requests()
    with pytest.raises(WireError) as caught:
        requests.feed(bytes.fromhex(data))
    assert caught.value.reason == reason
    with pytest.raises(WireError):
        requests.feed(b"\0\1\0\0\0\6\1\3\0\0\0\1")


def test_what_was_whole_before_the_nonsense_is_kept():
    requests = Requests()
    assert requests.feed(bytes.fromhex("0007 0000 0006 01 0300000001  0008 0001")) == [
        Request(7, 1, bytes.fromhex("0300000001"))
    ]
    assert requests.is_broken


def test_an_answer_has_the_requests_transaction_and_unit():
    assert answer(Request(0x1234, 9, b"\x03"), b"\x83\x02") == bytes.fromhex("1234 0000 0003 09 8302")


@pytest.mark.parametrize(
    ("pdu", "read", "written"),
    [
        ("03 9c40 0002", Read(3, 40000, 2), None),
        ("04 ff83 007d", Read(4, 0xFF83, 125), None),
        ("01 0000 07d0", None, None),
        ("02 ffff 0001", None, None),
        ("05 0007 ff00", None, Written("coil", 7, 7)),
        ("06 0007 1234", None, Written("holding", 7, 7)),
        ("0f 0007 000a 02 ff03", None, Written("coil", 7, 16)),
        ("10 0007 0002 04 00010002", None, Written("holding", 7, 8)),
        ("16 0007 00f2 0025", None, Written("holding", 7, 7)),
        ("17 0003 0006 000e 0002 04 00ff00ff", None, Written("holding", 14, 15)),
    ],
)
def test_what_is_asked(pdu, read, written):
    asked = parse(bytes.fromhex(pdu))
    assert (asked.pdu, asked.read, asked.written) == (bytes.fromhex(pdu), read, written)


@pytest.mark.parametrize(
    ("pdu", "code", "reason"),
    [
        ("00", 1, "unknown_function"),
        ("07", 1, "unknown_function"),
        ("2b 0e 01 00", 1, "unknown_function"),
        ("83 0000 0001", 1, "unknown_function"),
        ("03 0000", 3, "bad_request"),
        ("03 0000 0001 00", 3, "bad_request"),
        ("03 0000 0000", 3, "bad_request"),
        ("03 0000 007e", 3, "bad_request"),
        ("03 ffff 0002", 2, "bad_address"),
        ("01 0000 07d1", 3, "bad_request"),
        ("05 0000 0001", 3, "bad_request"),
        ("0f 0000 0009 01 ff", 3, "bad_request"),
        ("10 0000 0000 00", 3, "bad_request"),
        ("10 0000 0002 04 0001", 3, "bad_request"),
        ("10 0000 0002 02 0001 0002", 3, "bad_request"),
        ("10 ffff 0002 04 0001 0002", 2, "bad_address"),
        ("17 0000 0001 0000 0001 02 00", 3, "bad_request"),
        ("17 0000 007e 0000 0001 02 0000", 3, "bad_request"),
    ],
)
def test_what_nobody_can_do_is_declined_as_a_device_would(pdu, code, reason):
    with pytest.raises(DeclinedError) as caught:
        parse(bytes.fromhex(pdu))
    assert (caught.value.code, caught.value.reason) == (code, reason)


LIKELY = st.builds(
    lambda function, head, data: bytes((function, *head)) + data,
    st.sampled_from((1, 2, 3, 4, 5, 6, 15, 16, 22, 23)),
    st.lists(st.sampled_from((0, 1, 2, 3, 4, 255)), min_size=4, max_size=9),
    st.binary(max_size=6),
)


@given(st.one_of(st.binary(min_size=1, max_size=253), LIKELY))
def test_pymodbus_understands_whatever_is_passed_on(pdu):
    try:
        asked = parse(pdu)
    except DeclinedError:
        return
    decoded = PYMODBUS.decode(asked.pdu)
    assert decoded is not None
    assert decoded.encode() == pdu[1:]
    if asked.read is not None:
        assert (decoded.function_code, decoded.address, decoded.count) == asked.read


def access(unit=3, **settings):
    return Access(msgspec.convert({"device": "roof", **settings}, Proxy), unit)


def test_units():
    mine = access(units=[7])
    assert [mine.unit(asked) for asked in (3, 7, 0, 255)] == [3, 7, 3, 3]
    with pytest.raises(DeclinedError) as caught:
        mine.unit(4)
    assert (caught.value.code, caught.value.reason) == (10, "unknown_unit")
    assert access(units=[0]).unit(0) == 0


@pytest.mark.parametrize(
    ("client", "unit", "written", "code"),
    [
        ("192.0.2.7", 3, Written("holding", 100, 109), None),
        ("::ffff:192.0.2.7", 3, Written("holding", 100, 100), None),
        ("192.0.2.7", 3, Written("holding", 99, 100), 2),
        ("192.0.2.7", 3, Written("holding", 109, 110), 2),
        ("192.0.2.7", 3, Written("holding", 109, 200), 2),  # over two ranges is in neither
        ("192.0.2.7", 3, Written("coil", 100, 100), 1),
        ("192.0.2.7", 7, Written("holding", 200, 200), None),
        ("192.0.2.7", 3, Written("holding", 200, 200), 2),
        ("192.0.2.8", 3, Written("coil", 5, 5), None),
        ("192.0.2.9", 3, Written("holding", 100, 100), 1),
        ("2001:db8::1", 3, Written("holding", 100, 100), 1),
    ],
)
def test_writes_are_allowed_by_client_unit_table_and_register(client, unit, written, code):
    rules = [
        {"client": "192.0.2.7", "first": 100, "last": 109},
        {"client": "192.0.2.7", "first": 110, "last": 250, "units": [7]},
        {"client": "192.0.2.8/32", "first": 5, "last": 5, "table": "coil"},
    ]
    mine = access(units=[7], allow=rules)
    if code is None:
        mine.check_write(client_of(client), unit, written)
        return
    with pytest.raises(DeclinedError) as caught:
        mine.check_write(client_of(client), unit, written)
    assert caught.value.code == code


def test_nobody_may_write_what_was_not_allowed():
    with pytest.raises(DeclinedError):
        access().check_write(client_of("127.0.0.1"), 3, Written("holding", 0, 0))


def test_the_readmes_configuration_is_one(tmp_path):
    text = README.read_text().partition("```toml\n")[2].partition("```")[0]
    (proxy,) = parse_config(text, tmp_path).proxy
    assert (proxy.units, proxy.allow[0].table, proxy.allow[0].last) == ([100], "holding", 40247)
    with pytest.raises(ConfigError, match=r"\$\.proxy\[0\]\.listen"):
        parse_config(text + text[text.index("[[proxy]]") :], tmp_path)
    with pytest.raises(ConfigError, match="table"):
        parse_config(text + 'table = "input"\n', tmp_path)


def test_readers_may_be_limited_to_networks():
    mine = access(clients=["192.0.2.0/24", "2001:db8::/32"])
    assert [mine.admits(client_of(each)) for each in ("192.0.2.1", "2001:db8::5", "198.51.100.1")] == [
        True,
        True,
        False,
    ]
    assert access().admits(client_of("198.51.100.1"))
    assert client_of("fe80::1%eth0") == ipaddress.ip_address("fe80::1")


READ = st.builds(Read, st.just(3), st.integers(0, 60), st.integers(1, 30))


@given(READ, st.lists(READ, max_size=6), st.integers(1, 60))
def test_a_merged_read_has_all_of_the_first_and_nothing_that_nobody_wants(read, others, most):
    wide = merged(read, others, most)
    wanted = {at for each in (read, *others) for at in range(each.address, each.address + each.count)}
    registers = range(wide.address, wide.address + wide.count)
    assert wide.address <= read.address
    assert wide.address + wide.count >= read.address + read.count
    assert set(registers) <= wanted
    assert wide.count <= max(most, read.count)


def test_rests_grow_and_end():
    rests = Rests()
    for rest_s in (*REST_S, REST_S[-1]):
        rests.failed(1, 100.0)
        assert rests.rests(1, 100.0 + rest_s - 0.01)
        assert not rests.rests(1, 100.0 + rest_s)
    rests.worked(1)
    assert not rests.rests(1, 100.0)
    for key in range(KEYS_MAX + 1):
        rests.failed(key, 0.0)
    assert [rests.rests(key, 0.0) for key in (0, 1, KEYS_MAX)] == [False, True, True]
