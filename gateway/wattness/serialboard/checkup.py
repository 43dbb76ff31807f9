"""A look into a board over its REPL: memory, flash, Wi-Fi, clock, program and Bluetooth; nothing is written."""

from typing import Any

from .repl import Repl

BLE_MS = 5000
BLE_MAX = 40
CHECK = """
import gc, os, json, sys, time, machine, network
gc.collect()
f = {"heap_free_bytes": gc.mem_free(), "heap_bytes": gc.mem_free() + gc.mem_alloc()}
f["micropython"] = ".".join([str(n) for n in sys.implementation[1][:3]])
f["machine"] = getattr(sys.implementation, "_machine", sys.platform)
f["up_ms"], f["utc"], f["reset_cause"] = time.ticks_ms(), list(time.gmtime()[:6]), machine.reset_cause()
try:
    import esp32
    f["idf_heap"] = [[r[1], r[2]] for r in esp32.idf_heap_info(esp32.HEAP_DATA)]
except (ImportError, AttributeError): f["idf_heap"] = None
w = network.WLAN(network.WLAN.IF_STA)
f["wifi_active"], f["wifi_joined"], f["rssi_dbm"], f["address"] = bool(w.active()), bool(w.isconnected()), None, None
if f["wifi_joined"]:
    try: f["rssi_dbm"], f["address"] = w.status("rssi"), w.ifconfig()[0]
    except (OSError, ValueError, TypeError, AttributeError): pass
s = os.statvfs("/")
f["flash_bytes"], f["flash_free_bytes"] = s[0] * s[2], s[0] * s[3]
def size(path):
    try: found = list(os.ilistdir(path))
    except OSError: return 0
    return sum([size(path + "/" + e[0]) if e[1] == 0x4000 else (e[3] if len(e) > 3 else 0) for e in found])
f["log_bytes"] = size("/log")
f["program"] = f["config"] = f["public_key"] = None
f["streams"], f["bus"] = [], None
try:
    try: from wattboard.version import FIRMWARE
    except ImportError: from wattboard.program import FIRMWARE
    import wattboard
    f["program"], f["place"] = FIRMWARE, wattboard.__file__ if hasattr(wattboard, "__file__") else "?"
except ImportError as e: f["program_error"] = str(e)
if f["program"]:
    from wattboard import config, keys, hal
    from wattboard.errors import ConfigError
    from wattboard.state import State
    k = keys.load(State(hal.nvs()))
    f["public_key"] = None if k is None else k.public.hex()
    try:
        c = config.load()
        f["config"] = "none" if c is None else "good"
        if c is not None: f["streams"], f["bus"] = c["streams"], c.get("bus")
        for each in f["streams"]: each.pop("ble", None)
    except ConfigError as e: f["config"] = str(e)
print(json.dumps(f))
"""
# The irq only copies; names are made of the adverts afterwards. NimBLE beside Wi-Fi needs room, or the chip panics.
BLE = """
import asyncio, json
def scan():
    try: import bluetooth
    except ImportError: return None
    try:
        from wattboard import hal, preflight
        regions = hal.idf_heap()
        lack = None if regions is None else preflight.short(("ble", "wifi"), regions)
        if lack: return lack
    except ImportError: pass
    seen = {}
    def irq(event, data):
        if event == 5 and (len(seen) < MAX or bytes(data[1]) in seen):
            key = bytes(data[1])
            old = seen.get(key, (0, b""))
            seen[key] = (data[3], old[1] + bytes(data[4]) if len(old[1]) < 62 else old[1])
    async def run():
        ble = bluetooth.BLE()
        was = ble.active()
        ble.active(True)
        ble.irq(irq)
        ble.gap_scan(MS, 30000, 30000, True)
        await asyncio.sleep_ms(MS + 300)
        ble.irq(lambda event, data: None)
        if not was: ble.active(False)
    asyncio.new_event_loop()  # the interrupted program's tasks must not go on
    try: asyncio.run(run())
    except OSError as e: return "the radio cannot be switched on: %s" % e
    return [[key.hex(), each[0], each[1].hex()] for key, each in seen.items()]
print(json.dumps(scan()))
""".replace("MAX", str(BLE_MAX)).replace("MS", str(BLE_MS))
NAME_TYPES = (8, 9)
VENDOR_TYPE = 0xFF
VICTRON = 0x02E1


def check(repl: Repl) -> dict[str, Any]:
    """Return the board's facts by name; raises BoardError."""
    found: dict[str, Any] = repl.ask(CHECK, 60)
    return found


def ble_scan(repl: Repl) -> list[dict[str, Any]] | str | None:
    """Return the devices on the air, None without a radio, or in words why it was not tried; raises BoardError."""
    found = repl.ask(BLE, BLE_MS / 1000 + 30)
    if found is None or isinstance(found, str):
        return found
    devices = [_device(*each) for each in found]
    return sorted(devices, key=lambda each: -int(each["rssi_dbm"]))


def _device(address: str, rssi_dbm: int, advert: str) -> dict[str, Any]:
    fields = _fields(bytes.fromhex(advert))
    name = next((data.decode(errors="replace") for kind, data in fields if kind in NAME_TYPES), "")
    vendors = [int.from_bytes(data[:2], "little") for kind, data in fields if kind == VENDOR_TYPE and len(data) > 1]
    shown = "".join(each for each in name if each.isprintable())
    pretty = ":".join(address[at : at + 2] for at in range(0, len(address), 2))
    return {"address": pretty, "rssi_dbm": rssi_dbm, "name": shown, "victron": VICTRON in vendors}


def _fields(advert: bytes) -> list[tuple[int, bytes]]:
    """Cut an advert into (type, data); a length that leads out of it ends it."""
    fields = []
    at = 0
    while at + 1 < len(advert) and advert[at] and at + 1 + advert[at] <= len(advert):
        fields.append((advert[at + 1], advert[at + 2 : at + 1 + advert[at]]))
        at += 1 + advert[at]
    return fields
