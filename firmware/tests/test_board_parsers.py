"""What the board reads from the network and from a slot: whatever is there, it has a value or is refused."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattboard import sntp
from wattboot.slot import SlotFs
from wattprogram import software
from wattwire import cbor, link, release
from wattwire.errors import WireError

SLOT = release.head(bytes(100)) + software().rom[:4000]  # cut short as it is, its index leads out of it
BODIES = st.binary(max_size=80) | st.lists(
    st.integers(0, 1 << 62) | st.binary(max_size=40) | st.text(max_size=12) | st.none(), max_size=4
).map(cbor.encode)


@settings.get_profile("parsers")
@given(BODIES)
def test_any_body_from_the_gateway_is_a_value_or_a_wire_error(body: bytes):
    for decode, encode in ((link.decode_ack, link.encode_ack), (link.decode_command, link.encode_command)):
        try:
            found = decode(body)
        except WireError:
            continue
        assert encode(*found) == body


@settings.get_profile("parsers")
@given(st.binary(max_size=400), st.binary(max_size=12))
def test_any_downlink_without_the_key_is_refused(payload: bytes, body: bytes):
    key = bytes(range(32))
    with pytest.raises(WireError):
        link.open(key, "wattness/1/00/cmd", body + payload)


@settings.get_profile("parsers")
@given(st.binary(max_size=80), st.binary(min_size=sntp.NONCE_SIZE, max_size=sntp.NONCE_SIZE))
def test_any_packet_is_a_time_or_a_wire_error(data: bytes, nonce: bytes):
    for packet in (data, data[:24] + nonce + data[24 + len(nonce) :]):
        try:
            found = sntp.unix_ms(packet, nonce)
        except WireError:
            continue
        assert 0 < found < 1 << 43


@settings.get_profile("parsers")
@given(BODIES, st.integers(0, 70_000))
def test_any_head_of_a_release_is_read_or_refused(data: bytes, size: int):
    for text in (data, release.MAGIC + size.to_bytes(3, "big")[1:] + data):
        try:
            assert len(release.envelope_of(text)) <= release.ENVELOPE_SIZE_MAX
        except WireError:
            continue


@settings.get_profile("parsers")
@given(st.integers(0, 4000), st.integers(0, 255), st.integers(0, 1 << 20))
def test_any_spoilt_slot_is_mounted_or_an_os_error(at: int, byte: int, cut: int):
    data = bytearray(SLOT)
    data[at % len(data)] = byte
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slot"
        path.write_bytes(data[: max(1, cut % (2 * len(data)))])
        try:
            files = SlotFs(str(path))
        except OSError:
            return  # wattboot/rare.py gives the slot up
        try:
            with files.open("wattboard/main.mpy", "rb") as file:
                assert len(file.read()) <= len(data)
        except OSError:
            pass
        finally:
            files.umount()
