"""From verified frames to everything that follows from them, within the writer's transaction."""

from collections import OrderedDict
from collections.abc import Sequence

import apsw

from wattness.model import Ack, Verified

from .board import BoardState, Stream
from .closing import Closing
from .finality import Finality
from .fold import Fold
from .ledger import Ledger
from .removal import Removable, Removal
from .schema import write_rows
from .settings import Settings
from .tally import Tally

BOARDS_MAX = 4096  # remembered; the others are read again when they speak
FRAMES_MAX = 2048  # remembered, of all boards

_UPDATE_STREAM = (
    "WITH new (id, open_ms, due_ms, start_log, start_seq, last_ms, first_ms) AS (VALUES {rows})"
    " UPDATE stream SET open_ms = new.open_ms, due_ms = new.due_ms, start_log = new.start_log,"
    " start_seq = new.start_seq, last_ms = new.last_ms, first_ms = coalesce(stream.first_ms, new.first_ms)"
    " FROM new WHERE stream.id = new.id"
)


class Pipeline:
    """Remembers the boards that speak; whatever it remembers follows from the database alone."""

    def __init__(self, connection: apsw.Connection, settings: Settings) -> None:
        """Use the writer's connection."""
        self._connection = connection
        self._clock = settings.clock
        self._length_ms = settings.interval.length_s * 1000
        self.tally = Tally(connection)
        self._ledger = Ledger(connection, self.tally)
        self._fold = Fold(connection, self.tally, settings.gateway, self._length_ms, settings.interval.future_s * 1000)
        self._closing = Closing(connection, self.tally, settings.networks, settings.judge)
        final_after_ms = settings.interval.final_after_h * 3_600_000
        self._finality = Finality(connection, self._fold, self._closing, self._length_ms, final_after_ms)
        self._removal = Removal(connection, self.tally)
        self._states: OrderedDict[int, BoardState] = OrderedDict()
        self._frames = 0
        self._version: int | None = None
        self.made = 0  # intervals, since the process began

    def put(self, frames: Sequence[Verified]) -> list[Ack]:
        """Store frames and fold them; returns what to acknowledge after the commit, one per board and log."""
        now_ms = self._clock.now_ms()
        self._check_version()
        self._closing.begin()
        touched: dict[int, BoardState] = {}
        acks: dict[tuple[int, int], Ack] = {}
        for verified in frames:
            state = touched.get(verified.board_id) or self._state(verified.board_id)
            touched[state.id] = state
            ack = self._ledger.put(state, verified, now_ms)
            if ack is not None:
                acks[ack.board_id, ack.log] = ack
        self._ledger.flush()
        for state in touched.values():
            self._run(state, now_ms)
        self._save(list(touched.values()))
        return list(acks.values())

    def tick(self) -> int:
        """Finalise what is due by the clock; returns how many intervals became final."""
        now_ms = self._clock.now_ms()
        self._check_version()
        self._closing.begin()
        before = self.made
        states = [self._state(board_id) for board_id in self._finality.due(now_ms)]
        for state in states:
            self.made += self._finality.run(state, now_ms)
        self._save(states)
        return self.made - before

    def remove(self, wanted: Removable, after: int) -> tuple[int, int | None]:
        """Remove frames that the history keeps; see `Removal.slice`."""
        self._check_version()
        self._closing.begin()
        state = self._state(wanted.board_id)
        removed, following = self._removal.slice(wanted, after)
        log = state.log(wanted.log)
        log.frames -= removed
        log.dirty = removed > 0
        self._save([state])
        return removed, following

    def forget(self) -> None:
        """Drop everything remembered, after a roll-back."""
        self._states.clear()
        self._frames = 0
        self._version = None
        self._ledger.forget()
        self.tally.forget()

    def _run(self, state: BoardState, now_ms: int) -> None:
        for stream in self._fold.run(state, now_ms):
            self.made += self._closing.close(state, stream, now_ms)

    def _check_version(self) -> None:
        """Forget everything when another process has written, e.g. released a board from quarantine."""
        version = self._connection.pragma("data_version")
        if version != self._version:
            self._states.clear()
            self._frames = 0
            self._version = version

    def _state(self, board_id: int) -> BoardState:
        state = self._states.get(board_id)
        if state is None:
            state = self._states[board_id] = BoardState(self._connection, board_id, self._length_ms)
            self._fold.replay(state)
            self._frames += len(state.recent)
        self._states.move_to_end(board_id)
        return state

    def _save(self, states: Sequence[BoardState]) -> None:
        self._closing.flush()
        self._ledger.save(states)
        streams = [stream for state in states for stream in state.streams.values() if _moved(stream)]
        write_rows(
            self._connection, _UPDATE_STREAM, [(stream.id, *stream.saved, stream.window.first) for stream in streams]
        )
        self.tally.save()
        for state in states:
            state.trim()
        self._trim()

    def _trim(self) -> None:
        """Keep memory bounded: the boards that were silent the longest go first."""
        while len(self._states) > BOARDS_MAX:
            self._states.popitem(last=False)
        if sum(len(state.recent) for state in self._states.values()) > FRAMES_MAX:
            for state in list(self._states.values())[: len(self._states) // 2 + 1]:
                state.recent.clear()


def _moved(stream: Stream) -> bool:
    position = stream.position()
    if position == stream.saved:
        return False
    stream.saved = position
    return True
