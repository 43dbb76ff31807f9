"""The boards' brokers, real ones, for every test that needs one."""

import asyncio
import gc
import getpass
import os
import random
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

from emulator.networks import RECURSION_MAX
from wattness.broker import Broker
from wattness.model import Endpoint, Login

# As for the firmware's parsers: `make nightly` asks for longer.
settings.register_profile("parsers", max_examples=int(os.environ.get("PARSER_EXAMPLES", "250")), deadline=None)
BOARDS = [Login("aa" * 8, "password of a"), Login("bb" * 8, "password of b")]
MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def pytest_collection_finish():
    """Spare collections the modules and tests of a whole run: boards' code, for one, asks for many of them."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _recursion_is_an_error():
    """Undo what eth-account's py_ecc does on being imported: deep JSON would overflow the stack, and end all tests."""
    sys.setrecursionlimit(RECURSION_MAX)


def free_port():
    """A port that nobody uses, below those that the kernel gives to outgoing connections."""
    while True:
        port = random.randrange(15_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


class Mosquitto:
    """An external broker as an operator would set it up: a login per board, own topics only."""

    def __init__(self, folder: Path, *, tls: bool = False) -> None:
        if MOSQUITTO is None:
            pytest.skip("MOSQUITTO IS NOT INSTALLED: the gateway was not tested against it")
        self.folder, self.process = folder, None
        self.endpoint = Endpoint(
            "localhost" if tls else "127.0.0.1", free_port(), "gateway", "password of gateway", tls
        )
        folder.mkdir(exist_ok=True)
        certificate = ["cafile ca.pem", "certfile broker.pem", "keyfile broker.key"] if tls else []
        lines = [f"user {getpass.getuser()}", "allow_anonymous false", "password_file passwords", "acl_file acl"]
        lines += [f"listener {self.endpoint.port} 127.0.0.1", *certificate]
        (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")
        (folder / "acl").write_text(
            "user gateway\ntopic readwrite wattness/#\n\n"
            "pattern write wattness/1/%u/frame\npattern write wattness/1/%u/state\n"
            "pattern read wattness/1/%u/ack\npattern read wattness/1/%u/cmd\n"
        )
        self.admit(BOARDS)

    def admit(self, logins):
        users = [*logins, Login("gateway", "password of gateway")]
        file = self.folder / "passwords"
        file.write_text("".join(f"{user}:{password}\n" for user, password in users))
        file.chmod(0o600)
        subprocess.run(["mosquitto_passwd", "-U", str(file)], check=True)

    async def start(self):
        assert MOSQUITTO is not None
        command = [MOSQUITTO, "-c", "mosquitto.conf"]
        quiet = asyncio.subprocess.DEVNULL
        self.process = await asyncio.create_subprocess_exec(*command, cwd=self.folder, stdout=quiet, stderr=quiet)
        for _ in range(500):
            try:
                _, writer = await asyncio.open_connection(self.endpoint.host, self.endpoint.port)
            except OSError:
                await asyncio.sleep(0.01)
            else:
                writer.close()
                await writer.wait_closed()
                return
        pytest.fail("mosquitto did not start")

    async def stop(self):
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()

    async def kill_and_restart(self):
        await self.stop()
        await self.start()

    async def __aenter__(self):
        await self.start()
        return self

    async def __aexit__(self, *_):
        await self.stop()


class Nats(Broker):
    """Our own broker with the handles that the tests pull."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, f"127.0.0.1:{free_port()}", BOARDS)

    async def __aenter__(self):
        await super().__aenter__()
        self.supervisor = asyncio.create_task(self.supervise())
        return self

    async def __aexit__(self, *_):
        self.supervisor.cancel()
        await asyncio.wait([self.supervisor])
        await super().__aexit__()

    async def kill_and_restart(self):
        restarts = self.restarts
        self._process.kill()
        while self.restarts == restarts:
            await asyncio.sleep(0.01)


@pytest.fixture
async def nats(tmp_path):
    async with Nats(tmp_path / "broker") as broker:
        yield broker


@pytest.fixture(params=[Nats, Mosquitto])
async def any_broker(request, tmp_path):
    """Each broker that the gateway works with."""
    async with request.param(tmp_path / "broker") as broker:
        yield broker


@pytest.fixture
def mosquitto(tmp_path):
    """Make a mosquitto, with TLS if asked; it starts with `async with`."""
    return lambda **options: Mosquitto(tmp_path / "mosquitto", **options)


@pytest.fixture
def port():
    """A port that nobody uses."""
    return free_port()


@pytest.fixture
def free_ports():
    """Give as many different ports that nobody uses as are asked for."""

    def give(count):
        ports: set[int] = set()
        while len(ports) < count:
            ports.add(free_port())
        return sorted(ports)

    return give
