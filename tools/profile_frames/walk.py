"""Devices whose SunSpec models are walked: the headers that a walk reads, and the profiles that it ends with."""

from typing import Any, NamedTuple

from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU, ExceptionResponse
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadHoldingRegistersResponse

BASE = 40000
MARKER = [0x5375, 0x6E53]
END = [0xFFFF, 0]
ILLEGAL_DATA_ADDRESS = 2


class Walk(NamedTuple):
    """A device's map of (model, length), and which profile each role gets."""

    profile: str
    what: str
    unit: int
    models: list[tuple[int, int]]
    chosen: dict[str, str | None]
    marked_end: bool = True


WALKS = [
    Walk(
        "sma_sunspec",
        "a string inverter without an end marker",
        126,
        [(1, 66), (11, 13), (103, 50), (120, 26), (160, 128)],
        {"pv": "sunspec_inverter_int", "battery": None},
        marked_end=False,
    ),
    Walk(
        "fronius_sunspec",
        "an inverter set to floats, with a battery",
        1,
        [(1, 65), (113, 60), (120, 26), (160, 88), (124, 24)],
        {"pv": "sunspec_inverter_float", "battery": "fronius_gen24_storage", "grid": None},
    ),
    Walk(
        "fronius_sunspec",
        "an inverter set to integers, without a battery: two strings are no storage",
        1,
        [(1, 65), (103, 50), (160, 48), (124, 24)],
        {"pv": "sunspec_inverter_int", "battery": "sunspec_storage"},
    ),
    Walk(
        "fronius_sunspec",
        "the meter, a unit of its own",
        200,
        [(1, 65), (203, 105)],
        {"grid": "sunspec_meter_int", "pv": None},
    ),
]


def documents() -> dict[str, dict[str, Any]]:
    """Return the frames file of every profile that walks."""
    names = sorted({walk.profile for walk in WALKS})
    made_by = "tools/profile_frames: built by pymodbus from the models' ids and lengths, not recorded"
    return {
        name: {"profile": name, "made_by": made_by, "cases": [_case(walk) for walk in WALKS if walk.profile == name]}
        for name in names
    }


def _case(walk: Walk) -> dict[str, Any]:
    framer = FramerRTU(DecodePDU(is_server=True))
    at = BASE + 2
    headers, models = [(BASE, MARKER)], []
    for model, length in walk.models:
        headers.append((at, [model, length]))
        models.append([model, at, length])
        at += 2 + length
    headers.append((at, END))
    pairs = []
    for address, words in headers:
        request = ReadHoldingRegistersRequest(address=address, count=2, dev_id=walk.unit)
        answer = framer.buildFrame(ReadHoldingRegistersResponse(registers=words, dev_id=walk.unit))
        if words == END and not walk.marked_end:
            refusal = ExceptionResponse(request.function_code, ILLEGAL_DATA_ADDRESS, device_id=walk.unit)
            answer = framer.buildFrame(refusal)
        pairs.append([framer.buildFrame(request).hex(), answer.hex()])
    return {"what": walk.what, "unit": walk.unit, "exchanges": pairs, "models": models, "walk": walk.chosen}
