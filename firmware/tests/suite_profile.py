"""What register, plan and profile promise; runs unchanged on CPython and on MicroPython.

Plain functions and asserts; `test_profile_runtimes.py` runs them on both interpreters.
"""

import hashlib
import json
import struct

from wattwire import profile, register
from wattwire.errors import WireError
from wattwire.modbus import ModbusError
from wattwire.plan import Read, coalesce


def raised(function, *arguments):
    """Return the exception that the call must raise."""
    try:
        function(*arguments)
    except (WireError, ModbusError) as error:
        return error
    raise AssertionError("nothing was refused")


def refused(function, *arguments):
    """Return the reason of the WireError that the call must raise."""
    return raised(function, *arguments).reason


def minimal(**changes):
    """Return the text of a small good profile, changed."""
    form = {
        "id": "meter",
        "title": "A meter",
        "positive": "import",
        "table": "input",
        "default": ["power"],
        "points": [{"name": "power", "unit": "W", "address": 0, "type": "s16"}],
    }
    form.update(changes)
    return json.dumps(form)


def point(kind, order="big", exponent=0, scale=0):
    """Return the only point of a profile at address 0."""
    item = {"name": "power", "unit": "W", "address": 0, "type": kind, "word_order": order, "exponent": exponent}
    if kind == "float32":
        item["scale"] = scale
    return profile.load(minimal(points=[item])).points[0]


def check_number_types():
    for kind, hexadecimal, value in (
        ("u16", "ffff", 65535),
        ("s16", "ffff", -1),
        ("s16", "8000", -32768),
        ("s16", "7fff", 32767),
        ("enum16", "0004", 4),
        ("u32", "ffffffff", 4294967295),
        ("s32", "ffffffff", -1),
        ("s32", "80000000", -2147483648),
        ("acc32", "00000001", 1),
        ("u64", "7fffffffffffffff", 9223372036854775807),
        ("u64", "8000000000000000", None),
        ("float32", "3f800000", 1),
        ("float32", "bf800000", -1),
        ("float32", "80000000", 0),
        ("float32", "7fc00000", None),
        ("float32", "ffc00001", None),
        ("float32", "7f800000", None),
        ("float32", "ff800000", None),
        ("float32", "5f000000", None),
        ("float32", "5effffff", 9223371487098961920),
        ("float32", "00000001", 0),
    ):
        data = bytes([int(hexadecimal[at : at + 2], 16) for at in range(0, len(hexadecimal), 2)])
        expected = None if value is None else (value, 0)
        assert profile.convert(point(kind), data) == expected, (kind, hexadecimal)
        swapped = b"".join([data[at : at + 2] for at in range(len(data) - 2, -1, -2)])
        assert profile.convert(point(kind, "little"), swapped) == expected, (kind, hexadecimal)


def check_floats_round_half_to_even():
    for value, exponent, scale, expected in (
        (230.1, -1, 0, 2301),
        (229.25, -1, 0, 2292),
        (229.75, -1, 0, 2298),
        (-229.25, -1, 0, -2292),
        (0.5, 0, 0, 0),
        (1.5, 0, 0, 2),
        (2.5, 0, 0, 2),
        (-0.5, 0, 0, 0),
        (1234.567, 0, 3, 1234567),
        (1234.567, 1, 3, 123457),
        (25.0, 1, 0, 2),
        (35.0, 1, 0, 4),
        (16777217.0, 0, 3, 16777216000),
        (1e-30, -1, 0, 0),
        (99.5, -3, -2, 995),
    ):
        data = struct.pack(">f", value)
        assert profile.convert(point("float32", "big", exponent, scale), data) == (expected, exponent), value


def check_scale_factors():
    text = minimal(
        models=[203],
        table="holding",
        points=[{"name": "power", "unit": "W", "address": 5, "type": "s16", "sf": 2, "exponent": -1}],
    )
    bound = profile.bind(profile.load(text), 100, 20)
    reads = profile.plan(bound, ["power"])
    assert reads == [(3, 102, 4)]
    for factor, value, expected in (
        (0xFFFE, 1234, (1234, -3)),
        (0, 0xFFFF, (-1, -1)),
        (10, 7, (7, 9)),
        (0xFFF6, 7, (7, -11)),
        (11, 7, None),
        (0xFFF5, 7, None),
        (0x8000, 7, None),
        (0, 0x8000, None),
    ):
        data = struct.pack(">4H", factor, 0, 0, value)
        assert profile.decode(bound, ["power"], [(reads[0], data)]) == {"power": expected}, (factor, value)
    # The value of one answer and the scale factor of another are no reading.
    apart = [(Read(3, 102, 1), b"\x00\x00"), (Read(3, 105, 1), b"\x00\x07")]
    assert profile.decode(bound, ["power"], apart) == {"power": None}


