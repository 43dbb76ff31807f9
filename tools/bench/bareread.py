"""The peer of the row of sources: pymodbus alone reads the same registers of the same devices each second.

`python -m bench.bareread FILE`: FILE is JSON `{"ports": [...], "reads": [[address, count], …], "period_s": s}`. It
decodes nothing, signs nothing and keeps nothing: what it leaves out is what the gateway is for.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from pymodbus.client import AsyncModbusTcpClient


async def read_for_ever(port: int, plan: dict[str, Any], phase_s: float) -> None:
    """Read one device each period."""
    async with AsyncModbusTcpClient("127.0.0.1", port=port) as client:
        loop = asyncio.get_running_loop()
        due_s = loop.time() + phase_s
        while True:
            await asyncio.sleep(due_s - loop.time())
            due_s += plan["period_s"]
            for address, count in plan["reads"]:
                await client.read_input_registers(address, count=count, device_id=1)


async def run(plan: dict[str, Any]) -> None:
    """Read all devices until cancelled."""
    each_s = plan["period_s"] / len(plan["ports"])
    async with asyncio.TaskGroup() as tasks:
        for index, port in enumerate(plan["ports"]):
            tasks.create_task(read_for_ever(port, plan, index * each_s))
        print("ready", flush=True)


if __name__ == "__main__":
    asyncio.run(run(json.loads(Path(sys.argv[1]).read_text())))
