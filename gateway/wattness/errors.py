"""Exceptions, named for what the caller does next."""


class WattnessError(Exception):
    """Base of every error we raise on purpose; its text is one sentence with the remedy."""


class ConfigError(WattnessError):
    """The operator must fix the configuration, a key file or a command's arguments."""


class RejectedError(WattnessError):
    """A frame that will never be accepted: count it by `reason`, keep it out, do not acknowledge."""

    def __init__(self, reason: str, detail: str = "") -> None:
        """`reason` is a stable snake_case code; `detail` is for people."""
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class StoreError(WattnessError):
    """The disk did not take it: nothing is acknowledged, try again later."""


class DamagedError(StoreError):
    """A database is corrupt: nothing is read from it or written to it until it is repaired."""


class NetworkError(WattnessError):
    """A reward network did not take a report."""


class UnavailableError(NetworkError):
    """Send the same bytes again later; `retry_after_s` is how long the network asked us to wait."""

    def __init__(self, detail: str, retry_after_s: float = 0) -> None:
        """`detail` is for people."""
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class RefusedError(NetworkError):
    """Never send this report again; `reason` is the network's code."""

    def __init__(self, reason: str, detail: str = "") -> None:
        """`reason` is a stable snake_case code; `detail` is for people."""
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class OutdatedError(NetworkError):
    """The network never took these bytes and never will: make them anew, with `memory` in place of what we held."""

    def __init__(self, detail: str, memory: dict[str, int | str]) -> None:
        """`memory` is the adapter's, as the network told it: the nonce that it expects."""
        super().__init__(detail)
        self.memory = memory
