"""Frames in uplinks of LoRaWAN: any order, doubled, one lost; and any bytes are a frame or an error."""

import json
import random
import runpy
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattwire import cose, lora
from wattwire.errors import WireError

TESTS = Path(__file__).resolve().parent
CASES = json.loads((TESTS / "vectors_lora.json").read_text())
SCRIPT = """
import json
from wattwire import lora
with open({file!r}) as source:
    cases = json.load(source)
for case in cases:
    uplinks = lora.split(bytes.fromhex(case["frame"]), case["seq"])
    assert [uplink.hex() for uplink in uplinks] == case["uplinks"]
    for lost in range(len(uplinks)):
        left = [uplink for at, uplink in enumerate(uplinks) if at != lost]
        seq, _, last = lora.header(left[0])
        assembly = lora.Assembly(seq, last)
        assert [assembly.add(uplink) for uplink in left][-1].hex() == case["frame"]
try:
    lora.header(bytes(3))
except ValueError as error:
    print(error.reason, len(cases))
"""


def assemble(uplinks):
    """Return what the uplinks give, the first frame."""
    seq, _, last = lora.header(uplinks[0])
    assembly = lora.Assembly(seq, last)
    found = [assembly.add(uplink) for uplink in uplinks]
    return next((frame for frame in found if frame is not None), None)


def a_frame(size):
    return cose.join(bytes(range(8)), random.Random(size).randbytes(size), bytes(31) + b"\x01" + bytes(31) + b"\x01")


def test_vectors_are_what_their_program_builds():
    build = runpy.run_path(str(TESTS / "vectors_lora_build.py"))
    assert build["FILE"].read_text() == build["text"]()


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_vectors(case):
    uplinks = lora.split(bytes.fromhex(case["frame"]), case["seq"])
    assert [uplink.hex() for uplink in uplinks] == case["uplinks"]
    assert all(len(uplink) <= lora.UPLINK_SIZE_MAX for uplink in uplinks)
    assert assemble(uplinks).hex() == case["frame"]


def test_the_same_on_micropython(run_micropython):
    assert run_micropython(SCRIPT.format(file=str(TESTS / "vectors_lora.json"))) == f"bad_form {len(CASES)}\n"


@settings.get_profile("parsers")
@given(st.integers(1, lora.CONTENT_SIZE_MAX - 72), st.integers(0, 1 << 40), st.randoms(use_true_random=False))
def test_any_frame_survives_one_loss_doubles_and_any_order(size, seq, source):
    frame = a_frame(size)
    uplinks = lora.split(frame, seq)
    del uplinks[source.randrange(len(uplinks))]
    uplinks += source.choices(uplinks, k=3)
    source.shuffle(uplinks)
    assert assemble(uplinks) == frame


@given(st.integers(100, lora.CONTENT_SIZE_MAX - 72))
def test_two_losses_give_no_frame(size):
    uplinks = lora.split(a_frame(size), 7)
    assert assemble(uplinks[2:]) is None


def test_a_frame_that_is_too_long_is_refused():
    assert len(lora.split(a_frame(lora.CONTENT_SIZE_MAX - 72), 1)) == lora.PARTS_MAX + 1
    with pytest.raises(WireError, match="too_long"):
        lora.split(a_frame(lora.CONTENT_SIZE_MAX - 71), 1)


@settings.get_profile("parsers")
@given(st.lists(st.binary(max_size=60), max_size=20))
def test_any_bytes_give_a_frame_or_an_error(uplinks):
    assemblies = {}
    for uplink in uplinks:
        try:
            seq, _, last = lora.header(uplink)
            frame = assemblies.setdefault((seq, last), lora.Assembly(seq, last)).add(uplink)
        except WireError:
            continue
        if frame is not None:
            cose.parse(frame)


@given(st.integers(60, 400), st.integers(0, 1 << 30), st.integers(0, 255))
def test_a_flipped_byte_never_makes_another_good_frame_silently(size, place, flip):
    frame = a_frame(size)
    uplinks = lora.split(frame, 9)
    at = place % len(uplinks)
    broken = bytearray(uplinks[at])
    broken[3 + place % (len(broken) - 3)] ^= flip
    uplinks[at] = bytes(broken)
    try:
        found = assemble(uplinks)
    except WireError:
        return
    if found is not None and flip and at < len(uplinks) - 1:
        assert found != frame  # the signature tells: not here, but at the gateway
