"""What an operator of the network can set, and its limits."""

from typing import NamedTuple

from civilclock import Clock


class Settings(NamedTuple):
    """Times in ms are civil where epochs and reports are dated, real where a client is waited for."""

    clock: Clock = Clock()
    challenge_percent: int = 20
    challenge_deadline_ms: int = 3_600_000  # real
    epoch_ms: int = 3_600_000  # civil
    grace_ms: int = 60_000  # civil; after an epoch's end
    age_ms_max: int = 30 * 86_400_000  # civil
    future_ms: int = 120_000  # civil
    per_minute: int = 6_000  # requests of one gateway, real
    settle_every_s: float = 1.0  # real
    boards_only: bool = False  # take nothing that a gateway read itself

    def epoch(self, civil_ms: int) -> int:
        """The epoch that a civil instant belongs to."""
        return civil_ms // self.epoch_ms
