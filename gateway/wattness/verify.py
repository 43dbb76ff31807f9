"""From bytes that anyone could have sent to a frame that one enrolled board has signed."""

from collections.abc import Iterable, Sequence

from wattness.model import Arrival, Board, Verified


class Verifier:
    """Holds the enrolled boards' key objects; used from several threads at once."""

    def replace(self, boards: Iterable[Board]) -> None:
        """From now on accept exactly these boards."""
        raise NotImplementedError

    def verify(self, arrival: Arrival) -> Verified:
        """Return the frame, or raise RejectedError with a reason code."""
        raise NotImplementedError

    def verify_all(self, arrivals: Sequence[Arrival]) -> tuple[list[Verified], dict[str, int]]:
        """Return the good frames in order, and how many were rejected for which reason."""
        raise NotImplementedError
