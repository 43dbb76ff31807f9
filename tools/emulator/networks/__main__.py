"""`python -m emulator.networks`: every sandbox in one process, and one page that says what each has taken."""

import argparse
import asyncio
import json
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from aiohttp import web

from civilclock import Clock
from wattnet.faults import Faults, parse

from . import SANDBOXES
from .base import Served


def main() -> int:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(prog="python -m emulator.networks", description=__doc__)
    parser.add_argument("--keys", type=Path, required=True, help='a JSON file: {kind: "public key in hex"}')
    parser.add_argument("--listen", default="127.0.0.1:8091", help="where the counts are: GET /")
    parser.add_argument("--clock", type=Clock.parse, default=Clock(), help="real_ms,civil_ms,rate of a simulated clock")
    parser.add_argument("--faults", type=parse, default=Faults(), help="JSON, as wattnet's")
    options = parser.parse_args()
    keys: dict[str, str] = json.loads(options.keys.read_text())
    unknown = sorted(keys.keys() - SANDBOXES.keys())
    if unknown:
        parser.error(f"there is no sandbox for {', '.join(unknown)}; there are {', '.join(SANDBOXES)}")
    asyncio.run(_serve(options, {kind: bytes.fromhex(key) for kind, key in keys.items()}))
    return 0


async def _serve(options: argparse.Namespace, keys: dict[str, bytes]) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with AsyncExitStack() as stack:
        served: dict[str, Served] = {}
        for kind, key in keys.items():
            served[kind] = await stack.enter_async_context(SANDBOXES[kind](key, options.clock, options.faults))
        host, _, port = options.listen.rpartition(":")
        runner = web.AppRunner(_counts(served), access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, host, int(port)).start()
        sys.stdout.write(f"ready http://{options.listen}\n")
        sys.stdout.flush()
        await stopped.wait()


def _counts(served: dict[str, Served]) -> web.Application:
    """Return what tells of each sandbox: its address, how it is configured, and its ledger."""

    async def show(_: web.Request) -> web.Response:
        return web.json_response({
            kind: {"url": one.url, "settings": one.settings, **one.ledger.counts()} for kind, one in served.items()
        })  # fmt: skip

    app = web.Application()
    app.router.add_get("/", show)
    return app


if __name__ == "__main__":
    sys.exit(main())