def check_markers():
    for kind, marker in register.SUNSPEC_INVALID.items():
        text = minimal(models=[1], points=[{"name": "power", "unit": "W", "address": 0, "type": kind}])
        sunspec_point = profile.load(text).points[0]
        data = marker.to_bytes(2 * register.COUNTS[kind], "big")
        assert profile.convert(sunspec_point, data) is None, kind
        if kind not in ("float32", "u64"):
            assert profile.convert(point(kind), data) is not None, kind
    item = {"name": "soc", "unit": "%", "address": 0, "type": "u16", "exponent": -1, "invalid": [65535, 65534]}
    soc = profile.load(minimal(points=[item], default=[])).points[0]
    assert profile.convert(soc, b"\xff\xfe") is None
    assert profile.convert(soc, b"\xff\xfd") == (65533, -1)


def check_missing_answers_are_none():
    meter = profile.bind(profile.load(minimal()))
    assert profile.decode(meter, ["power", "soc"], []) == {"power": None, "soc": None}
    assert profile.decode(meter, ["power"], [(Read(4, 0, 1), None)]) == {"power": None}
    assert profile.decode(meter, ["power"], [(Read(3, 0, 1), b"\x00\x01")]) == {"power": None}
    assert profile.decode(meter, ["power"], [(Read(4, 0, 1), b"")]) == {"power": None}
    assert profile.decode(meter, ["power"], [(Read(4, 0, 1), b"\x00\x01"), (Read(4, 0, 1), b"\x00\x02")]) == {
        "power": (2, 0)
    }
    assert profile.unknown(meter, ["power", "soc"]) == ["soc"]
    assert refused(profile.wire_points, meter, ["soc"], {}) == "unknown_point"


def check_acc32_rolls_over():
    item = {"name": "energy_import", "unit": "Wh", "address": 0, "type": "acc32"}
    meter = profile.bind(profile.load(minimal(points=[item], default=[])))
    assert profile.wire_points(meter, ["energy_import"], {}) == [("energy_import", "Wh", 0, 4294967296)]
    item["modulus"] = 1000000
    meter = profile.bind(profile.load(minimal(points=[item], default=[])))
    assert profile.wire_points(meter, ["energy_import"], {"energy_import": (5, 2)}) == [
        ("energy_import", "Wh", 2, 1000000)
    ]


def check_orientation():
    meter = profile.load(minimal())
    values = {
        "power": (5, -1),
        "power_l1": (-6, 0),
        "current_l2": (7, 0),
        "reactive_power": (8, 0),
        "apparent_power": (9, 0),
        "power_factor": (1, 0),
        "energy_import": (10, 0),
        "dc_power": (11, 0),
        "voltage": None,
        "current": None,
    }
    assert profile.orient(values, meter, "grid") == values
    turned = profile.orient(values, meter, "pv")
    changed = {name for name in values if turned[name] != values[name]}
    assert changed == {"power", "power_l1", "current_l2", "reactive_power"}
    assert turned["power_l1"] == (6, 0)
    inverter = profile.load(minimal(positive="export"))
    form = json.loads(minimal())
    form["points"] = [dict(each, magnitude=True) for each in form["points"]]
    silent = profile.orient(dict.fromkeys(("power", "current"), (5, 0)), profile.load(json.dumps(form)), "pv")
    assert silent[form["points"][0]["name"]] == (5, 0), "a magnitude has no direction"
    assert profile.orient(values, inverter, "pv") == values
    assert profile.orient(values, inverter, "load")["power"] == (-5, -1)
    assert refused(profile.orient, values, meter, "toaster") == "bad_range"


def check_refused_profiles():
    good = {"name": "power", "unit": "W", "address": 0, "type": "s16"}

    def points(**changes):
        item = dict(good)
        item.update(changes)
        return minimal(points=[item])

    for text, reason, path in (
        ("", "bad_form", "not JSON"),
        ("[]", "bad_type", "$"),
        (b"\xff\xfe", "bad_form", "not JSON"),
        (" " * 70000, "too_long", ""),
        (minimal(colour="red"), "unknown_key", "$.colour"),
        (minimal(id="Meter"), "bad_form", "$.id"),
        (minimal(id=7), "bad_type", "$.id"),
        (minimal(positive="inward"), "bad_range", "$.positive"),
        (minimal(max_registers=126), "bad_range", "$.max_registers"),
        (minimal(max_registers=True), "bad_type", "$.max_registers"),
        (minimal(models=[True]), "bad_range", "$.models[0]"),
        (minimal(default=["soc"]), "unknown_key", "$.default[0]"),
        (minimal(default=[["power"]]), "unknown_key", "$.default[0]"),
        (minimal(points=[good, good]), "duplicate_key", "$.points[1]"),
        (minimal(points=[7]), "bad_type", "$.points[0]"),
        (points(unit="kW"), "bad_range", "$.points[0].unit"),
        (points(name="heat"), "bad_range", "$.points[0].name"),
        (points(name="power_l4"), "bad_range", "$.points[0].name"),
        (points(also=["power"]), "duplicate_key", "$.points[0]"),
        (points(also=[5]), "bad_form", "$.points[0].name"),
        (points(type="int16"), "bad_range", "$.points[0].type"),
        (points(address=65535, type="u32"), "bad_range", "$.points[0].address"),
        (points(address=-1), "bad_range", "$.points[0].address"),
        (points(sf=2), "bad_form", "$.points[0].sf"),
        (points(scale=2), "bad_form", "$.points[0].scale"),
        (points(exponent=0.5), "bad_type", "$.points[0].exponent"),
        (points(block=True), "bad_form", "$.points[0].block"),
        (points(invalid=[-1]), "bad_range", "$.points[0].invalid[0]"),
        (minimal(repeat={"first": 1}), "bad_range", "$.repeat"),
    ):
        error = raised(profile.load, text)
        assert error.reason == reason, (error.reason, text[:80])
        assert path in error.detail, (error.detail, path)


