"""Frames that every receiver refuses, each with the reason; for `vectors_more_build.py`."""

import hashlib

import cbor2

T = 1_790_000_000_000
TOP = 2**63 - 1
GATEWAY = hashlib.sha256(b"a gateway").digest()
PV = {0: "pv", 1: "sunspec", 2: bytes(16), 3: 1, 4: [["power", "W", 0]], 6: 6000}
GOOD = {0: 3, 1: 0, 2: 2, 3: bytes(16), 4: 1, 5: 10, 6: None, 14: {}}
ROWS = {0: 2, 1: 0, 2: 2, 3: bytes(16), 4: 1, 5: 10, 6: T, 12: bytes(16), 13: [[0, 0, 1000, [[1, 2], [None, 3]]]]}
STREAMS = {0: 1, 1: 0, 2: 1, 3: bytes(16), 4: 1, 5: 10, 6: T, 10: [PV], 11: {}, 15: GATEWAY, 16: None}


def dumps(value):
    return cbor2.dumps(value, canonical=True)


def without(fields, key):
    return {other: fields[other] for other in fields if other != key}


PREFIX = dumps(GOOD)[:-2]  # its last pair is 14: {}
NINE_LEVELS = [[[[[[[[]]]]]]]]

MALFORMED = [  # payloads by their bytes
    ("a tag", PREFIX + b"\x0e\xc0\xa0", "bad_type"),
    ("undefined", PREFIX + b"\x0e\xf7", "bad_type"),
    ("a duplicate key", b"\xa9" + PREFIX[1:] + b"\x0e\xa0\x0e\xa0", "duplicate_key"),
    ("keys out of order", b"\xa9" + PREFIX[1:] + b"\x0e\xa0\x07\xa0", "not_deterministic"),
    ("a longer head than needed", PREFIX + b"\x0e\xb8\x00", "not_deterministic"),
    ("an indefinite length", PREFIX + b"\x0e\xbf\xff", "not_deterministic"),
    ("a length of 8 EiB", PREFIX + b"\x0e\xbb\x7f" + b"\xff" * 7, "truncated"),
    ("trailing bytes", dumps(GOOD) + b"\x00", "trailing_bytes"),
    ("nothing", b"", "truncated"),
    ("a broken text", PREFIX + b"\x0e\xa1\x61\xff\x00", "bad_type"),
    ("a surrogate", PREFIX + b"\x0e\xa1\x63\xed\xa0\x80\x00", "bad_type"),
    ("7,000 levels", b"\x81" * 7000, "too_deep"),
]
WRONG = [  # payloads by their fields
    ("a float", GOOD | {14: {"a": 1.5}}, "bad_type"),
    ("true", GOOD | {14: {"a": True}}, "bad_type"),
    ("an integer of 64 bits", GOOD | {14: {"a": 2**63}}, "bad_range"),
    ("nine levels", GOOD | {40: NINE_LEVELS}, "too_deep"),
    ("no map", [1], "bad_type"),
    ("an unknown key", GOOD | {31: 0}, "unknown_key"),
    ("a negative key", GOOD | {-1: 0}, "unknown_key"),
    ("another kind's key", GOOD | {13: []}, "unknown_key"),
    ("a missing key", without(GOOD, 4), "bad_form"),
    ("kind 4", GOOD | {0: 4}, "bad_range"),
    ("seq 0", GOOD | {2: 0}, "bad_range"),
    ("a first record with a predecessor", GOOD | {2: 1, 3: b"\x01" * 16}, "bad_range"),
    ("a short prev", GOOD | {3: bytes(15)}, "bad_type"),
    ("a negative time", GOOD | {6: -1}, "bad_range"),
    ("a hole up to itself", GOOD | {7: [1, 2]}, "bad_range"),
    ("health as bytes", GOOD | {14: {"a": b""}}, "bad_type"),
    ("columns of two lengths", ROWS | {13: [[0, 0, 1, [[1], [1, 2]]]]}, "bad_form"),
    ("too many spacings", ROWS | {13: [[0, 0, [1, 1], [[1, 2]]]]}, "bad_form"),
    ("a negative spacing", ROWS | {13: [[0, 0, [-1], [[1, 2]]]]}, "bad_form"),
    ("a text in a column", ROWS | {13: [[0, 0, 1, [[1, "2"]]]]}, "bad_type"),
    ("a sum of 64 bits", ROWS | {13: [[0, 0, 1, [[TOP, None, 1]]]]}, "bad_range"),
    ("a time of 64 bits", ROWS | {13: [[0, TOP - T, 1, [[1, 2]]]]}, "bad_range"),
    ("a long streams hash", ROWS | {12: bytes(32)}, "bad_type"),
    ("an unknown role", STREAMS | {10: [PV | {0: "sun"}]}, "bad_range"),
    ("a stream's unknown key", STREAMS | {10: [PV | {8: 0}]}, "unknown_key"),
    ("inversion 2", STREAMS | {10: [PV | {7: 2}]}, "bad_range"),
    ("a point named twice", STREAMS | {10: [PV | {4: [["a", "W", 0], ["a", "W", 1]]}]}, "bad_form"),
    ("modulus 0", STREAMS | {10: [PV | {4: [["a", "W", 0, 0]]}]}, "bad_range"),
    ("no gateway", without(STREAMS, 15), "bad_form"),
]


def records():
    """Return (what, payload, reason) of frames that are well signed and have a wrong payload."""
    return MALFORMED + [(what, dumps(fields), reason) for what, fields, reason in WRONG]


def envelopes(seal, kid):
    """Return (what, frame, reason) of envelopes that are wrong themselves."""
    payload = dumps(GOOD)
    good = seal(payload)
    return [
        ("high S", seal(payload, high=True), "high_s"),
        ("another algorithm", seal(payload, dumps({1: -8, 4: kid})), "bad_algorithm"),
        ("ES384", seal(payload, dumps({1: -35, 4: kid})), "bad_algorithm"),
        ("a short kid", seal(payload, dumps({1: -7, 4: kid[:7]})), "bad_form"),
        ("no kid", seal(payload, dumps({1: -7})), "bad_form"),
        ("an unprotected header", seal(payload, None, {4: kid}), "bad_form"),
        ("another tag", b"\xd1" + good[1:], "bad_tag"),
        ("no tag", good[1:], "bad_tag"),
        ("trailing bytes behind the frame", good + b"\x00", "trailing_bytes"),
        ("a cut frame", good[:-1], "truncated"),
        ("another context", seal(payload, aad=b"wattwire/2"), "bad_signature"),
        ("another board's kid", seal(payload, dumps({1: -7, 4: bytes(8)})), "bad_signature"),
        ("a changed payload", good.replace(payload, dumps(GOOD | {5: 11})), "bad_signature"),
        ("a zero signature", good[:-64] + bytes(64), "bad_signature"),
        ("more than 8,192 bytes", seal(dumps(GOOD | {40: bytes(8192)})), "too_long"),
    ]
