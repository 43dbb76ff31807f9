"""How fast a network may be asked: by the owner's word, or by its own limit whatever the owner allows."""

import asyncio


class Pace:
    """Lets `per_minute` through evenly, but what `burst_s` seconds allow may go at once."""

    def __init__(self, per_minute: int, burst_s: float = 0.0) -> None:
        self.gap_s = 60 / per_minute
        self.burst_s = burst_s
        self._next_s = 0.0

    async def turn(self) -> None:
        """Sleep until it is the caller's turn."""
        await asyncio.sleep(self.reserve(asyncio.get_running_loop().time()))

    def reserve(self, now_s: float) -> float:
        """Take the next turn and return how long it is until then."""
        at_s = max(self._next_s, now_s - self.burst_s)
        self._next_s = at_s + self.gap_s
        return max(0.0, at_s - now_s)
