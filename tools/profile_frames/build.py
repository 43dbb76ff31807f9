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

from . import eastron, sunspec, walk
from .case import Case, from_data, with_data

FRAMES = Path(__file__).resolve().parents[2] / "firmware" / "profiles" / "frames"
TYPES = ModbusClientMixin.DATATYPE
KINDS = {
    "f32": TYPES.FLOAT32,
    "u16": TYPES.UINT16,
    "s16": TYPES.INT16,
    "u32": TYPES.UINT32,
    "s32": TYPES.INT32,
    "u64": TYPES.UINT64,
    "text": TYPES.STRING,
}
CASES = [*eastron.SDM120, *eastron.SDM630, *sunspec.CASES]
CASES += [case for name in with_data() for case in from_data(name)]


def registers(case: Case) -> dict[int, int]:
    """Return what the device holds, register by register; all others hold 0."""
    held: dict[int, int] = {}
    for address, kind, value in case.holds:
        at = case.base + address
        if case.width != 2:
            held[at] = int(value)
            continue
        order = "big" if kind == "text" else case.word_order
        words = ModbusClientMixin.convert_to_registers(value, KINDS[kind], word_order=order)  # type: ignore[arg-type]
        held |= {at + index: word for index, word in enumerate(words)}
    return held


def exchanges(case: Case) -> list[list[str]]:
    """Return the case's [request, answer] pairs in hex, CRC included, as pymodbus frames them."""
    framer = FramerRTU(DecodePDU(is_server=True))
    held = registers(case)
    pairs = []
    for offset, count, *table in case.reads:
        address = case.base + offset
        words = [held.get(at, 0) for at in range(address, address + count)]
        request: ModbusPDU
        answer: ModbusPDU
        if (table or [case.table])[0] == "input":
            request = ReadInputRegistersRequest(address=address, count=count, dev_id=case.unit)
            answer = ReadInputRegistersResponse(registers=words, dev_id=case.unit)
        else:
            request = ReadHoldingRegistersRequest(address=address, count=count, dev_id=case.unit)
            answer = ReadHoldingRegistersResponse(registers=words, dev_id=case.unit)
        if case.refusal is not None:
            answer = ExceptionResponse(request.function_code, case.refusal, device_id=case.unit)
        answered = framer.buildFrame(answer) if case.width == 2 else _wide(request, words, case.width)
        pairs.append([framer.buildFrame(request).hex(), answered.hex()])
    return pairs


def _wide(request: ModbusPDU, words: list[int], width: int) -> bytes:
    """Return the answer of a device whose registers are wider than the standard's, which pymodbus does not make."""
    data = b"".join(word.to_bytes(width, "big") for word in words)
    body = bytes((request.dev_id, request.function_code, len(data))) + data
    return body + FramerRTU.compute_CRC(body).to_bytes(2, "big")


def document(profile: str, cases: Iterable[Case]) -> dict[str, Any]:
    """Return the frames file of one profile."""
    return {
        "profile": profile,
        "made_by": "tools/profile_frames: built by pymodbus from the figures of the register map, not recorded",
        "cases": [
            {
                "what": case.what,
                "role": case.role,
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


def documents() -> dict[str, dict[str, Any]]:
    """Return every profile's frames file."""
    return {name: document(name, CASES) for name in sorted({case.profile for case in CASES})} | walk.documents()


def main() -> None:
    """Write every profile's frames."""
    for name, content in documents().items():
        (FRAMES / f"{name}.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
