"""M3tering's messages: the published ones, and every number that fits or does not."""

import base64
import json
import struct
from decimal import Decimal

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey, VerifyKey

from emulator.networks import m3tering as sandbox
from emulator.networks.base import Ledger
from wattness.errors import RefusedError, RejectedError
from wattness.keys.held import HeldEd25519
from wattness.networks import m3tering_payload as payload
from wattness.networks.m3tering_ways import Meter, event

M1 = bytes.fromhex(
    "0000000000001aea1b0bb5a800ab9647c6bdaae5b915d1a1cfa406cc2129fb94d5841d73fca553329e1fe9c7cf52df89ff9086ba5929825739"
    "f72b55f1538448e22baaedf454db050082356963ce530d3dc24cbb2c0870923171442efbb202de75b0572da97b22de9767"
)
M2 = [
    "[2,213.7,0.38,0.007420]",
    "9C7lPdznR9pymAIvjDPmm/mVX/uUTemapJRb8yzGKvG8or43u6V97oDPcW7ZP9HeHRZrGEf1iIkyLixAVdWsDg==",
    "JR2VNczJacY86eyyCBr1iTTT7vxKtYbfqegeTkXJD88=",
]
M3 = bytes.fromhex(
    "0000000100001cfca378fcfd6a0334b248db81cf15fb786e20c4053c31bf9f333f5a2f9fb43da15ca881a5bf1ee9fa4c25300f53fe3dfb91f8"
    "7adba566968202b01896ac06c95b03090103a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8f8a67d05464e"
)
SECRET = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SIGNER, OTHER = HeldEd25519(SECRET), HeldEd25519(Ed25519PrivateKey.from_private_bytes(bytes(32)))
KEY = SIGNER.public_key


def test_the_published_message_is_what_we_read():
    message = payload.decode(M1)
    assert (message.nonce, message.energy_mwh, message.extension.decivolts) == (0, 6890, 130)
    assert message.extension.device.hex().startswith("356963ce")
    assert message.extension.device.hex().endswith("9767")
    assert payload.is_signed(M1, message.extension.device)
    assert not payload.is_signed(bytes((1, *M1[1:])), message.extension.device)


def test_our_message_is_byte_for_byte_the_known_one():
    extension = payload.Extension(2305, KEY, payload.place_of(-4.81667, 3.45678))
    body = payload.encode(1, 7420, extension)
    assert payload.join(body, SECRET.sign(body[:8])) == M3
    assert payload.decode(M3) == payload.Payload(1, 7420, M3[8:72], extension)
    assert sandbox.Console(KEY, Ledger()).open(M3) == (1, 7420)


def test_the_published_genesis_reading_verifies_and_its_variants_do_not():
    found = payload.verify_genesis(M2)
    assert found[:4] == (2, Decimal("213.7"), Decimal("0.38"), Decimal("0.007420"))
    spaced = "[2, 213.7, 0.38, 0.007420]"
    shorter = "[2,213.7,0.38,0.00742]"
    for text, reason in ((spaced, "bad_form"), (shorter, "bad_signature"), ("[2]", "bad_form")):
        with pytest.raises(RejectedError, match=reason):
            payload.verify_genesis([text, *M2[1:]])
    for bad in (None, {}, M2[:2], [2, 3, 4], [M2[0], "ü", M2[2]], [M2[0], M2[1], ""]):
        with pytest.raises(RejectedError):
            payload.verify_genesis(bad)


places = st.integers(-payload.PLACE_MAX, payload.PLACE_MAX)
volts = st.integers(0, payload.DECIVOLTS_MAX)
keys = st.binary(min_size=32, max_size=32)
extensions = st.one_of(
    st.just(()), st.tuples(volts), st.tuples(volts, keys), st.tuples(volts, keys, st.tuples(places, places))
).map(lambda fields: payload.Extension(*fields))
u32 = st.integers(0, payload.U32_MAX)


