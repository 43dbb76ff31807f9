"""What units refused, kept on flash so that a start need not find it out anew; on loan."""

import json

from wattwire import plan

PATH = "/learned"  # a line for each unit; the one that was learned last is the first
LINES_MAX, CHARS_MAX = 8, 4096


def recall(unit, profile_hash):
    """Return what the unit was known to refuse before this start, or None; a spoilt file tells nothing."""
    for line in _lines():
        try:
            other, known, barriers, absent = json.loads(line)
            if (other, known) == (unit, profile_hash.hex()):
                return plan.Learned(_numbers(barriers, 2), _numbers(absent, 3)) if barriers or absent else None
        except (ValueError, TypeError):
            pass
    return None


def remember(unit, profile_hash, learned):
    """Keep what the unit refuses, so that the next start need not find it out anew."""
    barriers, absent = learned or plan.NOTHING
    head = json.dumps([unit, profile_hash.hex()])[:-1]
    lines = [line for line in _lines() if not line.startswith(head)][: LINES_MAX - 1]
    lines.insert(0, json.dumps([unit, profile_hash.hex(), barriers, absent]))
    text = "\n".join(lines)
    if len(text) > CHARS_MAX:
        return
    try:
        with open(PATH, "w") as file:  # LittleFS puts the whole of it in the old one's place at close
            file.write(text)
    except OSError:
        pass  # a full flash: it is found out anew


def _lines():
    try:
        with open(PATH) as file:
            return file.read(CHARS_MAX).split("\n")
    except (OSError, ValueError):
        return []


def _numbers(rows, count):
    """Return rows of so many numbers each as tuples; raises TypeError or ValueError."""
    found = tuple([tuple(row) for row in rows])
    for row in found:
        if len(row) != count or [each for each in row if not isinstance(each, int)]:
            raise ValueError
    return found
