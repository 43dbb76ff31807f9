"""The load of the backlog row, in a process of its own: one board with a week's frames, others that go on living.

`python -m bench.backlog FILE`: FILE is JSON `{"enrolments": [...], "frames": n}`. The first board delivers `n` frames
as fast as they are acknowledged; meanwhile each other one makes a frame a second. Prints JSON: the seconds that the
backlog took, and how long the live frames waited for their acknowledgement, sorted.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

from emulator.fleet import FleetBoard
from emulator.plainboard import PlainBoard

LIVE_S = 1.0
LIVE_FRAMES = 70  # of each live board: longer than the backlog may take


class TimedBoard(PlainBoard):
    """Notes when each frame was sent first, and how long it took until it was acknowledged."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]
        self.sent_s: list[float] = []
        self.waited_s: list[float] = []

    def _fill(self, writer: asyncio.StreamWriter) -> None:
        super()._fill(writer)
        self.sent_s += [time.perf_counter()] * (self._next - len(self.sent_s))

    def _take(self, packet: object, writer: asyncio.StreamWriter) -> None:
        before = self.acked
        super()._take(packet, writer)
        now = time.perf_counter()
        self.waited_s += [now - self.sent_s[seq] for seq in range(before, self.acked)]


async def deliver(plan: dict[str, object]) -> dict[str, object]:
    """Deliver the backlog beside live frames."""
    enrolments, count = plan["enrolments"], plan["frames"]
    if not (isinstance(enrolments, list) and isinstance(count, int)):
        raise TypeError("not a load")
    gateways = [bytes.fromhex(enrolment["gateway"]) for enrolment in enrolments]
    backlog = list(FleetBoard(0, gateways[0]).frames(count))
    lives = [list(FleetBoard(seed, gateways[seed]).frames(LIVE_FRAMES)) for seed in range(1, len(enrolments))]
    print("made", flush=True)
    sys.stdin.readline()
    boards = [
        TimedBoard(enrolment, frames, pace_s=LIVE_S) for enrolment, frames in zip(enrolments[1:], lives, strict=True)
    ]
    live = [asyncio.create_task(board.run()) for board in boards]
    await asyncio.sleep(2 * LIVE_S)
    quiet = [len(board.waited_s) for board in boards]
    began = time.perf_counter()
    await PlainBoard(enrolments[0], backlog).run()
    seconds = time.perf_counter() - began
    waited = sorted(wait for board, skip in zip(boards, quiet, strict=True) for wait in board.waited_s[skip:])
    for task in live:
        task.cancel()
    await asyncio.wait(live)
    return {"seconds": seconds, "waited_s": waited}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(deliver(json.loads(Path(sys.argv[1]).read_text())))))
