"""The one exception of every decoder here."""


class WireError(ValueError):
    """Bytes or values that the wire forbids; `reason` is a stable snake_case code, `detail` is for people."""

    def __init__(self, reason: str, detail: str = ""):
        super().__init__(reason + ": " + detail if detail else reason)
        self.reason = reason
        self.detail = detail
