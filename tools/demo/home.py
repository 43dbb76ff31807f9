"""The house of the demo: the reward network and the gateway, each a process, driven only from outside."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import aiohttp

from civilclock import Clock
from demo.processes import DemoError, Process, free_ports, run

READY_S = 90.0
EPOCH_S = 1800
GRACE_S = 120
CHALLENGE_DEADLINE_S = 3600
INTERVAL_S = 300

_CONFIG = """
[mqtt]
listen = "{host}:{mqtt}"

[web]
listen = "127.0.0.1:{page}"

[interval]
length_s = {interval_s}

[clock]  # simulated, for the demo only
real_ms = {clock.real_ms}
civil_ms = {clock.civil_ms}
rate = {clock.rate}
"""

_NETWORK = """
[[network]]
name = "wattnet"
kind = "wattnet"
url = "{network}"
"""


class Home:
    """Gateway and network in `folder`, on a shared clock."""

    def __init__(self, folder: Path, clock: Clock, *, paid: bool = True, page_port: int | None = None) -> None:
        """Without `paid` there is no network, and the gateway reports to nobody."""
        self.folder, self.clock, self.paid = folder, clock, paid
        self.home = folder / "gateway"
        page, self.mqtt_port, network, sandboxes = free_ports(4)
        self.page = f"http://127.0.0.1:{page_port or page}"
        self.network = f"http://127.0.0.1:{network}"
        self.sandboxes = f"http://127.0.0.1:{sandboxes}"
        self.mqtt_host = "127.0.0.1"  # where its broker listens for boards
        self.processes: list[Process] = []
        self.token = ""
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))

    @property
    def _clock(self) -> str:
        return f"{self.clock.real_ms},{self.clock.civil_ms},{self.clock.rate}"

    @property
    def door(self) -> str:
        """The page's address that logs in by itself; the part behind # is sent to nobody."""
        return f"{self.page}/#token={self.token}"

    async def start(self) -> None:
        """Make the gateway's home and key, start network and gateway, return when both answer."""
        if self.paid:
            await self.start_network()
        await self.make_gateway()
        await self.start_gateway()

    async def start_network(self) -> None:
        """Start the reward network, return when it answers."""
        self._spawn(
            "network", "-m", "wattnet", "serve", "--db", str(self.folder / "wattnet.db"), "--listen", self.network[7:],
            "--clock", self._clock, "--epoch-s", str(EPOCH_S), "--grace-s", str(GRACE_S),
            "--challenge-deadline-s", str(CHALLENGE_DEADLINE_S),
        )  # fmt: skip
        await self._answers(f"{self.network}/v1/summary")

    async def make_gateway(self) -> None:
        """Make the gateway's folder, configuration and key."""
        await self.wattness("init")
        page = self.page.rpartition(":")[2]
        config = _CONFIG.format(
            host=self.mqtt_host, mqtt=self.mqtt_port, page=page, interval_s=INTERVAL_S, clock=self.clock
        )
        network = _NETWORK.format(network=self.network) if self.paid else ""
        (self.home / "gateway.toml").write_text(config + network)
        await self.wattness("key", "new")
        self.token = (await self.wattness("token", "show")).strip()

    async def start_gateway(self) -> Process:
        """Start the gateway, return when it answers."""
        process = self._spawn("gateway", "-m", "wattness", "--home", str(self.home), "run")
        await self._answers(f"{self.page}/api/v1/status")
        return process

    async def restart_gateway(self) -> None:
        """Stop the gateway in peace and start it again."""
        process = next(process for process in self.processes if process.name == "gateway")
        await process.stop()
        self.processes.remove(process)
        await self.start_gateway()

    async def start_sandboxes(self, keys: dict[str, str]) -> dict[str, Any]:
        """Start the sandboxes of these kinds, which know the gateway by these keys; returns their counts."""
        file = self.folder / "networks.json"
        file.write_text(json.dumps(keys))
        self._spawn(
            "sandboxes", "-m", "emulator.networks", "--keys", str(file), "--listen", self.sandboxes[7:],
            "--clock", self._clock,
        )  # fmt: skip
        await self._answers(self.sandboxes)
        return await self.sandbox_counts()

    async def sandbox_counts(self) -> dict[str, Any]:
        """Ask the sandboxes what they have taken."""
        return dict(await self._get(self.sandboxes))

    def kill_gateway(self) -> None:
        """Take the gateway away with SIGKILL."""
        process = next(process for process in self.processes if process.name == "gateway")
        process.kill()
        self.processes.remove(process)

    async def stop(self) -> None:
        """Stop both; the gateway first, so that it can say goodbye."""
        await self._session.close()
        for process in reversed(self.processes):
            await process.stop()

    async def wattness(self, *arguments: str) -> str:
        """Run the gateway's command line."""
        command = [sys.executable, "-m", "wattness", "--home", str(self.home), *arguments]
        return await run(command, f"`wattness {' '.join(arguments[:2])}`")

    async def get(self, path: str) -> Any:
        """Ask the gateway's API."""
        return await self._get(f"{self.page}/api/v1/{path}")

    async def enrol(self, public_key: str, name: str, secret: Path) -> dict[str, Any]:
        """Enrol a board; returns its part of the configuration, which is also in the file `secret`."""
        await self.wattness("board", "enrol", public_key, "--name", name, "--out", str(secret))
        return dict(json.loads(secret.read_text()))

    async def summary(self) -> dict[str, Any]:
        """Ask the network for its counts."""
        return dict(await self._get(f"{self.network}/v1/summary"))

    async def intervals(self) -> list[dict[str, Any]]:
        """Return every final interval that the gateway holds, through its export."""
        lines = (await self.wattness("export", "intervals")).splitlines()
        return [json.loads(line) for line in lines]

    async def _get(self, url: str) -> Any:
        for process in self.processes:
            process.require_alive()
        headers = {"Authorization": f"Bearer {self.token}"} if url.startswith(f"{self.page}/") else {}
        async with self._session.get(url, headers=headers) as answer:
            if answer.status != 200:
                raise DemoError(f"{url} answered {answer.status}: {(await answer.text())[:200]}")
            return await answer.json()

    async def _answers(self, url: str) -> None:
        async with asyncio.timeout(READY_S):
            while True:
                try:
                    await self._get(url)
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(0.1)
                else:
                    return

    def _spawn(self, name: str, *arguments: str) -> Process:
        process = Process(name, [sys.executable, *arguments], self.folder / f"{name}.log")
        self.processes.append(process)
        return process
