"""The one exception of this server: an answer that says no, and why."""


class RefusalError(Exception):
    """Becomes the HTTP answer `status` with `{"reason", "detail"}`; `reason` is a stable snake_case code."""

    def __init__(self, status: int, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.status = status
        self.reason = reason
        self.detail = detail