@given(u32, u32, extensions)
def test_every_message_is_read_as_it_was_written(nonce, energy_mwh, extension):
    body = payload.encode(nonce, energy_mwh, extension)
    raw = payload.join(body, SigningKey(bytes(range(32))).sign(body[:8]).signature)
    assert payload.decode(raw) == payload.Payload(nonce, energy_mwh, raw[8:72], extension)
    VerifyKey(KEY).verify(raw[:8], raw[8:72])
    assert Decimal(int.from_bytes(raw[4:8], "big")) / 10**6 == Decimal(energy_mwh) / 10**6  # kWh


@given(st.binary(max_size=150))
def test_any_bytes_are_a_message_or_refused(raw):
    try:
        message = payload.decode(raw)
    except RejectedError:
        return
    assert payload.join(payload.encode(*message[:2], message.extension), message.signature) == raw


@given(st.binary(max_size=20))
def test_any_bytes_are_an_answer_or_refused(raw):
    try:
        answer = payload.parse_answer(raw)
    except RejectedError:
        return
    assert answer.is_on == bool(raw[0])
    assert (answer.nonce is None) == (len(raw) in {1, 9})
    assert (answer.latitude is None) == (len(raw) < 9)


@given(st.floats(-180, 180), st.floats(-90, 90))
def test_places_end_where_three_bytes_do(longitude, latitude):
    reach = payload.PLACE_MAX / payload.DEGREE + 0.000_005
    if abs(longitude) > reach or abs(latitude) > reach:
        with pytest.raises(RefusedError, match=r"83\.88"):
            payload.place_of(longitude, latitude)
    else:
        placed = payload.place_of(longitude, latitude)
        assert max(abs(placed[0] / 1e5 - longitude), abs(placed[1] / 1e5 - latitude)) < 0.000_006


@pytest.mark.parametrize(
    ("nonce", "energy", "extension"),
    [
        (-1, 0, ()),
        (1 << 32, 0, ()),
        (0, -1, ()),
        (0, 4_294_967_296, ()),
        (0, 0, (65_536,)),
        (0, 0, (-1,)),
        (0, 0, (0, bytes(31))),
        (0, 0, (0, bytes(32), (8_388_608, 0))),
    ],
)
def test_what_does_not_fit_is_refused_not_wrapped(nonce, energy, extension):
    with pytest.raises(RefusedError):
        payload.encode(nonce, energy, payload.Extension(*extension))


async def test_the_console_refuses_what_is_not_good(tmp_path):
    console = sandbox.Console(KEY, Ledger())
    body = payload.encode(1, 7420, payload.Extension(2305, OTHER.public_key))
    foreign = payload.join(body, await SIGNER.sign(body[:8]))
    core = payload.join(body[:8], await OTHER.sign(body[:8]))
    meter = Meter("app", "00" * 8, 1)
    for raw in (foreign, core, b"x"):
        data = base64.b64encode(raw).decode()
        console.hear(meter.up, json.dumps({"deviceInfo": {"devEui": meter.dev_eui}, "data": data}).encode())
    console.hear(meter.up, b"[]")
    console.hear("application/app/device/11/event/up", event(meter, M3))
    assert set(console.ledger.refused) == {"unknown_device", "bad_signature", "bad_length", "bad_event", "bad_topic"}
    assert not console.ledger.taken
    assert console.hear(meter.up, event(meter, M3)) is not None
    other = payload.join(payload.encode(1, 1, payload.Extension()), await SIGNER.sign(struct.pack(">II", 1, 1)))
    console.hear(meter.up, event(meter, other))
    assert console.ledger.conflicts == ["1"]


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[1]", b'[{"m3ter_id":"1","message":"00"}]', b'[{"m3ter_id":1,"message":"00"}]']
)
def test_a_prover_refuses_what_is_no_batch(body):
    with pytest.raises(sandbox.BadMessageError):
        sandbox.read_batch(body)
