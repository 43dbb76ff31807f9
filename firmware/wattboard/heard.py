"""A stream whose values come by radio: the meter takes the newest as a row whenever it wants one."""

from wattboard import hal
from wattwire import records

FRESH_PERIODS = 2  # a value so old is none any more
FRESH_MS = 10000  # but at least so long


class Heard:
    """What a `Device` is to the meter. `known` is what `radio_catalog` made of it; `put` takes values."""

    walks = False
    known = True
    is_complete = True
    answers = 0  # it has no turn on the bus, so it is its own pace

    def __init__(self, settings, known, bus):
        self.unit = settings["unit"]
        self.role = settings["role"]
        self.ble = settings["ble"]
        self.errors = 0
        self.rssi_dbm = None  # of the last advert: nobody tells how strong a link is
        self.links = 0  # that were made
        self.tries = 1
        self.pace = self
        self.bus = bus
        _, self._hash, self.points, self._unsettled = known
        self._settings = settings
        self._fresh_ms = max(FRESH_MS, FRESH_PERIODS * settings["period_ms"])
        self._values = {}  # name: (integer, until which uptime)

    def stream(self):
        """Return the Stream of the streams record."""
        return records.Stream(
            self.role,
            self._settings["profile"],
            self._hash,
            self.unit,
            tuple([records.Point(name, unit, exponent, None) for name, unit, exponent in self.points]),
            None,
            self._settings.get("rated_w"),
            self._settings.get("inverted", False),
        )

    def put(self, values, keep_ms=0):
        """Take {name: (integer, exponent) or None}; they are good for as long as the stream's are, or `keep_ms`."""
        until_ms = hal.uptime_ms() + max(self._fresh_ms, keep_ms)
        for name, _, exponent in self.points:
            value = values.get(name)
            if value is not None:
                integer = value[0] * 10 ** (value[1] - exponent) if value[1] >= exponent else None
                if integer is not None and -records.VALUE_LIMIT < integer < records.VALUE_LIMIT:
                    self._values[name] = (integer, until_ms)
            elif name in values:
                self._values.pop(name, None)

    def unsettled(self):
        """Return the points that nobody is to claim for."""
        confirmed = self._settings.get("confirmed", ())
        return [name for name in self._unsettled if name not in confirmed]

    async def identify(self):
        """There is nothing to ask."""

    async def poll(self, _level=0):
        """Return ([integer or None for each point], False), or None while nothing fresh was heard."""
        now_ms = hal.uptime_ms()
        row = []
        for name, _, _ in self.points:
            value, until_ms = self._values.get(name, (None, 0))
            row.append(value if until_ms >= now_ms else None)
        for value in row:
            if value is not None:
                return row, False
        return None
