"""`python -m bench [ROW …]`: run the rows named, or all, and print one JSON object."""

import argparse
import asyncio
import gc
import importlib
import json
import sys

ROWS = {
    "frame": "bytes per value of a minute's frame",
    "intake": "verify, decode and commit from memory against bare verification",
    "broker": "end to end through the broker against a bare loop",
    "gateway": "start, memory and processor use of the whole gateway",
    "history": "a year's plot, old frames in few bytes, and a week's backlog beside live frames",
    "quality": "honest days that the rules let pass, and spoilt ones that they catch",
    "sources": "devices that the gateway reads itself against bare reads",
    "networks": "reports that an adapter signs and keeps against bare signing and inserts, and the memory of all",
    "house": "memory with everything on, and the page's first view with a year of ten devices",
    "proxy": "answers from the proxy's cache against direct reads, and metering beside a crowd of clients",
    "bus": "use of the meter bus against its physical limit, and a dead unit's share of its time",
    "obd": "signals a second through a dongle with round trips of 100 ms",
    "flash": "flash that a row takes while the gateway is away, and the days that fit beside two programs",
    "heap": "a board's live heap while it meters for minutes",
    "names": "names that the board's program keeps for ever, and how many are left before their table doubles",
    "parts": "what each part of the board's program takes of a chip's heap",
}


def main() -> int:
    """Run the rows and print their figures."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}; all when none is named")
    parser.add_argument("--quick", action="store_true", help="shorter runs: minutes become seconds, ratios get noisier")
    options = parser.parse_args()
    unknown = set(options.rows) - set(ROWS)
    if unknown:
        parser.error(f"there is no row {', '.join(sorted(unknown))}")
    gc.freeze()  # as `wattness run` does
    gc.set_threshold(20_000, 50, 100)
    results = {}
    for name in options.rows or ROWS:
        print(f"bench: {name}: {ROWS[name]} …", file=sys.stderr, flush=True)
        row = importlib.import_module(f"bench.{name}")
        results[name] = asyncio.run(row.measure(quick=options.quick))
    print(json.dumps(results, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
