"""The processes that the gateway starts, and how they end."""

import asyncio
import contextlib


async def ended(process: asyncio.subprocess.Process, patience_s: float) -> None:
    """Wait for a process that was told to end; kill it when that takes too long."""
    try:
        async with asyncio.timeout(patience_s):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def dismiss(process: asyncio.subprocess.Process, patience_s: float) -> None:
    """End a process that ends by itself when its standard input does."""
    if process.stdin is not None:
        process.stdin.close()
    await ended(process, patience_s)
