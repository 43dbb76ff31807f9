"""Everything on at once: a year of ten devices behind, ten more read each second, and the page opened.

A proxy, Home Assistant's discovery, the site's sun and the history's process run too. The page is opened as a browser
opens it, one request after the other, so that what is told is the server's time and the way there, and no less.
"""

import asyncio
import json
import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import aiohttp
import psutil

from bench.sources import fields, give_devices
from bench.year import END_MS, make_year
from civilclock import Clock
from demo.home import Home
from demo.processes import free_ports
from wattness.profiles import bundled_profile

DEVICES, PROFILE = 10, "eastron_sdm630"
SETTLE_S = 8.0
SAMPLE_S = 0.2
VIEWS = 5

_MORE = """
[site]
latitude = 52.5
longitude = 13.4
timezone = "Europe/Berlin"

[[site.pv]]
tilt_deg = 30
azimuth_deg = 180

[homeassistant]
enabled = true

[[proxy]]
device = "meter 0"
listen = "127.0.0.1:{port}"
"""


class _View(NamedTuple):
    ms: float
    requests: int
    kilobytes: float


async def measure(*, quick: bool) -> dict[str, object]:
    """Return the memory of all processes of the gateway but the broker, and the time of the page's first view."""
    async with fields(DEVICES) as ports:
        with tempfile.TemporaryDirectory() as folder:
            home = Home(Path(folder), Clock(Clock().real_ms_now(), END_MS, 1), paid=True)
            try:
                await home.start_network()
                await home.make_gateway()
                rows = make_year(home.home / "wattness.db", minutes=not quick)
                await home.start_gateway()
                views = [await _open_page(home) for _ in range(VIEWS)]
                home.kill_gateway()
                memory = await _memory(home, ports, 20 if quick else 90)
            finally:
                await home.stop()
    return {
        "first_view_ms": round(views[0].ms, 1),
        "later_view_ms": round(min(view.ms for view in views), 1),
        "wanted_first_view_ms": 300,
        "requests": views[0].requests,
        "kilobytes": round(views[0].kilobytes),
        "aggregates_of_the_year": rows,
        "rss_mb": round(sum(memory.values()) / 1e6, 1),
        "wanted_rss_mb": 200,
        "rss_mb_by_process": {name: round(size / 1e6, 1) for name, size in memory.items()},
    }


async def _memory(home: Home, ports: Sequence[int], seconds: float) -> dict[str, int]:
    """Return the memory by process, with the devices and all the rest, while the page is opened again and again."""
    await give_devices(home, ports, [point.name for point in bundled_profile(PROFILE).points])
    with (home.home / "gateway.toml").open("a") as file:
        file.write(_MORE.format(port=free_ports(1)[0]))
    gateway = psutil.Process((await home.start_gateway()).pid)
    await asyncio.sleep(SETTLE_S)
    watching = asyncio.create_task(_watch(gateway, seconds))
    while not watching.done():
        await _open_page(home)
        await asyncio.sleep(1)
    return await watching


async def _watch(gateway: psutil.Process, seconds: float) -> dict[str, int]:
    """Return the resident memory of each process at the moment when their sum was highest, without the broker."""
    highest: dict[str, int] = {}
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found: dict[str, int] = {}
        for process in (gateway, *gateway.children(recursive=True)):
            try:
                name = _name(process.cmdline())
                found[name] = found.get(name, 0) + process.memory_info().rss
            except psutil.Error:  # it has ended meanwhile
                continue
        found.pop("broker", None)
        highest = max(highest, found, key=lambda one: sum(one.values()))
        await asyncio.sleep(SAMPLE_S)
    return highest


def _name(command: list[str]) -> str:
    if any("nats-server" in word for word in command):
        return "broker"
    return next((word for word in command if word.startswith("wattness")), "gateway")


async def _open_page(home: Home) -> _View:
    """Ask what a browser asks until everything is drawn, each time with a new cookie and without a cache."""
    spent = requests = size = 0.0
    async with aiohttp.ClientSession(home.page, cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:

        async def ask(method: str, path: str, **more: object) -> bytes:
            nonlocal spent, requests, size
            began = time.perf_counter()
            async with session.request(method, path, **more) as answer:  # type: ignore[arg-type]
                answer.raise_for_status()
                body = await answer.read()
            spent += time.perf_counter() - began
            requests += 1
            size += len(body) / 1000
            return body

        index = (await ask("GET", "/")).decode()
        for path in dict.fromkeys(re.findall(r'(?:href|src)="(/assets/[^"]+)"', index)):
            await ask("GET", path)
        await ask("POST", "/api/v1/login", json={"token": home.token}, headers={"Origin": home.page})
        began = time.perf_counter()
        async with session.get("/api/v1/events") as events:
            live = json.loads(await _first_event(events))
        spent += time.perf_counter() - began
        await ask("GET", "/api/v1/flow")
        now = live["status"]["now_unix_ms"]
        day = time.strftime("%Y-%m-%d", time.gmtime(now / 1000))
        for stream in live["streams"]:
            await ask("GET", f"/api/v1/streams/{stream['id']}/days?from={day}&to={day}")
            leading = stream["leading"] or {"name": "power"}
            since = now - 3_600_000
            await ask("GET", f"/api/v1/streams/{stream['id']}/rows?point={leading['name']}&limit=20000&since={since}")
    return _View(1000 * spent, int(requests) + 1, size)


async def _first_event(events: aiohttp.ClientResponse) -> bytes:
    async for line in events.content:
        if line.startswith(b"data: "):
            return line[6:]
    raise RuntimeError("the gateway closed the stream of events")
