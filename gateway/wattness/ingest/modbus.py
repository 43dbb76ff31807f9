"""Reads the configured devices, by Modbus or radio, by their schedules into the gateway's own logs.

A device has one of these states. Only `metering` makes rows; a value that is missing is never zero.
new: not asked yet · metering · silent: asked again after 2 s to 5 min · wrong_map: it answers, but is not what the
configuration says · unfit: the operator must change its settings.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Mapping, Sequence

from wattness import devices
from wattness.errors import ConfigError
from wattness.modbus.binding import WrongMapError, check_settings
from wattness.modbus.device import Device
from wattness.modbus.line import Line, SilentError
from wattwire.schedule import Schedule

from .bleradio import Radio
from .heard import HeardDevice
from .own import LogFullError, OwnLog, OwnStream
from .shelf import Shelf

log = logging.getLogger(__name__)

MEET_S = 10.0  # the first streams record waits so long for devices
HEALTH_MS = 600_000
LOOK_S = 0.2
SOON_MS = 30_000  # after a change of state
TROUBLES_MAX = 20  # told in one health record
DETAIL_MAX = 120


class Meter:
    """One device and its schedule."""

    def __init__(self, device: Device | HeardDevice, own: OwnLog, phase_ms: int, *, is_first: bool) -> None:
        """Nothing is asked yet; `is_first` unless a device before it in the configuration has the same registers."""
        self.settings = settings = device.settings
        self.device = device
        self.state, self.detail = "new", ""
        self.changes = 0
        self.counts: Counter[str] = Counter()  # polls, silent_polls, empty_polls, wrong_map_polls
        self._own = own
        self._place: OwnStream = own.open(settings.name, is_first=is_first)
        self._schedule = Schedule(settings.period_ms, phase_ms)

    async def meet(self) -> None:
        """Ask the device what it is, and set when it is asked again."""
        began_ms = self._own.uptime.now_ms()
        try:
            await self.device.identify()
            self._place.describe(self.device.stream(), self.device.unsettled())
        except SilentError as error:
            self._lost("silent", str(error))
        except WrongMapError as error:
            self._lost("wrong_map", str(error))
        except ConfigError as error:
            self._lost("unfit", str(error))
        except LogFullError:
            self._lost("unfit", "its log is full: give the device a key of its own")
        else:
            self._tell("metering", "")
            self._schedule.answered(began_ms)

    async def run(self) -> None:
        """Poll until cancelled."""
        uptime = self._own.uptime
        while True:
            now_ms = uptime.now_ms()
            if self._schedule.due_ms > now_ms:
                await asyncio.sleep(uptime.clock.real_s(self._schedule.due_ms - now_ms))
                continue
            await self.step(now_ms)

    async def step(self, now_ms: int) -> None:
        """Poll the device, or ask it what it is; nothing that a device does may end the others' metering."""
        try:
            await (self._poll(now_ms) if self.state == "metering" else self.meet())
        except Exception:
            log.exception("device failed name=%s", self.settings.name)
            self._lost("unfit", "an error of ours; see the log")

    async def _poll(self, began_ms: int) -> None:
        self.counts["polls"] += 1
        # The row that begins a frame has the slow points too, so that no interval's edge needs a row before it.
        level = max(self._schedule.level(began_ms), int(not self._place.rows.times))
        try:
            found = await self.device.poll(level)
            if found is not None and found.changed:
                self._place.describe(self.device.stream(), self.device.unsettled())
        except SilentError as error:
            self._lost("silent", str(error))
        except WrongMapError as error:
            self._lost("wrong_map", str(error))
        except LogFullError:
            self._lost("unfit", "its log is full: give the device a key of its own")
        else:
            if self.device.is_complete:
                self._schedule.took(level, began_ms)
            self._schedule.answered(began_ms)
            if found is None:
                self.counts["empty_polls"] += 1
            else:
                self._place.add(self._schedule.stamp(began_ms), found.row)

    def _lost(self, state: str, detail: str) -> None:
        """Claim nothing for the device until it has been met again."""
        self.device.forget()
        self.counts[f"{state}_polls"] += 1
        now_ms = self._own.uptime.now_ms()
        if self.device.backs_off:
            self._schedule.silent(now_ms)
        else:
            self._schedule.answered(now_ms)
        self._tell(state, detail)

    def _tell(self, state: str, detail: str) -> None:
        if state != self.state:
            self.changes += 1
            level = logging.INFO if state == "metering" else logging.WARNING
            log.log(level, "device name=%s state=%s detail=%s", self.settings.name, state, detail)
        self.state, self.detail = state, detail


