"""The radio's streams: vehicles and batteries. Loaded only on a board that has one configured."""

from wattboard import hal
from wattboard.ble import Central
from wattboard.heard import Heard

VICTRON = "victron"


class NoBus:
    """The meter's bus on a board whose streams all come by radio."""

    baud = 9600

    def __init__(self):
        self.use = self

    def take(self, _us):
        """It was not used."""
        return


class Radio:
    """Holds the central and one coroutine for each device; `run` is their task."""

    def __init__(self):
        self._central = Central(hal.bluetooth())
        self._adverts = None
        self._peers = []

    def add(self, settings, known, bus):
        """Return the stream of one entry of the configuration; `known` is what `radio_catalog` made of it."""
        stream = Heard(settings, known, bus)
        if settings["role"] == "vehicle":
            from wattboard.vehicle import Vehicle  # noqa: PLC0415 - a battery's board has no room for it

            self._peers.append(Vehicle(self._central, stream, known[0]))
        elif settings["profile"].startswith(VICTRON):
            from wattboard.battery import Adverts  # noqa: PLC0415 - and so the other way round

            self._adverts = self._adverts or Adverts(self._central)
            self._adverts.add(stream)
        else:
            from wattboard.battery import Monitor  # noqa: PLC0415

            self._peers.append(Monitor(self._central, stream, settings["profile"]))
        return stream

    def tasks(self, beat):
        """Return (name, coroutine) pairs for the supervisor."""
        found = [("radio", self._central.run())]
        for index, peer in enumerate(self._peers):
            name = "radio %d" % index
            found.append((name, peer.run(lambda name=name: beat(name))))
        return found
