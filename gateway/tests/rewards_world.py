"""A store with reports, pay and prices in it, as days of a gateway would leave them; loaded by `runpy`."""

import datetime as dt
from pathlib import Path

from wattness.store.schema import connect

DAY_MS = 86_400_000
FIRST = dt.date(2026, 11, 1)
BEGIN = 1_793_487_600_000  # 2026-11-01, midnight in Berlin
INTERVAL = (
    "INSERT INTO interval (id, stream_id, a, b, role, profile, figures, evidence, root, verdict, reasons, final_ms)"
    " VALUES (?, ?, ?, ?, ?, 'x', ?, '[]', x'00', 'accepted', '[]', 0)"
)
JOB = (
    "INSERT INTO job (network, key, interval_id, board_id, state, reason, created_ms, begin_ms, end_ms)"
    " VALUES (?, ?, ?, 1, ?, ?, 0, ?, ?)"
)
CONFIG = """\
[site]
latitude = 52.5
longitude = 13.4
timezone = "Europe/Berlin"

[money]
currency = "EUR"
tariff = [{grid_per_kwh = 0.30, own_per_kwh = "0.08"}, {grid_per_kwh = 0.40, own_per_kwh = 0.08, since = 2026-11-03}]

[[network]]
name = "home"
kind = "wattnet"
url = "http://127.0.0.1:9"
"""


class Books:
    """A store that is written by hand."""

    def __init__(self, home: Path) -> None:
        self.home, self.path = home, home / "wattness.db"
        (home / "gateway.toml").write_text(CONFIG)
        self.connection = connect(self.path)
        self.count = 0
        self.connection.execute(
            "INSERT INTO board (id, name, public_key, kid, board_key, link_key, password, enrolled_ms)"
            " VALUES (1, 'roof', x'04', x'0102030405060708', x'0102030405060708', x'00', '', 0)"
        )

    def stream(self, number: int, role: str, device: str = "", **changes: int) -> None:
        points = '[["energy_import", "Wh", 0], ["energy_export", "Wh", 0]]'
        reach = {"first_ms": BEGIN, "last_ms": BEGIN + 40 * DAY_MS} | changes
        self.connection.execute(
            "INSERT INTO stream (id, board_id, device, role, profile, unit, points, first_ms, last_ms)"
            " VALUES (?, 1, ?, ?, 'x', 1, ?, ?, ?)",
            (number, device or str(number), role, points, reach["first_ms"], reach["last_ms"]),
        )

    def interval(self, stream: int, role: str, a: int, length: int = 3_600_000, figures: str = "{}") -> int:
        self.count += 1
        self.connection.execute(INTERVAL, (self.count, stream, a, a + length, role, figures))
        return self.count

    def job(self, network: str, interval: int, state: str, reason: str = "", begin: int | None = None) -> None:
        end = None if begin is None else begin + DAY_MS
        self.connection.execute(JOB, (network, str(interval), interval, state, reason, begin, end))

    def reward(self, network: str, epoch: int, at: int | None, amount: int, detail: str = "{}") -> None:
        query = "INSERT INTO reward VALUES (?, ?, x'0102', '1', ?, ?, ?)"
        self.connection.execute(query, (network, epoch, amount, detail, at))


def day(number: int, hour: int = 12) -> int:
    """Return a time in a day from FIRST on, in Berlin."""
    return BEGIN + number * DAY_MS + hour * 3_600_000
