"""The proxy as other programs meet it: libmodbus's client, and the whole gateway before a device."""

import asyncio
import json
import runpy
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest
from pymodbus.client import AsyncModbusTcpClient

WORLD = runpy.run_path(str(Path(__file__).with_name("proxy_world.py")))
BASE, METERED, proxied = (WORLD[name] for name in ("BASE", "METERED", "proxied"))
OWN = runpy.run_path(str(Path(__file__).with_name("own_world.py")))
MBPOLL = shutil.which("mbpoll")
ALLOWED = [{"client": "127.0.0.1", "first": BASE + 10, "last": BASE + 19}]
LONG_MS = 600_000


async def mbpoll(house, *arguments):
    """Run libmodbus's client once; gives its exit code and what it printed."""
    if MBPOLL is None:
        pytest.skip("MBPOLL IS NOT INSTALLED: the proxy was not tested against libmodbus")
    command = (MBPOLL, "-m", "tcp", "-p", str(house.port), "-0", "-1", "-q", "-o", "5", *arguments)
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    printed, _ = await process.communicate()
    return process.returncode, printed.decode()


async def test_libmodbus_reads_beside_another_client():
    async with proxied(max_age_ms=LONG_MS) as house, house.client() as client:
        await house.meter()
        code, printed = await mbpoll(house, "-a", "1", "-t", "4", "-r", str(BASE), "-c", "3", "127.0.0.1")
        assert code == 0, printed
        for at in range(3):
            assert f"[{BASE + at}]: \t{BASE + at}" in printed
        assert (await client.read_holding_registers(BASE, count=1)).registers == [BASE]
        assert house.device.requests == [METERED]


async def test_libmodbus_writes_what_is_allowed():
    async with proxied(allow=ALLOWED) as house:
        to = ("-a", "1", "-t", "4", "-r", str(BASE + 10), "127.0.0.1", "321")
        code, printed = await mbpoll(house, *to)
        assert code == 0, printed
        assert house.device.writes == [(6, BASE + 10, [321])]
        code, printed = await mbpoll(house, "-a", "1", "-t", "4", "-r", str(BASE), "127.0.0.1", "321")
        assert (code != 0, "Illegal data address" in printed) == (True, True)


async def test_libmodbus_understands_the_refusals():
    async with proxied() as house:
        for unit, address, said in ((1, 1, "Illegal data address"), (9, BASE, "Gateway path unavailable")):
            code, printed = await mbpoll(house, "-a", str(unit), "-t", "4", "-r", str(address), "127.0.0.1")
            assert (code != 0, said in printed) == (True, True), printed
        await house.server.shutdown()
        _, printed = await mbpoll(house, "-a", "1", "-t", "4", "-r", str(BASE), "127.0.0.1")
        assert "Target device failed to respond" in printed


def wattness(home, *arguments):
    command = [sys.executable, "-m", "wattness", "--home", str(home), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


async def test_the_gateway_shares_the_device_that_it_meters(tmp_path, free_ports):
    broker, web, listen = free_ports(3)
    home = tmp_path / "home"
    wattness(home, "init")
    json.loads(wattness(home, "key", "new"))
    wattness(home, "device", "key", "new")
    meter = OWN["FakeMeter"]()
    async with OWN["served"](meter) as port:
        (home / "gateway.toml").write_text(
            f'[mqtt]\nlisten = "127.0.0.1:{broker}"\n[web]\nlisten = "127.0.0.1:{web}"\n'
            f'[[device]]\nname = "main meter"\nurl = "tcp://127.0.0.1:{port}"\nprofile = "eastron_sdm630"\n'
            f'role = "grid"\nperiod_ms = 200\n[[proxy]]\ndevice = "main meter"\nlisten = "127.0.0.1:{listen}"\n'
        )
        command = (sys.executable, "-m", "wattness", "--home", str(home), "run")
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        try:
            assert (await process.stdout.readline()).startswith(b"ready")
            client = AsyncModbusTcpClient("127.0.0.1", port=listen, timeout=5, retries=0)
            assert await client.connect()
            while True:  # as soon as metering has read it, it is in the cache
                power = await client.read_input_registers(52, count=2)
                assert client.convert_from_registers(power.registers, client.DATATYPE.FLOAT32) == 1234.5
                page = await metrics(web, wattness(home, "token", "show").strip())
                if 'source="cache"' in page:
                    break
            client.close()
        finally:
            process.send_signal(signal.SIGTERM)
            await process.communicate()
    assert process.returncode == 0
    assert f'wattness_proxy_answers_total{{device="main meter",listen="127.0.0.1:{listen}",source="cache"}}' in page


async def metrics(port, token):
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session,
        session.get(f"http://127.0.0.1:{port}/metrics") as response,
    ):
        return await response.text()
