"""What the sandboxes of reward networks share: a ledger of what came, and how a served sandbox is handed over."""

from collections import Counter
from typing import Any, NamedTuple


class Ledger:
    """What a sandbox took, by the network's own key of a report, and what it would not take."""

    def __init__(self) -> None:
        self.taken: dict[str, bytes] = {}
        self.again = 0  # the same bytes once more
        self.conflicts: list[str] = []  # keys for which other bytes came later
        self.refused: Counter[str] = Counter()

    def take(self, key: str, signed: bytes) -> bool:
        """Note a good report; False when other bytes were taken for its key before."""
        if key not in self.taken:
            self.taken[key] = signed
        elif self.taken[key] == signed:
            self.again += 1
        else:
            self.conflicts.append(key)
            return False
        return True

    def refuse(self, reason: str) -> None:
        """Count a report that is not good."""
        self.refused[reason] += 1

    def counts(self) -> dict[str, Any]:
        """Return everything as numbers."""
        return {
            "taken": len(self.taken),
            "again": self.again,
            "conflicts": len(self.conflicts),
            "refused": dict(self.refused),
        }


class Served(NamedTuple):
    """A running sandbox, and how an adapter must be configured for it."""

    url: str
    ledger: Ledger
    settings: dict[str, Any]  # of [network.settings]
