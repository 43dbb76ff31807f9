"""The board's program: wires the parts and runs them."""

import asyncio  # noqa: I001 - the largest of ours comes first, while there is room in one piece
import gc

from wattboard.uplink import Uplink
from wattboard import hal, supervise
from wattboard.bus import Bus
from wattboard.clock import Clock
from wattboard.commands import Commands
from wattboard.device import Device
from wattboard.health import Health
from wattboard.loan import Loan
from wattboard.logbook import Logbook
from wattboard.meter import Meter
from wattboard.recorder import Recorder, Witness
from wattboard.version import FIRMWARE
from wattboard.window import Window

LOG_ROOT = "/log"
ORDINARY = 1 << 7  # the boot word of a start that tries nothing (wattboot/word.py)
SURVIVED_MS = 300000  # so long alive, a start without a network is no bad one


def start(settings, known, key, state):
    """Run the board; `known` is what `catalog` read for each stream. Returns only by Ctrl-C; raises ConfigError."""
    bus, radio = _wires(settings)
    devices = []
    for index, each in enumerate(settings["streams"]):
        if "ble" in each:
            devices.append(radio.add(each, known[index], bus))
        else:
            devices.append(Device(each, known[index], bus, "$.streams[%d]" % index))
    del known[:]  # the caller's list, too: bound profiles are what the devices hold
    gc.collect()
    try:
        asyncio.run(run(settings, key, state, devices, radio))
    except KeyboardInterrupt:
        hal.watchdog(hal.REPL_WATCHDOG_MS)
        _trial("excuse", state)
        print("wattness: stopped; the watchdog resets the board in %d min" % (hal.REPL_WATCHDOG_MS // 60000))


def _wires(settings):
    """Return the meter's bus and the radio, each only where a stream needs it: the radio takes much room."""
    radio = None
    if not settings["streams"]:
        return None, None  # safe mode
    if [each for each in settings["streams"] if "ble" in each]:
        from wattboard.radio import NoBus, Radio  # noqa: PLC0415 - see above

        radio = Radio()
        if "bus" not in settings:
            return NoBus(), radio
    bus = Bus(hal.uart(settings["bus"]), settings["bus"]["baud"], hal.output(settings["bus"].get("de")))
    return bus, radio


async def run(settings, key, state, devices, radio):
    """Run the board; returns only by a reset."""
    supervisor = supervise.Supervisor(hal.watchdog(), supervise.STALLED_MS)
    boot = state.next_boot()
    book = Logbook(LOG_ROOT, state, hal.log_limit_bytes(LOG_ROOT))
    log, previous = book.open(settings["gateway"])
    clock = Clock(settings["clock_step_ms"])
    about = {"model": hal.machine_name(), "firmware": FIRMWARE}
    recorder = Recorder(log, clock, Witness(key, boot, settings["gateway"], about), settings["frame_ms"])
    recorder.previous = previous
    health = Health(settings["health_ms"], _begun(boot), log, clock, state)
    meter = _meter(settings, devices, recorder, health, supervisor.beat)
    if state.word() != ORDINARY:
        _trial("tell", state, health)
    window = Window(log, book)
    uplink = Uplink(settings, key.kid, window, health, supervisor.beat)
    commands = Commands(state, log, meter, health)

    proof = Proof(state, log, health)

    def acknowledged(seq, unix_ms):
        _, fresh = window.acknowledged(seq, hal.real_ms())
        proof.acknowledged(window.log, seq)
        if fresh:
            clock.acknowledged(unix_ms, hal.uptime_ms())

    def sealed():
        book.confirm(log, settings["gateway"])  # before anything of a new log can leave
        uplink.kick()

    recorder.on_frame = sealed
    uplink.on_ack, uplink.on_command, uplink.on_time = acknowledged, commands.take, clock.heard
    uplink.want = commands.want
    asyncio.create_task(proof.survive())  # noqa: RUF006 - the scheduler keeps it
    tasks = [("meter", meter.run()), ("uplink", uplink.run())]
    if radio is not None and _room_for_radio(settings, health):
        tasks.extend(radio.tasks(supervisor.beat))
    if "led" in settings:
        tasks.append(("lamp", _lamp(settings["led"], meter, log, uplink).run(supervisor.beat)))
    await supervisor.run(tasks)


class Proof:
    """What shows that this start is a good one: the gateway has a frame of it, or it has lived for long enough."""

    def __init__(self, state, log, health):
        self._state = state
        self._log = log
        self._last = log.last  # of the start before
        self._health = health

    def acknowledged(self, log, seq):
        """Note that the gateway has the frames of `log` up to `seq`; the first one of this start keeps its trial."""
        if log is self._log and seq > self._last:
            self._log = None
            self._settle("keep")

    def _settle(self, how):
        if self._state.word() == ORDINARY:
            self._state.set_word(0)  # without the names of `trial`, which a chip would keep for ever
        else:
            _trial(how, self._state)
            _trial("tell", self._state, self._health)

    async def survive(self):
        """Wait until a start without a network is no bad one either."""
        await asyncio.sleep_ms(SURVIVED_MS)
        if self._log is not None:
            self._settle("survive")


def _lamp(led, *watched):
    from wattboard.lamp import Lamp  # noqa: PLC0415 - of no use to a board without one

    return Lamp(hal.output(led["pin"]), led.get("low", False), *watched)


def _begun(boot):
    with Loan("wattboard.boots") as boots:
        return boots.begun(boot)


def _trial(name, *given):
    with Loan("wattboard.trial") as trial:
        getattr(trial, name)(*given)


def _meter(settings, devices, recorder, health, beat):
    """Return the meter, or what stands in its place in safe mode."""
    health.tell("config_refused", settings.get("refused"))
    health.tell("release_key_differs", None if settings["pinned"] else 1)
    if devices:
        periods_ms = [stream["period_ms"] for stream in settings["streams"]]
        return Meter(devices, periods_ms, recorder, health, beat)
    from wattboard.safe import NoMeter  # noqa: PLC0415 - of no use otherwise

    return NoMeter(recorder, health, beat)


def _room_for_radio(settings, health):
    """Tell whether the radio may begin beside Wi-Fi and TLS; without it the board goes on with its other streams."""
    uses = ("ble", "wifi", "tls") if settings["mqtt"].get("tls") else ("ble", "wifi")
    with Loan("wattboard.preflight") as preflight:
        reason = preflight.refusal(uses, hal.idf_heap(), health)
    if reason is not None:
        print("radio:", reason)
    return reason is None
