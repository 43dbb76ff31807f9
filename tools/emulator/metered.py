"""What a gateway holds of a board under test, verified again from the raw frames."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from emulator.target import Target
from wattwire import cose, evidence, frame

POLL_S = 0.5
PATIENCE_S = 60.0


class Gateway(Protocol):
    """The gateway's command line."""

    async def wattness(self, *arguments: str) -> str:
        """Run a command; returns what it printed."""
        ...


class Row(NamedTuple):
    """One row of one stream: when, and its points in their units."""

    role: str
    unix_ms: int
    values: dict[str, float]


@dataclass
class Metered:
    """A provisioned board and the gateway that it delivers to."""

    target: Target
    gateway: Gateway
    public_key: bytes

    async def records(self) -> list[Any]:
        """Every frame that the gateway holds, verified with the board's public key, in the log's order."""
        lines = (await self.gateway.wattness("export", "frames")).split()
        records = [frame.decode(cose.verify(self.public_key, bytes.fromhex(line))) for line in lines]
        return sorted(records, key=lambda record: (record.log, record.seq))

    async def rows(self) -> list[Row]:
        """Every dated row."""
        records = await self.records()
        dates = evidence.dates(records)
        streams = {frame.prev_of(frame.encode(r)): r.body.streams for r in records if r.kind == frame.KIND_STREAMS}
        found = []
        for record in records:
            if record.kind != frame.KIND_ROWS or (record.log, record.boot) not in dates:
                continue
            boot_ms = dates[record.log, record.boot]
            for entry in record.body.entries:
                stream = streams[record.body.streams_hash][entry.stream]
                found += _rows(stream, frame.times(entry, boot_ms + record.up), entry)
        return found

    async def wait(self, done: Callable[[list[Any]], bool]) -> list[Any]:
        """Return the records once `done` likes them."""
        async with asyncio.timeout(PATIENCE_S):
            while not done(records := await self.records()):
                await asyncio.sleep(POLL_S)
        return records


def _rows(stream: Any, times: list[int], entry: Any) -> list[Row]:
    columns = [frame.undelta(column) for column in entry.columns]
    return [
        Row(
            stream.role,
            unix_ms,
            {
                point.name: value * 10.0**point.exponent
                for point, value in zip(stream.points, values, strict=True)
                if value is not None
            },
        )
        for unix_ms, values in zip(times, zip(*columns, strict=True), strict=True)
    ]
