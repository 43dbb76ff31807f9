"""A network's own limit on how fast it may be asked, whatever the owner allows."""

import asyncio


class Turns:
    """Lets at most `per_s` through in a second, evenly."""

    def __init__(self, per_s: int) -> None:
        self.gap_s = 1 / per_s
        self._next_s = 0.0

    async def turn(self) -> None:
        """Sleep until it is the caller's turn."""
        await asyncio.sleep(self.reserve(asyncio.get_running_loop().time()))

    def reserve(self, now_s: float) -> float:
        """Take the next turn and return how long it is until then."""
        at_s = max(self._next_s, now_s)
        self._next_s = at_s + self.gap_s
        return at_s - now_s
