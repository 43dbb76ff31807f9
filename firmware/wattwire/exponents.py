"""The decimal exponents of a stream's points as its streams record says them, and how they follow the device."""

from . import records

CHANGES_MAX = 8  # then the finest exponent stays, and coarser values are multiplied, which is exact


class Exponents:
    """One stream's exponents by point; a SunSpec device may change its scale factors at any time."""

    def __init__(self, points: dict) -> None:
        """`points`: {name: exponent} to begin with."""
        self.points = points
        self._changes = 0

    def follow(self, values: dict) -> bool:
        """Take over the exponents of `values`, {name: (mantissa, exponent) or None}; tell whether one has changed.

        A value with an exponent that the wire cannot say becomes None.
        """
        changed = False
        for name, value in values.items():
            if value is None:
                continue
            if abs(value[1]) > records.EXPONENT_MAX:
                values[name] = None
                continue
            held = self.points.get(name)
            if value[1] == held or (held is not None and self._changes >= CHANGES_MAX and value[1] > held):
                continue
            self.points[name] = value[1]
            changed = True
        self._changes += changed
        return changed

    def integer(self, name: str, value: tuple[int, int] | None) -> int | None:
        """Return a value as an integer of its point's exponent; None when there is none, or the wire has no room."""
        if value is None:
            return None
        integer = value[0] * 10 ** (value[1] - self.points[name])
        return integer if -records.VALUE_LIMIT < integer < records.VALUE_LIMIT else None
