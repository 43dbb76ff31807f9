"""The command line: `serve` the network, `verify-payout` what it says it paid, `deploy` a contract and `post` to it."""

import argparse
import asyncio
import contextlib
import logging
import sys
from collections.abc import Callable
from pathlib import Path

from civilclock import Clock

from . import faults
from .ledger import Ledger
from .payout_check import check_file
from .server import serve
from .settings import Settings


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code."""
    options = _parser().parse_args(arguments)
    if options.command == "verify-payout":
        return check_file(options.file, options.root)
    if options.command in {"deploy", "post"}:
        return _speak_to_chain(options)
    logging.basicConfig(level=options.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    settings = Settings(
        clock=options.clock,
        challenge_percent=options.challenge_percent,
        challenge_deadline_ms=options.challenge_deadline_s * 1000,
        epoch_ms=options.epoch_s * 1000,
        grace_ms=options.grace_s * 1000,
        per_minute=options.per_minute,
        boards_only=options.boards_only,
    )
    asyncio.run(serve(options.db, options.listen, settings, seed=options.seed, faults=options.faults))
    return 0


def _speak_to_chain(options: argparse.Namespace) -> int:
    from . import contracting  # noqa: PLC0415 - needs eth-account, which the server does not

    with contextlib.closing(Ledger(options.db)) as ledger:
        try:
            operator = contracting.Operator.of(options.rpc, options.operator_key)
            if options.command == "deploy":
                made = contracting.deploy(ledger, operator, options.wei_per_point, options.fund_wei)
                print(f"contract {made.address} on chain {made.chain_id} pays {made.wei_per_point} wei per point")
                return 0
            for epoch, digest in contracting.post(ledger, operator):
                print(f"epoch {epoch} posted by {digest}")
        except contracting.ChainError as error:
            print(error, file=sys.stderr)
            return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m wattnet", description="The reference reward network of Wattness.")
    commands = parser.add_subparsers(dest="command", required=True)
    server = commands.add_parser("serve", help="run the network until it is told to stop")
    default = Settings()
    server.add_argument("--db", type=Path, required=True, help="its SQLite file")
    server.add_argument("--listen", type=_address, default="127.0.0.1:8765", help="host:port, port 0 for a free one")
    server.add_argument(
        "--clock", type=Clock.parse, default=default.clock, help="real_ms,civil_ms,rate of a simulation"
    )
    server.add_argument("--challenge-percent", type=_between(0, 100), default=default.challenge_percent)
    server.add_argument(
        "--challenge-deadline-s", type=_between(1, 10**6), default=default.challenge_deadline_ms // 1000
    )
    server.add_argument("--epoch-s", type=_between(1, 10**6), default=default.epoch_ms // 1000, help="civil time")
    server.add_argument("--grace-s", type=_between(0, 10**6), default=default.grace_ms // 1000, help="civil time")
    server.add_argument("--per-minute", type=_between(1, 10**7), default=default.per_minute, help="of one gateway")
    server.add_argument("--boards-only", action="store_true", help="take nothing that a gateway read itself")
    server.add_argument("--seed", type=int, help="make the challenges repeatable; for tests, as it is no secret")
    server.add_argument("--faults", type=faults.parse, help="JSON of faults to suffer, for tests")
    server.add_argument("--log-level", default="warning", choices=("debug", "info", "warning", "error"))
    check = commands.add_parser("verify-payout", help="check the payouts in a file, as /v1/payouts gives them")
    check.add_argument("file", type=Path, help="JSON; - is standard input")
    check.add_argument("--root", help="the epoch's root as you know it from elsewhere, in hex")
    _add_chain(commands.add_parser("deploy", help="make the contract that pays points as coin, once"), deploys=True)
    _add_chain(commands.add_parser("post", help="post settled epochs to the contract, funded; run it by a timer"))
    return parser


def _add_chain(parser: argparse.ArgumentParser, *, deploys: bool = False) -> None:
    parser.add_argument("--db", type=Path, required=True, help="the network's SQLite file")
    parser.add_argument("--rpc", required=True, help="URL of the chain's node")
    parser.add_argument("--operator-key", type=Path, required=True, help="file with the account's secret, in hex")
    if deploys:
        parser.add_argument("--wei-per-point", type=_between(1, 10**18), default=10**9)
        parser.add_argument("--fund-wei", type=_between(0, 10**24), default=0, help="coin to begin with")


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"expected host:port, found {text!r}")
    return host, int(port)


def _between(low: int, high: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must be {low} to {high}")
        return value

    return number


if __name__ == "__main__":
    sys.exit(main())
