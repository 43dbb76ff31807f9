"""Whether values can be those of what a profile says: the only ground where a device does not say what it is."""

from .asking import Values
from .known import VOLTAGES

VOLTAGE, FREQUENCY = (80, 300), (45, 65)
UNCONNECTED_V = 5  # a phase that is not wired shows about nothing
OTHERS = {"soc": (0, 100), "soh": (0, 100), "temperature": (-60, 200), "power_factor": (-1.01, 1.01)}


def number(value: tuple[int, int]) -> float:
    """Return an (integer, exponent) as people say it."""
    return float(value[0] * 10.0 ** value[1])


def proofs(values: Values) -> int | None:
    """Return how many voltages are those of a grid of a right frequency; None if something cannot be."""
    frequency = values.get("frequency")
    if frequency is None or not FREQUENCY[0] <= number(frequency) <= FREQUENCY[1]:
        return None
    found = 0
    for name in VOLTAGES:
        value = values.get(name)
        if value is None:
            continue
        if VOLTAGE[0] <= number(value) <= VOLTAGE[1]:
            found += 1
        elif abs(number(value)) > UNCONNECTED_V:
            return None
    return found or None


def missing_phases(values: Values) -> int:
    """Return how many of a profile's phases show no voltage."""
    found = [values[name] for name in VOLTAGES if name in values]
    return sum(value is None or abs(number(value)) <= UNCONNECTED_V for value in found)


def oddity(values: Values) -> str | None:
    """Return what in the values cannot be, in words."""
    for name, value in values.items():
        if value is None:
            continue
        voltage = name in VOLTAGES and abs(number(value)) > UNCONNECTED_V
        band = VOLTAGE if voltage else FREQUENCY if name == "frequency" else OTHERS.get(name)
        if band is not None and not band[0] <= number(value) <= band[1]:
            return f"{name} of {number(value):g}"
    return None
