"""How small a frame is: 60 one-second rows × 6 points of the demo's generator, everything included."""

from emulator.fleet import POINTS, ROWS, FleetBoard

LIMIT_BYTES_PER_VALUE = 1.6


async def measure(*, quick: bool) -> dict[str, float]:
    """Return bytes per value over frames of a whole recorded day, signature and envelope included."""
    count = 60 if quick else 600
    sizes = [len(raw) for raw in FleetBoard(1, bytes(32)).frames(count)][1:]
    values = ROWS * len(POINTS)
    mean = sum(sizes) / len(sizes)
    return {
        "bytes_per_value": round(mean / values, 3),
        "bytes_per_value_worst": round(max(sizes) / values, 3),
        "bytes_per_frame": round(mean, 1),
        "limit_bytes_per_value": LIMIT_BYTES_PER_VALUE,
    }
