"""Releases on their way to boards: what the owner queued is offered, and given piece by piece as a board asks for it.

The queue is a folder: a bundle for each board under its key id, and beside it what became of it, as JSON.
"""

import asyncio
import contextlib
import json
import logging
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from wattwire import link, release
from wattwire.errors import WireError

from .errors import ConfigError
from .model import Board
from .private import write_private
from .releases import Bundle, read_bundle

log = logging.getLogger(__name__)

FOLDER = "updates"
OFFER_S = 60.0  # after the last that was heard of a board's update
WAITING_MAX = 256  # requests; a board asks again after ten seconds
LAST_WORDS = frozenset(
    ("kept", "rolled_back", "downgrade", "wire_too_new", "no_release_key", "bad_signature", "bad_hash")
)

Boards = Callable[[], Awaitable[list[Board]]]
Command = Callable[[int, str, object], Awaitable[None]]


class Updates:
    """The gateway's half; `heard` takes what boards publish, `serve` answers it, both called by the app."""

    def __init__(self, folder: Path, boards: Boards, command: Command, states: Mapping[bytes, str]) -> None:
        """`command` sends a command to a board by its id; `states` says which boards are online."""
        self.folder = folder
        self.counts: Counter[str] = Counter()
        self._list, self._command, self._states = boards, command, states
        self._came = asyncio.Event()
        self._online: set[bytes] = set()
        self._boards: dict[bytes, Board] = {}
        self._waiting: deque[tuple[bytes, bytes]] = deque()
        self._heard_s: dict[bytes, float] = {}
        self._open: dict[bytes, tuple[float, Bundle]] = {}

    def heard(self, kid: bytes, payload: bytes) -> None:
        """Take what a board wants; never waits."""
        if len(self._waiting) < WAITING_MAX:
            self._waiting.append((kid, payload))
            self._came.set()
        else:
            self.counts["dropped_full"] += 1

    async def serve(self) -> None:
        """Wait for something to be heard, and answer it."""
        await self._came.wait()
        self._came.clear()
        while self._waiting:
            kid, payload = self._waiting.popleft()
            board = self._boards.get(kid)
            if board is None:
                self.counts["unknown_board"] += 1
                continue
            topic = link.topic(kid, "want")
            try:
                wanted = release.decode_want(link.open(board.link_key, topic, payload))
            except WireError as error:
                self.counts[error.reason] += 1
                continue
            await self._answer(board, wanted)

    async def offer(self) -> None:
        """Offer what is queued to boards that are online and from which nothing was heard of it for a while."""
        self._boards = {board.kid: board for board in await self._list()}
        now_s = time.monotonic()
        online = {kid for kid in self._boards if self._states.get(kid) == "online"}
        for kid in online - self._online:
            self._heard_s.pop(kid, None)  # it may have started anew
        self._online = online
        for kid, board in self._boards.items():
            if kid not in online or now_s - self._heard_s.get(kid, -OFFER_S) < OFFER_S:
                continue
            bundle = self._bundle(kid)
            if bundle is not None:
                self._heard_s[kid] = now_s
                again = [1] if read_status(self.folder, board).get("again") else []
                await self._command(board.id, "update", [bundle.envelope, *again])

    async def _answer(self, board: Board, wanted: tuple[bytes, int, int, str | None]) -> None:
        name, offset, size, word = wanted
        bundle = self._bundle(board.kid)
        if bundle is None or bundle.id != name:
            self.counts["not_queued"] += 1
            return
        self._heard_s[board.kid] = time.monotonic()
        if word is not None:
            self._note(board, bundle, word)
        elif offset < len(bundle.data):
            await self._command(board.id, "update", [name, offset, bundle.data[offset : offset + size]])

    def _note(self, board: Board, bundle: Bundle, word: str) -> None:
        log.info("update board=%s version=%s state=%s", board.kid.hex(), bundle.version, word)
        if word in LAST_WORDS:
            _bundle_path(self.folder, board.kid).unlink(missing_ok=True)
            self._open.pop(board.kid, None)
        if word == "trying":
            self._heard_s[board.kid] = time.monotonic() - OFFER_S * 3 / 4  # ask soon what has become of it
        _write_status(self.folder, board, {"version": bundle.version, "state": word})

    def _bundle(self, kid: bytes) -> Bundle | None:
        """Return what is queued for a board; a file that is no bundle is put away."""
        path = _bundle_path(self.folder, kid)
        try:
            changed = path.stat().st_mtime
        except OSError:
            return None
        if kid not in self._open or self._open[kid][0] != changed:
            try:
                self._open = {kid: (changed, read_bundle(path))}  # one at a time is in memory
            except ConfigError as error:
                log.warning("update refused error=%s", str(error))
                path.unlink(missing_ok=True)
                return None
        return self._open[kid][1]


def queue(folder: Path, board: Board, bundle: Bundle, *, again: bool = False) -> None:
    """Have a board offered a release when it is online; one that waits already gives way. Raises ConfigError."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        _write_status(folder, board, {"version": bundle.version, "state": "queued", "again": again})
        path = _bundle_path(folder, board.kid)
        new = path.with_suffix(".new")
        new.write_bytes(bundle.data)
        new.replace(path)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {error.strerror}.") from None


def read_status(folder: Path, board: Board) -> dict[str, Any]:
    """Return what became of a board's last release: its version and state, or nothing."""
    with contextlib.suppress(OSError, ValueError):
        found = json.loads((folder / f"{board.kid.hex()}.json").read_text())
        return found if isinstance(found, dict) else {}
    return {}


def _write_status(folder: Path, board: Board, values: dict[str, Any]) -> None:
    write_private(folder / f"{board.kid.hex()}.json", json.dumps(values))


def _bundle_path(folder: Path, kid: bytes) -> Path:
    return folder / f"{kid.hex()}.wnr"
