"""The only module that touches the hardware's modules: time, UART, Wi-Fi, watchdog, NVS, memory and flash figures."""

import asyncio
import gc
import os
import socket
import time
from binascii import a2b_base64

import esp32
import machine
import network

RATE = getattr(time, "RATE", 1)  # an emulated board's clock may run faster than its ticks
WATCHDOG_MS = 30000
REPL_WATCHDOG_MS = 1800000
LOG_PERCENT = 95  # of the flash that nothing but logs needs, for each segment's last block is not full
RESERVE_BYTES = 81920  # for the file system to work with
SLOTS = ("/slot_a", "/slot_b")  # of programs that came by air
SLOTS_BYTES = 2 * 229376  # kept free for them
SLEEP_MAX_MS = 3600000
WIFI_TIMEOUT_MS = 20000
DATAGRAM_BYTES = 128
PEM_BEGIN = b"-----BEGIN CERTIFICATE-----"
RESET_CAUSES = {
    machine.PWRON_RESET: "power",
    machine.HARD_RESET: "hard",
    machine.WDT_RESET: "watchdog",
    machine.DEEPSLEEP_RESET: "deepsleep",
    machine.SOFT_RESET: "soft",
}

_START_NS = time.time_ns()


def uptime_ms():
    """Return the ms since boot; 64 bit, never wraps."""
    return (time.time_ns() - _START_NS) // 1000000


def real_ms():
    """Return the ms since boot by which I/O time-outs are measured; never wraps."""
    return (time.time_ns() - _START_NS) // (1000000 * RATE)


