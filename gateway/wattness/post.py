"""What the gateway tells boards: acknowledgements and commands, sealed with each board's link key."""

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence

from wattwire import link

from .clock import Clock
from .model import Ack, Board
from .store.views import Hole

Publish = Callable[[str, bytes], Awaitable[bool]]
NextCounter = Callable[[int], Awaitable[int]]

RESEND_S = (15.0, 30.0, 60.0, 300.0, 1800.0)  # a hole is asked for after this long, then again after the next


class Post:
    """Seals and sends; whatever does not arrive is sent again when its reason recurs."""

    def __init__(self, publish: Publish, clock: Clock, boards: Iterable[Board] = ()) -> None:
        """`publish` sends bytes to a topic, or returns False."""
        self._publish = publish
        self._clock = clock
        self._boards: dict[int, Board] = {}
        self.replace(boards)

    def replace(self, boards: Iterable[Board]) -> None:
        """From now on write to exactly these boards."""
        self._boards = {board.id: board for board in boards}

    async def acknowledge(self, acks: Sequence[Ack]) -> None:
        """Tell boards what is on disk."""
        now_ms = self._clock.now_ms()
        for ack in acks:
            await self._send(ack.board_id, "ack", link.encode_ack(ack.log, ack.seq, now_ms))

    async def command(self, board_id: int, counter: int, name: str, arguments: object) -> None:
        """Send a command; `counter` must rise strictly from command to command of a board."""
        await self._send(board_id, "cmd", link.encode_command(counter, name, arguments))

    async def _send(self, board_id: int, leaf: str, body: bytes) -> None:
        board = self._boards.get(board_id)
        if board is not None:
            topic = link.topic(board.kid, leaf)
            await self._publish(topic, link.seal(board.link_key, topic, body))


class Resender:
    """Asks boards for the frames of holes, patiently: they may be on their way."""

    def __init__(self, post: Post, next_counter: NextCounter) -> None:
        """`next_counter` gives a board's next command counter, durably."""
        self._post = post
        self._next_counter = next_counter
        self._asked: dict[tuple[int, int, int], tuple[int, float]] = {}  # hole → how often, and when again

    async def look(self, holes: Sequence[Hole]) -> None:
        """Ask for those holes whose time has come; called again and again with all that are there."""
        now_s = time.monotonic()
        keys = [(hole.board_id, hole.log, hole.first) for hole in holes]
        self._asked = {key: self._asked.get(key, (0, now_s + RESEND_S[0])) for key in keys}
        for key, (times, due_s) in self._asked.items():
            if due_s <= now_s:
                board_id, log, first = key
                again = min(times + 1, len(RESEND_S) - 1)
                self._asked[key] = (again, now_s + RESEND_S[again])
                await self._post.command(board_id, await self._next_counter(board_id), "resend", [log, first])
