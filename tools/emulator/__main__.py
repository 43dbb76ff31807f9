"""`python -m emulator board|bus …`: the emulator from the command line."""

import argparse
import asyncio
import contextlib
import functools
import signal
import sys
from pathlib import Path

from civilclock import Clock
from emulator.board import HEAP, Board
from emulator.bus import TURNAROUND_MS, Bus
from emulator.errors import EmulatorError
from emulator.line import Fault, FaultKind
from emulator.meters import KINDS
from emulator.wiring import PLACES, wire
from wattprogram import Layout, software


def endpoint(text: str) -> tuple[str, int]:
    """Read `HOST:PORT`."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host, int(port)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    root = argparse.ArgumentParser(prog="emulator", description=__doc__)
    commands = root.add_subparsers(dest="command", required=True)
    board = commands.add_parser("board", help="run a board until Ctrl-C")
    board.add_argument(
        "--flash", type=Path, required=True, help="the board's folder: flash.img, rom.img, nvs.json, console.log"
    )
    board.add_argument("--bus", type=endpoint, help="HOST:PORT of the meter bus; without it the UART hears nothing")
    board.add_argument("--rate", type=int, default=1, help="how many times as fast the RTC runs")
    board.add_argument("--heap", default=HEAP, help="the VM's heap, in words of 64 bits")
    board.add_argument("--program", type=Layout, choices=Layout, default=Layout.ROM, help="where a new board has it")
    board.add_argument("--repl", type=Path, help="link to the serial port for `mpremote connect`")
    bus = commands.add_parser("bus", help="run a meter bus until Ctrl-C")
    bus.add_argument("meters", nargs="+", help=f"UNIT:KIND:PLACE; kinds {', '.join(KINDS)}; places {', '.join(PLACES)}")
    bus.add_argument("--listen", type=endpoint, default=("127.0.0.1", 0), help="HOST:PORT for the board's UART")
    bus.add_argument("--baud", type=int, default=9600)
    bus.add_argument("--turnaround-ms", type=float, default=TURNAROUND_MS, help="how long a meter thinks")
    bus.add_argument("--clock", type=Clock.parse, default=Clock(), help="real_ms,civil_ms,rate")
    bus.add_argument("--seed", type=int, default=0)
    bus.add_argument("--fault", nargs=2, action="append", default=[], metavar=("UNIT", "KIND[:SHARE]"))
    return root


async def until_stopped() -> None:
    """Return at SIGINT or SIGTERM."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    await stopped.wait()


async def run_board(given: argparse.Namespace) -> None:
    """Run one board."""
    new = functools.partial(software, given.program)
    board = Board(given.flash, bus=given.bus, rate=given.rate, heap=given.heap, repl=given.repl, software=new)
    async with board:
        print(f"board {given.flash} repl {board.repl_path}", flush=True)
        await until_stopped()


async def run_bus(given: argparse.Namespace) -> None:
    """Run one bus."""
    meters = wire(given.meters, given.clock, given.seed)
    bus = Bus(meters, baud=given.baud, turnaround_ms=given.turnaround_ms, seed=given.seed, address=given.listen)
    for unit, text in given.fault:
        kind, _, share = text.partition(":")
        if not unit.isdigit() or int(unit) not in bus.meters or kind not in set(FaultKind):
            raise EmulatorError(f"no fault {unit} {text}: there are {', '.join(FaultKind)}")
        bus.fault(int(unit), Fault(FaultKind(kind), float(share or 1)))
    async with bus:
        print("bus %s:%d" % bus.address, flush=True)  # noqa: UP031  (a tuple of two)
        await until_stopped()


def main() -> int:
    """Entry point."""
    given = parser().parse_args()
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run({"board": run_board, "bus": run_bus}[given.command](given))
    except EmulatorError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
