"""The gateway's own logs, one for each key that a device names, and their places among the boards."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from wattness.clock import Clock
from wattness.config import Config
from wattness.errors import ConfigError
from wattness.keys import open_signer
from wattness.model import Ack, Arrival, Board
from wattness.signing import Signer, kid
from wattness.store.sqlite import SqliteStore

from .origin import Mark, Uptime, origin
from .own import OwnLog

Acknowledge = Callable[[Sequence[Ack]], Awaitable[None]]


class _Shelved(NamedTuple):
    board: Board
    log: OwnLog
    mark: Mark


class Shelf:
    """Delivers what the gateway's own logs seal, and takes the acknowledgements that are for them."""

    def __init__(self, uptime: Uptime, shelved: Mapping[str, _Shelved]) -> None:
        """Use `open_shelf`."""
        self.uptime = uptime
        self._shelved = shelved
        self._logs = {each.board.id: each.log for each in shelved.values()}

    def log(self, key: str) -> OwnLog:
        """Return the log of a device's `key`."""
        return self._shelved[key].log

    def logs(self) -> list[OwnLog]:
        """Return all logs."""
        return list(self._logs.values())

    def acknowledging(self, others: Acknowledge) -> Acknowledge:
        """Return what the intake tells of frames on disk; acknowledgements of boards go to `others`."""

        async def acknowledge(acks: Sequence[Ack]) -> None:
            for ack in acks:
                if ack.board_id in self._logs:
                    self._logs[ack.board_id].acknowledge(ack.log, ack.seq)
            theirs = [ack for ack in acks if ack.board_id not in self._logs]
            if theirs:
                await others(theirs)

        return acknowledge

    async def run(self, offer: Callable[[Arrival], bool]) -> None:
        """Seal, sign and deliver until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for each in self._shelved.values():
                tasks.create_task(each.log.run(offer, each.mark), name=f"own-log-{each.board.name}")


async def open_shelf(config: Config, store: SqliteStore, gateway: bytes, clock: Clock, software: str) -> Shelf:
    """Open the logs that the configured devices name, each enrolled as what it is; raises ConfigError."""
    uptime = Uptime(clock)
    shelved = {}
    for key in dict.fromkeys(device.key for device in config.device):
        signer = _open_key(key, Path(config.home))
        board = await _enrolled(store, signer, key)
        mark = Mark(Path(config.home), board.kid)
        stored = await store.read(lambda reader, board_id=board.id: reader.log_end(board_id))  # type: ignore[misc]
        start = origin(stored, mark.read())
        about = {"model": "wattness gateway", "firmware": software}
        shelved[key] = _Shelved(board, OwnLog(signer, gateway, start, uptime, about), mark)
    return Shelf(uptime, shelved)


def key_name(key: str) -> str:
    """Return the file that `wattness device key new` makes for a key."""
    return key.partition(":")[2]


def _open_key(key: str, home: Path) -> Signer:
    if key.startswith("file:") and not (home / key_name(key)).exists():
        raise ConfigError(
            f"What the gateway reads itself it signs with a key of its own; make it with"
            f" `wattness device key new {key_name(key)}`."
        )
    return open_signer(key, home)


async def _enrolled(store: SqliteStore, signer: Signer, key: str) -> Board:
    """Return the key's board; the same key as a board of another kind is refused."""
    boards = await store.boards()
    found = next((board for board in boards if board.public_key == signer.public_key), None)
    if found is None:
        stem = Path(key_name(key)).stem
        name = "gateway" if stem == "device" else f"gateway {stem}"
        if any(board.name == name for board in boards):
            name = f"{name} {kid(signer.public_key).hex()}"
        found = await store.enrol(signer.public_key, name, "gateway")
    if found.provenance != "gateway":
        raise ConfigError(
            f"The key {key} is enrolled as the board {found.name!r}; what the gateway reads itself needs another key."
        )
    return found
