"""Everything that is read from the store, over a read-only connection that never blocks the writer."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .views import BoardView, Depth, FrameView, Hole, IntervalView, RewardView, StreamView


class Reader:
    """Synchronous queries over one read-only connection; use it from one thread at a time."""

    def boards(self) -> list[BoardView]:
        """All boards that are not removed, with their newest log and health."""
        raise NotImplementedError

    def streams(self) -> list[StreamView]:
        """All streams of all boards."""
        raise NotImplementedError

    def values(self, stream_id: int, point: str, since_ms: int, limit: int = 5000) -> list[list[int | float | None]]:
        """Rows of one point since `since_ms` as [t, value], ascending; the newest `limit` of them."""
        raise NotImplementedError

    def intervals(
        self, *, stream_id: int | None = None, before: int | None = None, limit: int = 100
    ) -> list[IntervalView]:
        """Final intervals with their jobs, newest first; `before` is the id to page on from."""
        raise NotImplementedError

    def interval(self, board_key: bytes, device: str, a: int) -> IntervalView | None:
        """Return the final interval of a slot."""
        raise NotImplementedError

    def evidence(self, board_key: bytes, ranges: Sequence[Sequence[int]]) -> Iterator[bytes]:
        """Raw frames of [[log, first, last], …] in ascending (log, seq)."""
        raise NotImplementedError

    def depths(self) -> list[Depth]:
        """Jobs per network and state."""
        raise NotImplementedError

    def rewards(self, *, network: str | None = None, limit: int = 1000) -> list[RewardView]:
        """What was paid, newest epoch first."""
        raise NotImplementedError

    def last_epoch(self, network: str) -> int | None:
        """The newest epoch of which a reward of this network is known."""
        raise NotImplementedError

    def counters(self) -> dict[str, dict[str, int]]:
        """All counters as {name: {reason: n}}, e.g. {"rejected": {"bad_signature": 3}}."""
        raise NotImplementedError

    def holes(self) -> list[Hole]:
        """Undeclared holes: what a `resend` command should ask for."""
        raise NotImplementedError

    def export_frames(self, *, after: int = 0) -> Iterator[FrameView]:
        """Every raw frame in the order of arrival, in bounded memory."""
        raise NotImplementedError

    def export_intervals(self, *, after: int = 0) -> Iterator[IntervalView]:
        """Every final interval in the order in which they became final, in bounded memory."""
        raise NotImplementedError


@contextmanager
def open_reader(path: Path) -> Iterator[Reader]:
    """Open a read-only connection to the database at `path`. Raises StoreError when there is none."""
    raise NotImplementedError
    yield Reader()