class Meters:
    """All devices; those at one address share a line, those by Bluetooth the radio."""

    def __init__(self, settings: Sequence[devices.Device], shelf: Shelf, radio: Radio) -> None:
        """Raises ConfigError for settings that cannot be."""
        self.lines: dict[devices.Address, Line] = {}
        self._radio = radio
        self.meters: list[Meter] = []
        seen: set[tuple[object, ...]] = set()
        for index, each in enumerate(settings):
            phase_ms = index * each.period_ms // len(settings)
            place = (devices.parse_address(each.url, "url"), each.unit, each.key)
            try:
                self.meters.append(Meter(self._device(each), shelf.log(each.key), phase_ms, is_first=place not in seen))
            except ConfigError as error:
                raise ConfigError(f"$.device[{index}]: {error}") from None
            seen.add(place)
        self._shelf = shelf

    def meter(self, name: str) -> Meter:
        """Return the meter of the device called `name`."""
        return next(meter for meter in self.meters if meter.settings.name == name)

    def states(self) -> list[dict[str, str]]:
        """Return what became of each device, as the API and people see it."""
        return [{"name": each.settings.name, "state": each.state, "detail": each.detail} for each in self.meters]

    async def run(self) -> None:
        """Find the devices, then poll each by its schedule, until cancelled."""
        if not self.meters:
            return
        try:
            async with asyncio.TaskGroup() as tasks:
                all_met = asyncio.Barrier(len(self.meters))
                for meter in self.meters:
                    tasks.create_task(_work(meter, all_met), name=f"meter-{meter.settings.name}")
                tasks.create_task(self._radio.run(), name="radio")
                tasks.create_task(self._tell_health(), name="meters-health")
        finally:
            for line in self.lines.values():
                line.close()

    def health(self, own: OwnLog) -> dict[str, int | str | None]:
        """Return the values of a health record of one log."""
        mine = [meter for meter in self.meters if self._shelf.log(meter.settings.key) is own]
        counts = sum((meter.counts for meter in mine), Counter[str]())
        values: dict[str, int | str | None] = {
            "polls": counts["polls"],
            "silent_polls": counts["silent_polls"],
            "empty_polls": counts["empty_polls"],
            "wrong_map_polls": counts["wrong_map_polls"],
            "exchange_errors": sum(meter.device.errors for meter in mine),
            "unstored_rows": own.unstored_rows,
            "devices": len(mine),
            "devices_metering": sum(meter.state == "metering" for meter in mine),
        }
        for meter in [meter for meter in mine if meter.state != "metering"][:TROUBLES_MAX]:
            values[f"device {meter.settings.name}"] = f"{meter.state}: {meter.detail}"[:DETAIL_MAX]
        return values

    def shared(self) -> list[tuple[devices.Device, Line]]:
        """Return the devices that a proxy can share, each with its line."""
        return [(each.settings, each.device.line) for each in self.meters if isinstance(each.device, Device)]

    def _device(self, settings: devices.Device) -> Device | HeardDevice:
        address = devices.parse_address(settings.url, "url")
        if address.kind == devices.BLE:
            return self._radio.device(settings)
        check_settings(settings)
        if address not in self.lines:
            self.lines[address] = Line(address, connect_pause_ms=settings.connect_pause_ms)
        return Device(settings, self.lines[address])

    async def _tell_health(self) -> None:
        """Seal health records: now and then, and soon after a device's state has changed."""
        uptime = self._shelf.uptime
        told: Mapping[int, tuple[int, int]] = {}
        while True:
            now_ms = uptime.now_ms()
            if any(meter.state == "new" for meter in self.meters):
                await asyncio.sleep(LOOK_S)
                continue
            told = {**told, **self._due_health(now_ms, told)}
            await asyncio.sleep(uptime.clock.real_s(SOON_MS))

    def _due_health(self, now_ms: int, told: Mapping[int, tuple[int, int]]) -> dict[int, tuple[int, int]]:
        done = {}
        for own in self._shelf.logs():
            changes = sum(meter.changes for meter in self.meters if self._shelf.log(meter.settings.key) is own)
            before_ms, before = told.get(id(own), (-HEALTH_MS, -1))
            if now_ms - before_ms >= HEALTH_MS or changes != before:
                own.seal_health(self.health(own))
                done[id(own)] = (now_ms, changes)
        return done


async def _work(meter: Meter, all_met: asyncio.Barrier) -> None:
    """Meet the device, and poll it once all were met or that took too long: then one streams record has them all."""
    await meter.step(0)
    with contextlib.suppress(TimeoutError, asyncio.BrokenBarrierError):
        await asyncio.wait_for(all_met.wait(), MEET_S)
    await meter.run()
