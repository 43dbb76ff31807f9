"""Builds vectors_lora.json without wattwire.lora, from the frames of vectors.json and the docstring's words.

`python firmware/tests/vectors_lora_build.py` writes the file anew.
"""

import json
from functools import reduce
from pathlib import Path

TESTS = Path(__file__).resolve().parent
FILE = TESTS / "vectors_lora.json"
ENVELOPE_HEAD, KID = 3 + 5, 8  # tag, array, bstr head; the protected map up to the kid


def content_of(frame: bytes) -> bytes:
    """Return kid, payload and signature of a frame whose payload's length takes one or two bytes."""
    at = ENVELOPE_HEAD + KID + 1
    size = {0x58: 1, 0x59: 2}[frame[at]]
    start = at + 1 + size
    end = start + int.from_bytes(frame[at + 1 : start], "big")
    return frame[ENVELOPE_HEAD : ENVELOPE_HEAD + KID] + frame[start:end] + frame[end + 2 :]


def uplinks_of(frame: bytes, seq: int) -> list[str]:
    """Return the uplinks in hex, the check part last."""
    content = content_of(frame)
    parts = [content[at : at + 47] for at in range(0, len(content), 47)]
    last = len(parts) - 1
    padded = [int.from_bytes(part.ljust(47, b"\0"), "big") for part in parts]
    check = bytes([len(parts[-1])]) + reduce(int.__xor__, padded).to_bytes(47, "big")
    return [
        (bytes([number * 16 + last]) + (seq % 65536).to_bytes(2, "big") + part).hex()
        for number, part in enumerate([*parts, check])
    ]


def text() -> str:
    """Return the file's text."""
    vectors = json.loads((TESTS / "vectors.json").read_text())
    cases = []
    for vector in vectors["frames"]:
        frame = bytes.fromhex(vector["hex"])
        if len(content_of(frame)) <= 15 * 47:
            cases += [{"frame": frame.hex(), "seq": seq, "uplinks": uplinks_of(frame, seq)} for seq in (1, 65_541)]
    return json.dumps(cases, indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(text())
