"""What `board doctor` prints for people."""

import time
from typing import Any

import typer

HEAP_LOW_BYTES = 20_000
FLASH_LOW_SHARE = 0.1
RSSI_LOW_DBM = -80
YEAR_SET = 2024


def show(found: dict[str, Any]) -> None:
    """Print the findings, a line each; what needs seeing to begins with an exclamation mark."""
    for good, what, text in (*_software(found), *_resources(found), *_surroundings(found)):
        typer.echo(f"{' ' if good else '!'} {what:<10} {text}")


Lines = list[tuple[bool, str, str]]


def _software(found: dict[str, Any]) -> Lines:
    lines: Lines = [(True, "board", f"{found['machine']}, MicroPython {found['micropython']}")]
    if not found["program"]:
        return [*lines, (False, "program", "none: put it there with `wattness board install`")]
    lines.append((True, "program", f"{found['program']} from {found.get('place', '?')}"))
    key = found["public_key"]
    lines.append((bool(key), "key", f"{key[:20]}…" if key else "none: `wattness board enrol` makes one"))
    config = found["config"]
    words = {"good": f"good, {len(found['streams'])} streams", "none": "none: `wattness board enrol` makes one"}
    lines.append((config == "good", "config", words.get(config, str(config))))
    return lines


def _resources(found: dict[str, Any]) -> Lines:
    free, flash_free = found["heap_free_bytes"], found["flash_free_bytes"]
    lines: Lines = [(free >= HEAP_LOW_BYTES, "heap", f"{free} bytes free of {found['heap_bytes']}")]
    if found["idf_heap"] is not None:
        total, largest = sum(each[0] for each in found["idf_heap"]), max(each[1] for each in found["idf_heap"])
        lines.append((True, "IDF heap", f"{total} bytes free, {largest} in one piece"))
    full = 100 * (found["flash_bytes"] - flash_free) // max(1, found["flash_bytes"])
    log = f"{full} % of {found['flash_bytes']} bytes, the log has {found['log_bytes']}"
    lines.append((flash_free >= FLASH_LOW_SHARE * found["flash_bytes"], "flash", log))
    return lines


def _surroundings(found: dict[str, Any]) -> Lines:
    rssi = found["rssi_dbm"]
    wifi = f"joined, {found['address']}, {rssi} dBm" if found["wifi_joined"] else "not joined"
    strong = found["wifi_joined"] and (rssi is None or rssi >= RSSI_LOW_DBM)
    lines: Lines = [(strong, "Wi-Fi", wifi), (True, "clock", _clock(found["utc"]))]
    bus = found["bus"]
    where = f"UART {bus['uart']}, {bus['baud']} baud, TX {bus['tx']}, RX {bus['rx']}"
    lines.append((bool(found["units"]), "bus", f"{where}: {len(found['units']) or 'no'} units answer"))
    lines.extend(_unit(each) for each in found["units"])
    return lines + _ble(found["ble"])


def _unit(unit: dict[str, Any]) -> tuple[bool, str, str]:
    if not unit["profiles"]:
        return False, "", f"unit {unit['unit']}: no profile fits; see `wattness profile list`"
    best, *others = unit["profiles"]
    shown = ", ".join(f"{name} {value}" for name, value in best["shown"].items())
    also = f"; or {', '.join(each['profile'] for each in others)}" if others else ""
    return True, "", f"unit {unit['unit']}: {best['profile']} ({best['title']}{also}) {shown}".rstrip()


def _ble(found: list[dict[str, Any]] | str | None) -> Lines:
    if found is None:
        return [(True, "Bluetooth", "not scanned, or no radio")]
    if isinstance(found, str):
        return [(False, "Bluetooth", found)]
    lines: Lines = [(True, "Bluetooth", f"{len(found)} devices")]
    for each in found:
        name = each["name"] or ("Victron" if each["victron"] else "without a name")
        lines.append((True, "", f"{each['address']} {each['rssi_dbm']} dBm {name}"))
    return lines


def _clock(utc: list[int]) -> str:
    if utc[0] < YEAR_SET:
        return "the chip's own is not set; the program takes its time from the gateway"
    now = "%04d-%02d-%02d %02d:%02d:%02d" % tuple(utc)  # noqa: UP031 - a tuple of six
    return f"the chip's own shows {now} UTC, this machine {time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime())}"
