"""A local EVM for tests: npm's anvil, one process with a chain of its own in memory."""

import asyncio
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import nodepackages

PACKAGES = Path(__file__).parent / "wattnet" / "contract"
CHAIN_ID = 31_337
START_S = 20
# The first of the accounts that every anvil makes of its well-known words: of no worth anywhere, and here rich.
OPERATOR_SECRET = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"  # noqa: S105

_LISTENING = re.compile(r"Listening on (\S+)")


class LocalChain(NamedTuple):
    """A chain that runs."""

    url: str
    packages: Path  # with node_modules, solc among them


def anvil(packages: Path) -> Path:
    """Return anvil's program for this machine; raises MissingError."""
    found = sorted(packages.glob("node_modules/@foundry-rs/anvil-*/bin/anvil*"))
    if not found:
        raise nodepackages.MissingError("npm's lock file has no anvil for this kind of machine")
    return found[0]


@asynccontextmanager
async def local_chain(chain_id: int = CHAIN_ID) -> AsyncIterator[LocalChain]:
    """Run a chain until the end of the block; raises MissingError where it cannot be had."""
    packages = await asyncio.to_thread(nodepackages.installed, PACKAGES)
    command = [str(anvil(packages)), "--port", "0", "--chain-id", str(chain_id)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        async with asyncio.timeout(START_S):
            address = await _listening(process)
        draining = asyncio.create_task(_drain(process), name="anvil's output")
        yield LocalChain(f"http://{address}", packages)
        draining.cancel()
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()


async def _listening(process: asyncio.subprocess.Process) -> str:
    while line := await _line(process):
        found = _LISTENING.search(line)
        if found:
            return found[1]
    raise RuntimeError(f"anvil ended with {await process.wait()}")


async def _drain(process: asyncio.subprocess.Process) -> None:
    while await _line(process):
        pass


async def _line(process: asyncio.subprocess.Process) -> str:
    return (await process.stdout.readline()).decode() if process.stdout else ""
