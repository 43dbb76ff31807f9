"""Rules on frequency and voltage: proof that a profile's scales and word order are right."""

from .facts import Facts
from .memory import Notes

FREQUENCY_MHZ = (45_000, 65_000)
MAINS_MV = (80_000, 760_000)  # of a stream that has a frequency
DIRECT_MV = (9_000, 1_500_000)
ACTIVE_MW = 20_000  # below that a device may be asleep
ACTIVE_SHARE = 0.01  # … or below this share of its rated power


def check(facts: Facts, notes: Notes) -> None:
    """Apply both."""
    frequency = facts.samples.get("frequency")
    low, high = FREQUENCY_MHZ
    if frequency is not None and not (_within(frequency.low, low, high) and _within(frequency.high, low, high)):
        notes.find("frequency_scale")
    power = facts.power
    if power is None or abs(power.mean) < max(ACTIVE_MW, (facts.rated_w or 0) * 1000 * ACTIVE_SHARE):
        return
    low, high = DIRECT_MV if frequency is None or facts.role == "vehicle" else MAINS_MV
    for name in ("voltage", "voltage_l1"):
        voltage = facts.samples.get(name)
        if voltage is not None and not low <= voltage.mean <= high:
            notes.find("voltage_scale")


def _within(value: int, low: int, high: int) -> bool:
    """Tell whether a frequency is possible; who sleeps says 0."""
    return not value or low <= value <= high
