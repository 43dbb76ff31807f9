"""What is not asked for a while, because it cost the line time or its connection and came to nothing."""

from collections import OrderedDict
from collections.abc import Hashable

REST_S = (1.0, 2.0, 5.0, 10.0)  # by failures in a row
KEYS_MAX = 256  # the oldest go first


class Rests:
    """Failures in a row of whatever a key stands for. The clock is the caller's."""

    def __init__(self) -> None:
        """Everything may be asked."""
        self._found: OrderedDict[Hashable, tuple[int, float]] = OrderedDict()

    def failed(self, key: Hashable, now_s: float) -> None:
        """Let it rest, the longer the more often it has failed."""
        failures = self._found.pop(key, (0, 0.0))[0]
        self._found[key] = (failures + 1, now_s + REST_S[min(failures, len(REST_S) - 1)])
        if len(self._found) > KEYS_MAX:
            self._found.popitem(last=False)

    def worked(self, key: Hashable) -> None:
        """Forget its failures."""
        self._found.pop(key, None)

    def rests(self, key: Hashable, now_s: float) -> bool:
        """Whether it should not be asked yet."""
        found = self._found.get(key)
        return found is not None and now_s < found[1]
