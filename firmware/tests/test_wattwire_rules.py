"""Each rule of wire.md §1 for records, one place of a good record changed at a time."""

import copy
import json
from pathlib import Path

import pytest

from wattwire import cbor, frame
from wattwire.errors import WireError

VECTORS = json.loads((Path(__file__).resolve().parent / "vectors.json").read_text())
STREAMS, ROWS, _, HEALTH = [bytes.fromhex(case["payload"]) for case in VECTORS["frames"]]
TOP = 2**63 - 1

# Each case sets or removes (...) one place of a good record's fields.
BAD_RECORDS = [
    (ROWS, (0,), 0, "bad_range"),
    (ROWS, (0,), 4, "bad_range"),
    (ROWS, (0,), "2", "bad_range"),
    (ROWS, (0,), ..., "bad_range"),
    (ROWS, (0,), 3, "unknown_key"),
    (ROWS, (1,), -1, "bad_range"),
    (ROWS, (1,), None, "bad_type"),
    (ROWS, (1,), ..., "bad_form"),
    (ROWS, (2,), 0, "bad_range"),
    (ROWS, (2,), 1, "bad_range"),
    (ROWS, (2,), b"", "bad_type"),
    (ROWS, (3,), bytes(15), "bad_type"),
    (ROWS, (3,), "x" * 16, "bad_type"),
    (ROWS, (4,), -1, "bad_range"),
    (ROWS, (5,), None, "bad_type"),
    (ROWS, (6,), -1, "bad_range"),
    (ROWS, (6,), "now", "bad_type"),
    (ROWS, (6,), ..., "bad_form"),
    (ROWS, (7,), None, "bad_type"),
    (ROWS, (7,), [1], "bad_form"),
    (ROWS, (7,), [0, 1], "bad_range"),
    (ROWS, (7,), [1, 2], "bad_range"),
    (ROWS, (7,), [2, 1], "bad_range"),
    (ROWS, (7,), [1, None], "bad_type"),
    (ROWS, (8,), 0, "unknown_key"),
    (ROWS, (31,), 0, "unknown_key"),
    (ROWS, (14,), {}, "unknown_key"),
    (ROWS, (-1,), 0, "unknown_key"),
    (ROWS, ("x",), 0, "unknown_key"),
    (ROWS, (b"x",), 0, "unknown_key"),
    (ROWS, (12,), bytes(32), "bad_type"),
    (ROWS, (12,), ..., "bad_form"),
    (ROWS, (13,), {}, "bad_type"),
    (ROWS, (13, 0), 5, "bad_type"),
    (ROWS, (13, 0), [0, 0, 0], "bad_form"),
    (ROWS, (13, 0, 0), -1, "bad_range"),
    (ROWS, (13, 0, 0), "0", "bad_type"),
    (ROWS, (13, 0, 1), -1, "bad_range"),
    (ROWS, (13, 0, 1), TOP, "bad_range"),
    (ROWS, (13, 0, 2), -1, "bad_range"),
    (ROWS, (13, 0, 2), None, "bad_type"),
    (ROWS, (13, 0, 2), TOP // 5, "bad_range"),
    (ROWS, (13, 0, 2), [1] * 4, "bad_form"),
    (ROWS, (13, 0, 2), [1] * 6, "bad_form"),
    (ROWS, (13, 0, 2), [1, 1, -1, 1, 1], "bad_form"),
    (ROWS, (13, 0, 2), [1, 1, None, 1, 1], "bad_form"),
    (ROWS, (13, 0, 2), [1, 1, "1", 1, 1], "bad_form"),
    (ROWS, (13, 0, 2), [TOP, 1, 1, 1, 1], "bad_range"),
    (ROWS, (13, 0, 3), {}, "bad_type"),
    (ROWS, (13, 0, 3), [7], "bad_type"),
    (ROWS, (13, 0, 3, 1), [1] * 5, "bad_form"),
    (ROWS, (13, 0, 3, 1), 5, "bad_form"),
    (ROWS, (13, 0, 3, 0, 2), "5", "bad_type"),
    (ROWS, (13, 0, 3, 0, 2), b"5", "bad_type"),
    (ROWS, (13, 0, 3, 0, 2), [5], "bad_type"),
    (ROWS, (13, 0, 3), [["a"] * 6], "bad_type"),
    (ROWS, (13, 0, 3), [[b"a"] * 6], "bad_type"),
    (ROWS, (13, 0, 3), [[[]] * 6], "bad_type"),
    (ROWS, (13, 0, 3), [[{}] * 6], "bad_type"),
    (ROWS, (13, 0, 3), [[TOP, 1, 0, 0, 0, 0]], "bad_range"),
    (ROWS, (13, 0, 3), [[-TOP, None, -1, 0, 0, 0]], "bad_range"),
    (STREAMS, (10,), {}, "bad_type"),
    (STREAMS, (10,), ..., "bad_form"),
    (STREAMS, (10, 0), [], "bad_type"),
    (STREAMS, (10, 0, 0), "solar", "bad_range"),
    (STREAMS, (10, 0, 0), 1, "bad_range"),
    (STREAMS, (10, 0, 0), ..., "bad_form"),
    (STREAMS, (10, 0, 1), "", "bad_form"),
    (STREAMS, (10, 0, 1), b"x", "bad_type"),
    (STREAMS, (10, 0, 2), bytes(32), "bad_type"),
    (STREAMS, (10, 0, 3), 256, "bad_range"),
    (STREAMS, (10, 0, 3), None, "bad_type"),
    (STREAMS, (10, 0, 4), None, "bad_type"),
    (STREAMS, (10, 0, 4, 0), ["power", "W"], "bad_form"),
    (STREAMS, (10, 0, 4, 0), ["power", "W", 0, 1, 1], "bad_form"),
    (STREAMS, (10, 0, 4, 0), ["power", "W", 0, 0], "bad_range"),
    (STREAMS, (10, 0, 4, 0), ["power", "W", 0, None], "bad_type"),
    (STREAMS, (10, 0, 4, 0), ["power", "W", 19], "bad_range"),
    (STREAMS, (10, 0, 4, 0), ["power", "W", -19], "bad_range"),
    (STREAMS, (10, 0, 4, 0), ["power", "W", "0"], "bad_type"),
    (STREAMS, (10, 0, 4, 0), ["", "W", 0], "bad_form"),
    (STREAMS, (10, 0, 4, 0), ["power", None, 0], "bad_type"),
    (STREAMS, (10, 0, 4, 0), ["voltage", "V", 0], "bad_form"),
    (STREAMS, (10, 0, 4, 0), {}, "bad_type"),
    (STREAMS, (10, 0, 5), bytes(15), "bad_type"),
    (STREAMS, (10, 0, 6), -1, "bad_range"),
    (STREAMS, (10, 0, 7), 0, "bad_range"),
    (STREAMS, (10, 0, 7), 2, "bad_range"),
    (STREAMS, (10, 0, 8), 0, "unknown_key"),
    (STREAMS, (10, 0, 32), 0, "unknown_key"),
    (STREAMS, (10, 0, "x"), 0, "unknown_key"),
    (STREAMS, (11,), [], "bad_type"),
    (STREAMS, (11, 5), "x", "bad_type"),
    (STREAMS, (11, "x"), None, "bad_type"),
    (STREAMS, (15,), bytes(16), "bad_type"),
    (STREAMS, (15,), ..., "bad_form"),
    (STREAMS, (16,), ..., "bad_form"),
    (STREAMS, (16,), [5], "bad_form"),
    (STREAMS, (16,), [-1, bytes(16)], "bad_range"),
    (STREAMS, (16,), [5, bytes(32)], "bad_type"),
    (STREAMS, (3,), b"\x01" + bytes(15), "bad_range"),
    (HEALTH, (14,), None, "bad_type"),
    (HEALTH, (14,), ..., "bad_form"),
    (HEALTH, (14, 1), "x", "bad_type"),
    (HEALTH, (14, "x"), b"x", "bad_type"),
    (HEALTH, (14, "x"), [], "bad_type"),
]


def changed(payload, path, value):
    fields = place = copy.deepcopy(cbor.decode(payload))
    for step in path[:-1]:
        place = place[step]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return cbor.encode(fields)


@pytest.mark.parametrize(("payload", "path", "value", "expected"), BAD_RECORDS)
def test_each_rule(payload, path, value, expected):
    with pytest.raises(WireError) as caught:
        frame.decode(changed(payload, path, value))
    assert caught.value.reason == expected


@pytest.mark.parametrize(
    ("payload", "path", "value"),
    [
        (ROWS, (6,), None),
        (ROWS, (7,), [1, 1]),
        (ROWS, (32,), {"a": [None]}),
        (ROWS, (TOP,), b""),
        (ROWS, (13,), []),
        (ROWS, (13, 0, 2), 0),
        (ROWS, (13, 0, 2), [0, 1, 2, 3, 4]),
        (ROWS, (13, 0), [0, 5, 7, []]),
        (ROWS, (13, 0), [0, 5, [], []]),
        (ROWS, (13, 0), [9, 5, [], [[1], [None]]]),
        (ROWS, (13, 0), [9, 5, [], [[], []]]),
        (ROWS, (13, 0, 3), [[None] * 6]),
        (ROWS, (13, 0, 3), [[TOP, -TOP, -TOP, 1, None, TOP]]),
        (STREAMS, (10,), []),
        (STREAMS, (10, 0, 7), 1),
        (STREAMS, (10, 0, 4, 0), ["power", "W", 18, 1]),
        (STREAMS, (16,), [0, bytes(16)]),
        (HEALTH, (14,), {}),
    ],
)
def test_allowed_too(payload, path, value):
    data = changed(payload, path, value)
    assert frame.encode(frame.decode(data)) == data
