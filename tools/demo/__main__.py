"""`make demo`: emulated boards meter a recorded day; the gateway verifies, stores, aggregates, signs and forwards."""

import argparse
import asyncio
import contextlib
import json
import logging
import shutil
import signal
import sys
import time
from pathlib import Path

from rich.console import Console

from civilclock import Clock
from demo import audit, progress
from demo.everybody import Everybody
from demo.field import Site, plans, plans_for_all, start_all
from demo.home import Home
from demo.processes import DemoError, is_free
from emulator.errors import EmulatorError
from emulator.site import GOLDEN_START_MS

RATE = 60
PAGE_PORT = 8080  # if it is free
ONCE_S = 66.0  # of metering: a little over an hour of civil time
AFTER_GLOW_MS = 700 * 86_400_000  # the recorded day once more, when Glow's slots have begun (2023-11-19)
MARK = ".wattness-demo"


def main() -> int:
    """Run the demo and return its exit code."""
    parser = argparse.ArgumentParser(prog="make demo ARGS=…", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end by itself within two minutes and judge the outcome")
    parser.add_argument("--all-networks", action="store_true", help="report to every network's sandbox as well")
    parser.add_argument("--seconds", type=float, default=ONCE_S, help="how long --once meters, in real seconds")
    parser.add_argument("--state", type=Path, default=Path(".demo"), help="the folder that keeps everything")
    parser.add_argument("--seed", type=int, default=1, help="of the generator that derives what the recordings lack")
    options = parser.parse_args()
    console = Console(highlight=False)
    logging.getLogger("bumble").setLevel(logging.ERROR)  # a dongle that is unplugged is none of the reader's worries
    try:
        return asyncio.run(_demo(options, console))
    except* (DemoError, EmulatorError) as group:
        for error in group.exceptions:
            console.print(f"demo: {error}", style="red")
    return 1


async def _demo(options: argparse.Namespace, console: Console) -> int:
    folder = _fresh(options.state)
    console.print(f"Wattness demo; its state is in {folder}")
    start_ms = GOLDEN_START_MS + (AFTER_GLOW_MS if options.all_networks else 0)
    clock = Clock(time.time_ns() // 1_000_000, start_ms, RATE)
    home = Home(folder, clock, page_port=PAGE_PORT if is_free(PAGE_PORT) else None)
    planned = plans_for_all(clock, options.seed) if options.all_networks else plans(clock, options.seed)
    sites = [Site(plan, folder, RATE) for plan in planned]
    stopped = _on_signals()
    try:
        work = asyncio.create_task(_run(options, console, home, sites), name="demo")
        await asyncio.wait((work, stopped), return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return work.result()
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work
        console.print("Stopping …")
        return 0
    finally:
        for site in sites:
            await site.stop()
        await home.stop()


async def _run(options: argparse.Namespace, console: Console, home: Home, sites: list[Site]) -> int:
    console.print("Starting the network and the gateway …")
    await home.start()
    console.print("Making keys on the boards and enrolling them …")
    await start_all(sites, home)
    everybody = Everybody(home) if options.all_networks else None
    if everybody:
        console.print("Joining every network's sandbox …")
        await everybody.join()
    console.print(f"Page: [bold]{home.door}[/bold]   network: {home.network}", soft_wrap=True)
    await progress.show(home, console, options.seconds if options.once else None)
    console.print("The meters are unplugged; waiting for the last frames, receipts and payouts …")
    outcome = await audit.settle(home, sites)
    for name, count in outcome.counts().items():
        console.print(f"  {name:<14}{count:>10}")
    good = outcome.good
    if everybody:
        await everybody.settle()
        await everybody.show(console)
        good = good and everybody.good
    console.print("All is well." if good else "Something is missing.", style="bold")
    print(json.dumps(outcome.counts()), flush=True)
    return 0 if good else 1


def _fresh(folder: Path) -> Path:
    """Empty our state folder; refuses one that holds anything else."""
    folder = folder.resolve()
    if folder.exists() and any(folder.iterdir()) and not (folder / MARK).exists():
        raise DemoError(f"{folder} is not a folder of the demo; name another one with --state.")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    (folder / MARK).touch()
    return folder


def _on_signals() -> "asyncio.Future[None]":
    loop = asyncio.get_running_loop()
    stopped: asyncio.Future[None] = loop.create_future()

    def stop() -> None:
        if not stopped.done():
            stopped.set_result(None)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    return stopped


if __name__ == "__main__":
    sys.exit(main())
