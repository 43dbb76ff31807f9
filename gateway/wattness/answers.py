"""What networks' adapters may ask of the gateway, answered from its store or beside it."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path

from .clock import Clock
from .config import DATABASE_NAME, Config
from .model import Board, Reading
from .networks import Sources
from .store.reader import Reader, open_reader
from .store.registry import read_boards
from .store.sqlite import SqliteStore

MILLI = 1000


def of_store(store: SqliteStore, clock: Clock, config: Config) -> Sources:
    """Return what adapters may ask a store for."""

    async def board(board_key: bytes) -> Board | None:
        return _found(await store.boards(), board_key)

    async def frames(board_key: bytes, ranges: Sequence[Sequence[int]]) -> list[bytes]:
        return await store.read(lambda reader: list(reader.evidence(board_key, ranges)))

    async def readings(board_key: bytes, device: str, a: int, b: int) -> list[Reading]:
        return await store.read(lambda reader: list(readings_of(reader, (board_key.hex(), device), a, b)))

    return Sources(board, frames, readings, clock, Path(config.home), config.interval.length_s)


def of_file(config: Config) -> Sources:
    """Return the same, read beside whoever writes the database."""
    path = config.path(DATABASE_NAME)

    async def board(board_key: bytes) -> Board | None:
        return _found(read_boards(path), board_key)

    async def frames(board_key: bytes, ranges: Sequence[Sequence[int]]) -> list[bytes]:
        with open_reader(path) as reader:
            return list(reader.evidence(board_key, ranges))

    async def readings(board_key: bytes, device: str, a: int, b: int) -> list[Reading]:
        with open_reader(path) as reader:
            return list(readings_of(reader, (board_key.hex(), device), a, b))

    return Sources(board, frames, readings, config.make_clock(), Path(config.home), config.interval.length_s)


def readings_of(reader: Reader, place: tuple[str, str], a: int, b: int) -> Iterator[Reading]:
    """Yield a stream's rows that may be claimed; a place is a board key in hex and a device."""
    for stream in reader.streams():
        if (stream.board_key, stream.device) == place:
            for times, columns in reader.readings(stream.id, a, b, is_claim=True):
                for at, *values in zip(times, *columns.values(), strict=True):
                    found = zip(columns, values, strict=True)
                    yield Reading(at, {name: Decimal(n) / MILLI for name, n in found if n is not None})


def _found(boards: Sequence[Board], board_key: bytes) -> Board | None:
    return next((board for board in boards if board.board_key == board_key), None)
