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
from wattboard.window import Window

FIRMWARE = "0.1.0"
LOG_ROOT = "/log"


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
        print("wattness: stopped; the watchdog resets the board in %d min" % (hal.REPL_WATCHDOG_MS // 60000))


def _wires(settings):
    """Return the meter's bus and the radio, each only where a stream needs it: the radio takes much room."""
    radio = None
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
    health = Health(settings["health_ms"], supervise.last_words(), log, clock, state)
    periods_ms = [stream["period_ms"] for stream in settings["streams"]]
    meter = Meter(devices, periods_ms, recorder, health, supervisor.beat)
    window = Window(log, book)
    uplink = Uplink(settings, key.kid, window, health, supervisor.beat)
    commands = Commands(state, log, meter, health)

    def acknowledged(seq, unix_ms):
        _, fresh = window.acknowledged(seq, hal.real_ms())
        if fresh:
            clock.acknowledged(unix_ms, hal.uptime_ms())

    def sealed():
        book.confirm(log, settings["gateway"])  # before anything of a new log can leave
        uplink.kick()

    recorder.on_frame = sealed
    uplink.on_ack, uplink.on_command, uplink.on_time = acknowledged, commands.take, clock.heard
    tasks = [("meter", meter.run()), ("uplink", uplink.run())]
    if radio is not None and _room_for_radio(settings, health):
        tasks.extend(radio.tasks(supervisor.beat))
    await supervisor.run(tasks)


def _room_for_radio(settings, health):
    """Tell whether the radio may begin beside Wi-Fi and TLS; without it the board goes on with its other streams."""
    uses = ("ble", "wifi", "tls") if settings["mqtt"].get("tls") else ("ble", "wifi")
    with Loan("wattboard.preflight") as preflight:
        reason = preflight.refusal(uses, hal.idf_heap(), health)
    if reason is not None:
        print("radio:", reason)
    return reason is None
