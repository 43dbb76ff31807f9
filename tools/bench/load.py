"""The load of the end-to-end rows, in a process of its own: many boards that deliver as wire.md §2 says.

`python -m bench.load FILE`: FILE is JSON `{"enrolments": [...], "frames": n, "per_s": null | n}`, the frames of each
board and how many a second all boards make together. Prints JSON with the seconds from the first connection to the last
acknowledgement.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

from emulator.fleet import FleetBoard
from emulator.plainboard import PlainBoard


async def deliver(plan: dict[str, object]) -> dict[str, float]:
    """Deliver every frame and return how long it took."""
    enrolments, count, per_s = plan["enrolments"], plan["frames"], plan["per_s"]
    if not (isinstance(enrolments, list) and isinstance(count, int)):
        raise TypeError("not a load")
    pace_s = len(enrolments) / per_s if isinstance(per_s, int) else 0.0
    boards = []
    for seed, enrolment in enumerate(enrolments):
        frames = list(FleetBoard(seed, bytes.fromhex(enrolment["gateway"])).frames(count))
        boards.append(PlainBoard(enrolment, frames, pace_s=pace_s))
    print("made", flush=True)
    sys.stdin.readline()
    began = time.perf_counter()
    await asyncio.gather(*(board.run() for board in boards))
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "sent": sum(board.sent for board in boards), "frames": count * len(boards)}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(deliver(json.loads(Path(sys.argv[1]).read_text())))))