async def sleep_until(up_ms, event):
    """Return at that uptime, or earlier when `event` is set."""
    while not event.is_set():
        wait_ms = -(-(up_ms - uptime_ms()) // RATE)
        if wait_ms <= 0:
            return
        try:
            await asyncio.wait_for_ms(event.wait(), min(wait_ms, SLEEP_MAX_MS))
        except asyncio.TimeoutError:
            pass


def set_rtc(unix_ms):
    """Set the chip's clock, by which TLS judges certificates; the uptime goes on as if nothing had happened."""
    global _START_NS  # noqa: PLW0603 - the chip has one clock
    up_ns = time.time_ns() - _START_NS
    date = time.gmtime(unix_ms // 1000 - _epoch_unix_s())
    machine.RTC().datetime((date[0], date[1], date[2], date[6], date[3], date[4], date[5], 0))
    _START_NS = time.time_ns() - up_ns


def _epoch_unix_s():
    return 946684800 if time.gmtime(0)[0] == 2000 else 0


async def ask_udp(host, port, data, timeout_ms):
    """Send one datagram and return the first that comes back; OSError when none does in time."""
    address = socket.getaddrinfo(host, port, 0, socket.SOCK_DGRAM)[0][-1]
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sender.setblocking(False)
        sender.sendto(data, address)
        deadline = real_ms() + timeout_ms
        while real_ms() < deadline:
            await asyncio.sleep_ms(10)
            try:
                return sender.recv(DATAGRAM_BYTES)
            except OSError:
                pass  # not yet
    finally:
        sender.close()
    raise OSError("no answer")


def nvs():
    """Return the board's NVS namespace."""
    return esp32.NVS("wattness")


def reset():
    """Start anew."""
    machine.reset()


def reset_cause():
    """Return why this boot happened, as a word."""
    return RESET_CAUSES.get(machine.reset_cause(), "unknown")


def machine_name():
    """Return what the board is, e.g. for a streams record."""
    return os.uname().machine if hasattr(os, "uname") else "MicroPython"


def watchdog(timeout_ms=WATCHDOG_MS):
    """Start the watchdog, or set its time anew; return it."""
    return machine.WDT(timeout=timeout_ms)


def uart(bus):
    """Return the UART of the meter bus, 8N1, which never blocks."""
    return machine.UART(bus["uart"], baudrate=bus["baud"], tx=bus["tx"], rx=bus["rx"], timeout=0, rxbuf=512)


def bluetooth():
    """Return the BLE radio, which is not on yet."""
    import bluetooth as port  # noqa: PLC0415 - of no use to most boards, and not on every one

    return port.BLE()


def aes_block(key, block):
    """Return one block in AES-128."""
    import cryptolib  # noqa: PLC0415 - as above

    return cryptolib.aes(key, 1).encrypt(block)


def output(pin):
    """Return an output pin that is low, or None without a number."""
    return None if pin is None else machine.Pin(pin, machine.Pin.OUT, value=0)


def random_bytes(count):
    """Return random bytes; the radio is on meanwhile, because the chip's generator feeds on its noise."""
    wlan = network.WLAN(network.WLAN.IF_STA)
    was_active = wlan.active()
    wlan.active(True)
    time.sleep_ms(100)
    data = os.urandom(count)
    wlan.active(was_active)
    return data


async def join_wifi(settings):
    """Return when the board has an address; OSError when it gets none in time."""
    wlan = network.WLAN(network.WLAN.IF_STA)
    if wlan.isconnected():
        return
    wlan.active(True)
    try:
        wlan.disconnect()
    except OSError:
        pass  # it was not connecting
    wlan.connect(settings["ssid"], settings.get("password", ""))
    deadline = real_ms() + WIFI_TIMEOUT_MS
    while not wlan.isconnected():
        if real_ms() > deadline:
            raise OSError("no Wi-Fi")
        await asyncio.sleep_ms(50)


def rssi_dbm():
    """Return the strength of the Wi-Fi signal, or None."""
    wlan = network.WLAN(network.WLAN.IF_STA)
    try:
        return wlan.status("rssi") if wlan.isconnected() else None
    except (OSError, ValueError, TypeError):
        return None


def heap_free_bytes():
    """Return how much of the heap is free."""
    return gc.mem_free()


def idf_heap():
    """Return (free bytes, largest free piece, least free ever) of the IDF's heap's regions, or None on another port."""
    if not hasattr(esp32, "idf_heap_info"):
        return None
    gc.collect()  # a heap that grew into the IDF's gives back what it does not need
    return [region[1:4] for region in esp32.idf_heap_info(esp32.HEAP_DATA)]


def flash_bytes(path="/"):
    """Return (size, free) of the file system."""
    figures = os.statvfs(path)
    free = figures[3] if figures[3] <= figures[2] else 0  # LittleFS counts a block twice sometimes, then wraps
    return figures[0] * figures[2], figures[0] * free


def log_limit_bytes(path):
    """Return how much room the logs in `path` may take: most of what is free or theirs, beside two programs by air."""
    room = flash_bytes()[1]
    slots = 0
    for slot in SLOTS:
        try:
            slots += os.stat(slot)[6]
        except OSError:
            pass  # an empty one
    try:
        for entry in os.ilistdir(path):
            for file in os.ilistdir(path + "/" + entry[0]):
                room += file[3] if len(file) > 3 else 0
    except OSError:
        pass  # there is no log yet
    room += slots
    # The same before an update and after it, for a log that was full must not be too long then.
    room -= max(slots, min(SLOTS_BYTES, room // 2)) + RESERVE_BYTES
    return max(0, room) * LOG_PERCENT // 100


def tls_context(ca_path):
    """Return a TLS context that demands a certificate of the CA in `ca_path` (PEM or DER); OSError without one."""
    import ssl  # noqa: PLC0415 - of no use to a board without TLS

    with open(ca_path, "rb") as file:
        data = file.read()
    if data.startswith(PEM_BEGIN):  # the port itself reads DER only
        data = a2b_base64(data.split(b"-----")[2])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_mode = ssl.CERT_REQUIRED  # type: ignore[attr-defined]  # the stubs forgot it
    try:
        context.load_verify_locations(cadata=data)
    except ValueError:
        raise OSError("no CA certificate in " + ca_path)
    return context
