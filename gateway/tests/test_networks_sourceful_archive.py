"""Sourceful's archived format: what its gateways once delivered is verified to the last digit."""

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from wattness.errors import RejectedError
from wattness.keys.held import HeldP256
from wattness.networks import sourceful_token
from wattness.networks.sourceful_archive import verify_delivery

SIGNER = HeldP256(ec.derive_private_key(4662, ec.SECP256R1()))
OTHER = HeldP256(ec.derive_private_key(4663, ec.SECP256R1()))
POINT = SIGNER.public_key[1:]
HEADER = {"alg": "ES256", "typ": "JWT", "device": "0123", "opr": "testing", "model": "sungrow", "sn": "S1"}
REGISTERS = {"1700000000000": {"5016": 3100, "13022": 65_535}}
P1 = {"1700000000000": {"serial_number": "1", "rows": ["1-0:1.7.0(00.1*kW)"], "checksum": "DEAD"}}


async def delivery(payload=None, signer=SIGNER, **header):
    header = {name: value for name, value in (HEADER | {"dtype": "modbus_registers"} | header).items() if value}
    return (await sourceful_token.sign(signer, header, REGISTERS if payload is None else payload)).encode()


async def test_an_archived_delivery_is_verified():
    found = verify_delivery(await delivery() + b"\n", POINT)
    assert (found.device, found.operation, found.model, found.serial) == ("0123", "testing", "sungrow", "S1")
    assert found.readings == {1_700_000_000_000: {"5016": 3100, "13022": 65_535}}
    assert verify_delivery(await delivery(P1, dtype="p1_telnet_json"), POINT).dtype == "p1_telnet_json"
    assert verify_delivery(await delivery({"1700000000000": {"x": None}}, dtype="json"), POINT)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"alg": "none"}, "bad_header"),
        ({"typ": "JWS"}, "bad_header"),
        ({"sn": ""}, "bad_header"),
        ({"dtype": "xml"}, "bad_header"),
        ({"signer": OTHER}, "bad_signature"),
        ({"payload": {}}, "no_readings"),
        ({"payload": {"17": {}}}, "bad_time"),
        ({"payload": {"01700000000000": {}}}, "bad_time"),
        ({"payload": {"1700000000000": []}}, "bad_reading"),
        ({"payload": {"1700000000000": {"5016": 65_536}}}, "bad_reading"),
        ({"payload": {"1700000000000": {"5016": -1}}}, "bad_reading"),
        ({"payload": {"1700000000000": {"5016": True}}}, "bad_reading"),
        ({"payload": {"1700000000000": {"65536": 1}}}, "bad_reading"),
        ({"payload": P1 | {"1700000000001": {}}, "dtype": "p1_telnet_json"}, "bad_reading"),
        ({"payload": [1]}, "bad_form"),
    ],
)
async def test_an_archived_delivery_that_is_not_good_is_rejected(change, reason):
    with pytest.raises(RejectedError, match=reason):
        verify_delivery(await delivery(**change), POINT)


async def test_a_changed_byte_and_a_wrong_key_are_found():
    token = await delivery()
    at = token.index(b".") + 5
    for text, point, reason in [
        (token[:at] + bytes((token[at] ^ 1,)) + token[at + 1 :], POINT, "bad_"),
        (token, OTHER.public_key[1:], "bad_signature"),
        (token, bytes(64), "bad_key"),
        (token, b"x", "bad_key"),
        (token + b"=", POINT, "bad_form"),
        (b"a.b", POINT, "bad_form"),
        (token[:-3], POINT, "bad_"),
        (b"x" * (1 << 20 | 1), POINT, "too_long"),
    ]:
        with pytest.raises(RejectedError, match=reason):
            verify_delivery(text, point)


async def test_a_key_that_is_there_twice_is_rejected():
    parts = [json.dumps(HEADER | {"dtype": "json"}), '{"1700000000000":{},"1700000000000":{}}']
    text = ".".join(base64.urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in parts)
    signature = base64.urlsafe_b64encode(await SIGNER.sign(text.encode())).rstrip(b"=").decode()
    with pytest.raises(RejectedError, match="twice"):
        verify_delivery(f"{text}.{signature}".encode(), POINT)


@given(st.binary(max_size=300))
def test_any_bytes_are_rejected_by_reason(data):
    with pytest.raises(RejectedError):
        verify_delivery(data, POINT)
