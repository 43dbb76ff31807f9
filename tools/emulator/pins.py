"""What an emulated board does with its pins: the last changes of each, for those who look at its LED."""

import time
from collections import deque
from collections.abc import Mapping

CHANGES = 64  # that are kept of each pin


class Pins:
    """Levels by time, in real seconds."""

    def __init__(self) -> None:
        self._changes: dict[int, deque[tuple[float, bool]]] = {}

    def told(self, pin: int, level: int) -> None:
        """Take a change."""
        self._changes.setdefault(pin, deque(maxlen=CHANGES)).append((time.monotonic(), bool(level)))

    def spans(self, pin: int) -> list[tuple[bool, float]]:
        """How long the pin kept each of its last levels, in ms; the last of them goes on."""
        changes = list(self._changes.get(pin, ()))
        ends = [at for at, _ in [*changes, (time.monotonic(), False)][1:]]
        return [(level, 1000 * (end - at)) for (at, level), end in zip(changes, ends, strict=True)]


def shown(spans: list[tuple[bool, float]], patterns: Mapping[str, tuple[int, ...]]) -> str | None:
    """Name the pattern of light and dark that an LED showed last, for two rounds; None while it is none of them."""
    for name, pattern in patterns.items():
        if len(pattern) == 1:
            if spans and spans[-1][0] and spans[-1][1] > 2 * pattern[0]:
                return name
        elif any(_is_like(spans[:-1], pattern, turn) for turn in range(0, len(pattern), 2)):
            return name
    return None


def _is_like(spans: list[tuple[bool, float]], pattern: tuple[int, ...], turn: int) -> bool:
    """Whether the last spans are two rounds of the pattern, begun at `turn`; a busy machine makes each longer."""
    wanted = (pattern[turn:] + pattern[:turn]) * 2
    if spans and spans[-1][0]:
        spans = spans[:-1]
    last = spans[-len(wanted) :]
    return len(last) == len(wanted) and all(
        level is (index % 2 == 0) and 0.7 * ms < held < 1.4 * ms + 40
        for index, ((level, held), ms) in enumerate(zip(last, wanted, strict=True))
    )