def check_blocks_repeat():
    strings = profile.load(
        minimal(
            models=[160],
            repeat={"first": 10, "size": 20, "max": 4},
            default=["dc_power_1", "dc_power_2"],
            points=[{"name": "dc_power", "unit": "W", "address": 11, "type": "u16", "sf": 4, "block": True}],
        )
    )
    one = profile.bind(strings, 1000, 28)
    assert [item.name for item in one.points] == ["dc_power_1"]
    assert (one.points[0].address, one.points[0].sf) == (1021, 1004)
    assert one.default == ("dc_power_1",)
    assert len(profile.bind(strings, 1000, 48).points) == 2
    assert len(profile.bind(strings, 1000, 65535 - 1001).points) == 4
    assert profile.bind(strings, 1000, 0).points == ()
    assert refused(profile.bind, strings, 65535, 28) == "bad_range"
    assert refused(profile.bind, strings, -1, 28) == "bad_range"


def check_blocks_beyond_the_count_have_no_value():
    text = minimal(
        models=[160],
        table="holding",
        repeat={"first": 10, "size": 2, "max": 4, "count": 8},
        default=["dc_power_1"],
        points=[{"name": "dc_power", "unit": "W", "address": 0, "type": "u16", "block": True}],
    )
    bound = profile.bind(profile.load(text), 100, 16)
    names = ["dc_power_1", "dc_power_2", "dc_power_3", "dc_power_4"]
    assert [item.name for item in bound.points] == names
    reads = profile.plan(bound, names)
    assert reads == [(3, 108, 9)], "the count is read with the blocks"
    for count, valid in ((0, 0), (1, 1), (2, 2), (4, 4), (9, 4), (65535, 4)):
        data = struct.pack(">9H", count, 0, 0, 0, 0, 0, 0, 0, 0)
        found = profile.decode(bound, names, [(reads[0], data)])
        assert found == {name: (0, 0) if name in names[:valid] else None for name in names}, count
    # A block without the count of its own answer is no reading.
    assert profile.decode(bound, names[:1], [(Read(3, 110, 2), b"\x00" * 4)]) == {"dc_power_1": None}


def check_coalescing():
    assert coalesce([], 125) == []
    assert coalesce([(4, 12, 14), (4, 0, 2)], 125) == [(4, 0, 14)]
    assert coalesce([(4, 0, 2), (4, 25, 27)], 125) == [(4, 0, 2), (4, 25, 27 - 25)]
    assert coalesce([(4, 0, 2), (4, 24, 26)], 125) == [(4, 0, 26)]
    assert coalesce([(4, 0, 2), (4, 2, 4)], 125, 0) == [(4, 0, 4)]
    assert coalesce([(4, 0, 2), (3, 2, 4)], 125) == [(3, 2, 2), (4, 0, 2)]
    assert coalesce([(4, 0, 60), (4, 60, 90)], 80) == [(4, 0, 60), (4, 60, 30)]
    assert coalesce([(3, 0, 126)], 125) == []
    assert coalesce([(3, 0, 20), (3, 5, 10)], 125) == [(3, 0, 20)]


def check_texts():
    assert register.text(b"Fronius\x00\x00x") == "Fronius"
    assert register.text(b"  Symo 8.2 ") == "Symo 8.2"
    for nothing in (b"", b"\x00\x00", b"  ", b"\xff\xff", b"a\x07b"):
        assert register.text(nothing) is None, nothing


def digest(rounds):
    """Return a hash over many conversions of pseudo-random registers: the same on every runtime, or one is wrong."""
    state = 1
    seen = hashlib.sha256()
    for _ in range(rounds):
        state = (state * 6364136223846793005 + 1442695040888963407) & 0xFFFFFFFFFFFFFFFF
        raw = state >> 32
        shift = (state >> 8) % 21 - 10
        for kind in ("float32", "s32", "u32"):
            seen.update(b"%s;" % str(register.integer(kind, raw, shift)).encode())
    return seen.digest().hex()


CHECKS = [name for name in sorted(globals()) if name.startswith("check_")]
