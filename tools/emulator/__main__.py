"""`python -m emulator board|bus …`: the emulator from the command line."""

import argparse
import asyncio
import contextlib
import signal
import sys
from pathlib import Path

from emulator.board import Board
from emulator.errors import EmulatorError


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
    board.add_argument("--flash", type=Path, required=True, help="the board's folder: flash.img, nvs.json, console.log")
    board.add_argument("--bus", type=endpoint, help="HOST:PORT of the meter bus; without it the UART hears nothing")
    board.add_argument("--rate", type=int, default=1, help="how many times as fast the RTC runs")
    board.add_argument("--heap", default="160k", help="the VM's heap")
    board.add_argument("--repl", type=Path, help="link to the serial port for `mpremote connect`")
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
    board = Board(given.flash, bus=given.bus, rate=given.rate, heap=given.heap, repl=given.repl)
    async with board:
        print(f"board {given.flash} repl {board.repl_path}", flush=True)
        await until_stopped()


def main() -> int:
    """Entry point."""
    given = parser().parse_args()
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run({"board": run_board}[given.command](given))
    except EmulatorError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
