"""Where power goes now: the newest power of every stream, put together, or null where nobody knows."""

from collections.abc import Iterable, Sequence

from wattness.clock import Clock
from wattness.store.reader import Reader
from wattness.store.views import PointView, StreamView

from .answers import Flow

LEADING = ("power", "battery_power", "dc_power", "speed")  # what a stream's plot shows, the first that it has
FRESH_MS = 120_000  # two frames of a minute
ON_THE_WAY_S = 5.0  # a frame may take so long in real time, whatever the clock's rate
GONE_MS = 86_400_000  # a stream that was silent for so long belongs to the house no more


def leading(stream: StreamView) -> PointView | None:
    """Return the point that shows best what a stream does."""
    points = {point.name: point for point in stream.points}
    return next((points[name] for name in LEADING if name in points), None)


def flow(reader: Reader, streams: Iterable[StreamView], clock: Clock) -> Flow:
    """Return the power flow; a role of which any stream is silent, or has yet to speak, is unknown."""
    now = clock.now_ms()
    alive = [stream for stream in streams if stream.last_unix_ms is None or stream.last_unix_ms > now - GONE_MS]
    values: dict[str, list[float | None]] = {}
    for stream in alive:
        values.setdefault(stream.role, []).append(_power(reader, stream, clock))
    pv, battery, grid, load = (_sum(values.get(role, [])) for role in ("pv", "battery", "grid", "load"))
    vehicle = _sum(values["charger"]) if "charger" in values else _sum(values.get("vehicle", []))
    derived = load is None and "load" not in values and "grid" in values
    if derived:
        terms = ((grid, 1, "grid"), (pv, 1, "pv"), (battery, -1, "battery"), (vehicle, -1, "charger"))
        needed = [(value, sign) for value, sign, role in terms if role in values]
        known = [value * sign for value, sign in needed if value is not None]
        load = sum(known) if len(known) == len(needed) else None
    return Flow(
        at_unix_ms=now,
        pv_w=_whole(pv),
        battery_w=_whole(battery),
        grid_w=_whole(grid),
        load_w=_whole(load),
        vehicle_w=_whole(vehicle),
        load_derived=derived and load is not None,
    )


def newest(reader: Reader, stream: StreamView, point: PointView, clock: Clock) -> float | None:
    """Return a point's newest value, unless it is old or the device gave none."""
    since_ms = clock.now_ms() - FRESH_MS - round(ON_THE_WAY_S * 1000 * clock.rate)
    if (stream.last_unix_ms or 0) < since_ms:
        return None
    rows = reader.values(stream.id, point.name, since_ms, 1)
    return rows[-1][1] if rows else None


def _power(reader: Reader, stream: StreamView, clock: Clock) -> float | None:
    point = leading(stream)
    return None if point is None or point.unit != "W" else newest(reader, stream, point, clock)


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None
