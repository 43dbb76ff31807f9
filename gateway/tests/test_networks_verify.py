"""What gateways of others recorded for a network is verified line by line."""

import asyncio
import base64
import io
import json
import os
import sys

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from wattness.cli import main
from wattness.errors import ConfigError
from wattness.keys.held import HeldP256
from wattness.networks.m3tering_payload import Extension, encode, join
from wattness.networks.sourceful_token import sign
from wattness.networks.verified import verify_lines

P256 = HeldP256(ec.derive_private_key(4662, ec.SECP256R1()))
METER = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
METER_KEY = METER.public_key().public_bytes_raw()
HEADER = {"alg": "ES256", "typ": "JWT", "device": "0123", "opr": "testing", "model": "sungrow", "sn": "S1"}
GENESIS = [
    "[2,213.7,0.38,0.007420]",
    "9C7lPdznR9pymAIvjDPmm/mVX/uUTemapJRb8yzGKvG8or43u6V97oDPcW7ZP9HeHRZrGEf1iIkyLixAVdWsDg==",
    "JR2VNczJacY86eyyCBr1iTTT7vxKtYbfqegeTkXJD88=",
]


def verified(kind, *lines, key=b""):
    text = b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines)
    return list(verify_lines(kind, key.hex(), io.BytesIO(text)))


def message(nonce, extension):
    body = encode(nonce, 7420, extension)
    return join(body, METER.sign(body[:8])).hex()


async def token(**header):
    return await sign(P256, HEADER | {"dtype": "json"} | header, {"1700000000000": {"W": 1}})


async def test_tokens_of_sourceful():
    good, bad = await token(), await token(dtype="xml")
    found = verified("sourceful", good, "", bad, "x", key=P256.public_key[1:])
    assert [(one["line"], one["ok"], one.get("reason")) for one in found] == [
        (1, True, None),
        (3, False, "bad_header"),
        (4, False, "bad_form"),
    ]
    assert found[0]["readings"] == {1_700_000_000_000: {"W": 1}}
    assert verified("sourceful", good, key=P256.public_key)[0]["ok"]
    with pytest.raises(ConfigError, match="--key is missing"):
        verified("sourceful", good)


def test_messages_of_m3tering():
    place = Extension(2305, METER_KEY, (-481_667, 345_678))
    found = verified("m3tering", message(1, place), json.dumps(GENESIS), message(2, Extension(1, bytes(32))), "zz")
    assert found[0]["energy_mwh"] == 7420
    assert (found[0]["volts"], found[0]["longitude"], found[0]["latitude"]) == (230.5, -4.81667, 3.45678)
    assert (found[1]["kwh"], found[1]["key"]) == ("0.007420", base64.b64decode(GENESIS[2]).hex())
    assert [one.get("reason") for one in found[2:]] == ["bad_signature", "bad_form"]
    core = message(1, Extension())
    assert verified("m3tering", core, key=METER_KEY)[0]["nonce"] == 1
    assert verified("m3tering", core, key=bytes(32))[0]["reason"] == "bad_signature"
    assert verified("m3tering", message(1, place), json.dumps(GENESIS), key=bytes(32)) == [
        {"line": 1, "ok": False, "reason": "other_device", "detail": "other_device: it names another key than --key"},
        {"line": 2, "ok": False, "reason": "other_device", "detail": "other_device: it names another key than --key"},
    ]
    with pytest.raises(ConfigError, match="--key is missing"):
        verified("m3tering", core)


def test_what_cannot_be_verified_says_why():
    with pytest.raises(ConfigError, match="sourceful or m3tering"):
        verified("glow", "x")
    with pytest.raises(ConfigError, match="not hex"):
        list(verify_lines("m3tering", "xy", io.BytesIO()))


@given(st.sampled_from(["sourceful", "m3tering"]), st.binary(max_size=200))
def test_any_line_is_told_good_or_bad(kind, line):
    for found in verified(kind, line, key=P256.public_key[1:]):
        assert found["ok"] is False


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command; gives code, objects, errors."""

    def run(*words, text=""):
        monkeypatch.setattr(sys, "argv", ["wattness", "network", "verify", *words])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        monkeypatch.setattr(os, "umask", lambda _: 0)
        with pytest.raises(SystemExit) as ended:
            main()
        output = capsys.readouterr()
        return ended.value.code, [json.loads(line) for line in output.out.splitlines()], output.err

    return run


def test_the_command_line(tmp_path, run):
    file = tmp_path / "tokens"
    file.write_text(asyncio.run(token()) + "\n")
    code, found, _ = run("sourceful", str(file), "--key", P256.public_key[1:].hex())
    assert (code, found[0]["ok"], found[0]["serial"]) == (0, True, "S1")
    code, found, _ = run("m3tering", "-", text=json.dumps(GENESIS) + "\n00\n")
    assert (code, [one["ok"] for one in found]) == (1, [True, False])
    code, _, error = run("sourceful", str(file))
    assert code == 2
    assert "--key is missing" in error
