"""`decode frames` and exports: the known answers, and every way a line can be bad."""

import io
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattness.decode import LINE_BYTES_MAX, decode_frames, parse_public_key
from wattness.errors import ConfigError
from wattwire import cose, frame

VECTORS = json.loads((Path(__file__).parents[2] / "firmware" / "tests" / "vectors.json").read_text())
KEY = bytes.fromhex(VECTORS["key"]["public_hex"])
SECRET = bytes.fromhex(VECTORS["key"]["secret_hex"])
FRAMES = [one["hex"] for one in VECTORS["frames"]]


def decode(*lines):
    text = "\n".join(lines).encode() + b"\n"
    return list(decode_frames(KEY, io.BytesIO(text)))


def test_known_frames():
    found = decode(*FRAMES)
    assert [one["ok"] for one in found] == [True] * len(FRAMES)
    assert [one["seq"] for one in found] == [one["seq"] for one in VECTORS["frames"]]
    assert {one["kid"] for one in found} == {VECTORS["key"]["kid"]}
    assert [one["line"] for one in found] == [1, 2, 3, 4]


def test_rows_come_per_row_and_in_time():
    entry = frame.Entry(0, 0, [1000, 1500], [[100, 5, None], [None, 7, 1]])
    record = frame.Record(frame.KIND_ROWS, 1, 2, bytes(16), 3, 4000, None, (1, 1), frame.Rows(bytes(16), [entry]), {})
    (found,) = decode(sealed(record))
    assert found["rows"] == [{"stream": 0, "at": [0, 1000, 2500], "values": [[100, None], [105, 7], [None, 8]]}]
    assert (found["kind"], found["kind_name"], found["unix"], found["lost"]) == (2, "rows", None, [1, 1])


def sealed(record, secret=SECRET, kid=None):
    return cose.sign1(secret, kid or cose.kid(KEY), frame.encode(record)).hex()


HEALTH = frame.Record(frame.KIND_HEALTH, 1, 2, bytes(16), 3, 4000, 5000, None, frame.Health({"free": 7}), {})


def test_health_is_shown():
    (found,) = decode(sealed(HEALTH))
    assert found["health"] == {"free": 7}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("zz", "bad_hex"),
        ("abc", "bad_hex"),
        ("é", "bad_hex"),
        (FRAMES[0][:-2], "truncated"),
        (FRAMES[0] + "00", "trailing_bytes"),
        (FRAMES[0][:-40] + "00" + FRAMES[0][-38:], "bad_signature"),
        (sealed(HEALTH, kid=b"12345678"), "unknown_board"),
        ("00" * LINE_BYTES_MAX, "too_long"),
        ("00" * 8193, "too_long"),
    ],
)
def test_bad_lines_are_refused_with_a_reason_and_the_next_is_read(line, reason):
    bad, good = decode(line, FRAMES[0])
    assert (bad["ok"], bad["reason"], bad["log"], good["ok"], good["line"]) == (False, reason, None, True, 2)


def test_blank_lines_and_white_space_are_skipped():
    found = list(decode_frames(KEY, io.BytesIO(b"\r\n  \n " + FRAMES[0].encode() + b" \r\n\n" + FRAMES[1].encode())))
    assert [(one["ok"], one["line"]) for one in found] == [(True, 3), (True, 5)]


@settings.get_profile("parsers")
@given(st.binary(max_size=400))
def test_any_bytes_give_one_object_a_line(data):
    found = list(decode_frames(KEY, io.BytesIO(data)))
    assert len(found) == sum(1 for line in data.split(b"\n") if line.strip())
    json.dumps(found)


@pytest.mark.parametrize("text", ["", "04", "05" + "00" * 64, "zz", FRAMES[0]])
def test_bad_key_is_one_sentence(text):
    with pytest.raises(ConfigError, match="130 hexadecimal digits"):
        parse_public_key(text)


def test_key_off_the_curve_is_one_sentence():
    with pytest.raises(ConfigError, match="not a point"):
        list(decode_frames(parse_public_key("04" + "11" * 64), io.BytesIO(b"")))
