"""Frames from cases, by pymodbus."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pymodbus.client.mixin import ModbusClientMixin
from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    ReadHoldingRegistersResponse,
    ReadInputRegistersRequest,
    ReadInputRegistersResponse,
)

from . import eastron, sunspec
from .case import Case

FRAMES = Path(__file__).resolve().parents[2] / "firmware" / "profiles" / "frames"
TYPES = ModbusClientMixin.DATATYPE
KINDS = {
    "f32": TYPES.FLOAT32,
    "u16": TYPES.UINT16,
    "s16": TYPES.INT16,
    "u32": TYPES.UINT32,
    "text": TYPES.STRING,
}
CASES = [*eastron.SDM120, *eastron.SDM630, *sunspec.CASES]


def registers(case: Case) -> dict[int, int]:
    """Return what the device holds, register by register; all others hold 0."""
    held: dict[int, int] = {}
    for address, kind, value in case.holds:
        words = ModbusClientMixin.convert_to_registers(value, KINDS[kind])
        held |= {case.base + address + index: word for index, word in enumerate(words)}
    return held


def exchanges(case: Case) -> list[list[str]]:
    """Return the case's [request, answer] pairs in hex, CRC included, as pymodbus frames them."""
    framer = FramerRTU(DecodePDU(is_server=True))
    held = registers(case)
    is_input = case.profile.startswith("eastron")
    pairs = []
    for offset, count in case.reads:
        address = case.base + offset
        words = [held.get(at, 0) for at in range(address, address + count)]
        request: ModbusPDU
        answer: ModbusPDU
        if is_input:
            request = ReadInputRegistersRequest(address=address, count=count, dev_id=case.unit)
            answer = ReadInputRegistersResponse(registers=words, dev_id=case.unit)
        else:
            request = ReadHoldingRegistersRequest(address=address, count=count, dev_id=case.unit)
            answer = ReadHoldingRegistersResponse(registers=words, dev_id=case.unit)
        if case.refusal is not None:
            answer = ExceptionResponse(request.function_code, case.refusal, device_id=case.unit)
        pairs.append([framer.buildFrame(request).hex(), framer.buildFrame(answer).hex()])
    return pairs


def document(profile: str, cases: Iterable[Case]) -> dict[str, Any]:
    """Return the frames file of one profile."""
    return {
        "profile": profile,
        "made_by": "tools/profile_frames.py: built by pymodbus from the figures of the register map, not recorded",
        "cases": [
            {
                "what": case.what,
                "unit": case.unit,
                "base": case.base,
                "length": case.length,
                "exchanges": exchanges(case),
                "values": {
                    name: list(value) if isinstance(value, tuple) else value for name, value in case.values.items()
                },
            }
            for case in cases
            if case.profile == profile
        ],
    }


def main() -> None:
    """Write every profile's frames."""
    for profile in sorted({case.profile for case in CASES}):
        text = json.dumps(document(profile, CASES), indent=1, ensure_ascii=False)
        (FRAMES / f"{profile}.json").write_text(text + "\n")
