"""The board's configuration: what the gateway knows, what the owner says, and what the board already has."""

import binascii
import getpass
import json
import sys
from pathlib import Path
from typing import Any

from wattness.errors import ConfigError
from wattness.private import read_private, write_private
from wattness.profiles import bundled_profile

from .bus import Wiring
from .port import BoardError
from .repl import OnBoardError, Repl

ROLES = ("pv", "battery", "grid", "load", "charger")
PERIOD_MS = 10_000
SUNSPEC = "sunspec"
CA_PATH = "/ca.pem"
KEY = """
from wattboard import keys, hal
from wattboard.state import State
%s
keys.show()
"""
MAKE = "if keys.load(State(hal.nvs())) is None: keys.make()"
READ = """
import json
try:
    with open("/config.json") as file: print(json.dumps(json.load(file)))
except (OSError, ValueError): print("{}")
"""
STORE = """
from binascii import a2b_base64
from wattboard import catalog, config
text = a2b_base64(%r).decode()
for n, each in enumerate(config.parse(text)["streams"]): catalog.read(each, "$.streams[%%d]" %% n)
config.store(text)
"""
KEPT = ("wifi", "bus", "ntp", "frame_ms", "health_ms", "clock_step_ms")


def public_key(repl: Repl) -> str:
    """Return the board's public key in hex, made there if there was none; raises BoardError."""
    try:
        return str(repl.ask(KEY % MAKE, 60)["public_key"])
    except OnBoardError as error:
        if error.kind == "ImportError":
            raise BoardError(
                f"The board has no Wattness program: put it there with `wattness board install {repl.port}`."
            ) from None
        raise


def held(repl: Repl) -> dict[str, Any]:
    """Return the configuration that is on the board, or {}: what is known is not asked again."""
    found = repl.ask(READ)
    return found if isinstance(found, dict) else {}


def store(repl: Repl, settings: dict[str, Any], ca: bytes | None = None) -> None:
    """Have the board check the configuration and put it in the place of the old one; raises BoardError."""
    if ca is not None:
        repl.run(f"with open({CA_PATH!r}, 'wb') as f: f.write({ca!r})")
    text = binascii.b2a_base64(json.dumps(settings).encode(), newline=False)
    try:
        repl.run(STORE % text, 60)
    except OnBoardError as error:
        if error.kind == "ConfigError":
            raise BoardError(
                f"The board refuses this configuration: {error.detail}; it keeps the one it has."
            ) from None
        raise


def merged(
    gateway: dict[str, Any],
    old: dict[str, Any],
    wifi: dict[str, str],
    wiring: Wiring | None,
    streams: list[dict[str, Any]],
) -> dict[str, Any]:
    """Return the whole configuration: the gateway's part, the owner's, and of the old one what nobody named anew."""
    settings = {**{key: old[key] for key in KEPT if key in old}, **gateway, "wifi": wifi}
    settings["streams"] = streams or old.get("streams", [])
    if wiring is not None or "bus" not in settings:
        given = (wiring or Wiring())._asdict()
        settings["bus"] = {key: value for key, value in given.items() if value is not None}
    return settings


def parse_stream(text: str) -> dict[str, Any]:
    """Read `role:profile:unit[:rated W][:inverted]`; raises ConfigError."""
    parts = text.split(":")
    inverted = parts[-1] == "inverted" and bool(parts.pop())
    if len(parts) not in {3, 4} or not all(part.isdigit() for part in parts[2:]):
        raise ConfigError(
            f"{text!r} is not ROLE:PROFILE:UNIT or ROLE:PROFILE:UNIT:RATED_W, e.g. grid:eastron_sdm630:1."
        )
    role, name, unit = parts[0], parts[1], int(parts[2])
    if role not in ROLES:
        raise ConfigError(f"{text!r}: the role must be one of {', '.join(ROLES)}.")
    if not 1 <= unit <= 247:
        raise ConfigError(f"{text!r}: the unit must be 1 to 247.")
    if name != SUNSPEC:
        bundled_profile(name, role)
    stream: dict[str, Any] = {"role": role, "profile": name, "unit": unit, "period_ms": PERIOD_MS}
    stream |= {"rated_w": int(parts[3])} if len(parts) == 4 else {}
    return stream | ({"inverted": True} if inverted else {})


def parse_bus(text: str) -> Wiring:
    """Read `uart,baud,tx,rx[,de]`; raises ConfigError."""
    parts = text.split(",")
    if len(parts) not in {4, 5} or not all(part.strip().isdigit() for part in parts):
        raise ConfigError(f"{text!r} is not UART,BAUD,TX,RX or UART,BAUD,TX,RX,DE, e.g. 1,9600,17,16.")
    return Wiring(*map(int, parts))


def wiring_of(bus: dict[str, Any] | None) -> Wiring | None:
    """Return the wiring in a board's configuration, or None."""
    known = {key: value for key, value in (bus or {}).items() if key in Wiring._fields}
    return Wiring(**known) if known else None


def wifi(file: Path | None, old: dict[str, Any]) -> dict[str, str]:
    """Return SSID and password: from the file, else from the board, else asked for; what was asked goes to the file."""
    if file is not None and file.exists():
        return _wifi_in(file)
    if file is None and old.get("wifi"):
        return dict(old["wifi"])
    asked = _asked()
    if file is not None:
        write_private(file, json.dumps(asked) + "\n")
    return asked


def _asked() -> dict[str, str]:
    if not sys.stdin.isatty():
        raise ConfigError(
            "Nobody can be asked for the Wi-Fi here: name a file of mode 0600 that holds "
            '{"ssid": "…", "password": "…"} with --wifi.'
        )
    return {"ssid": input("Wi-Fi name (SSID): "), "password": getpass.getpass("Wi-Fi password (not shown): ")}


def _wifi_in(file: Path) -> dict[str, str]:
    shape = f'{file} must hold {{"ssid": "…", "password": "…"}}.'
    try:
        found = json.loads(read_private(file))
    except ValueError:
        raise ConfigError(shape) from None
    if not isinstance(found, dict) or "ssid" not in found or not set(found) <= {"ssid", "password"}:
        raise ConfigError(shape)
    if not all(isinstance(value, str) for value in found.values()):
        raise ConfigError(shape)
    return found
