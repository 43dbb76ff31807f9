"""The network as its own process: starts, stops, remembers, and knows nothing of the gateway."""

import asyncio
import json
import signal
import subprocess
import sys
from contextlib import asynccontextmanager

import aiohttp
import pytest

from civilclock import Clock
from wattnet.__main__ import main
from wattnet.simulated import SimulatedBoard
from wattnet.simulated_gateway import SimulatedGateway

START = 1_790_000_000_000
END = START + 300_000


@asynccontextmanager
async def process(tmp_path, *options: str):
    """Run the server; it is killed at the end if it has not ended by itself."""
    clock = f"{Clock().real_ms_now()},{START + 600_000},1"
    command = [sys.executable, "-m", "wattnet", "serve", "--db", str(tmp_path / "w.db"), "--listen", "127.0.0.1:0"]
    running = await asyncio.create_subprocess_exec(*command, "--clock", clock, *options, stdout=subprocess.PIPE)
    try:
        line = (await running.stdout.readline()).decode()
        yield running, line.removeprefix("wattnet serves ").strip()
    finally:
        if running.returncode is None:
            running.kill()
        await running.wait()
        running._transport.close()


async def test_a_killed_network_remembers_and_a_stopped_one_ends_cleanly(tmp_path):
    async with aiohttp.ClientSession() as session:
        async with process(tmp_path, "--challenge-percent", "0") as (_, url):
            gateway = SimulatedGateway(1, session, url)
            board = SimulatedBoard(2, gateway.hash, START)
            board.run(START + 480_000)
            await gateway.register()
            await gateway.introduce(board)
            first = await gateway.claim(board.report(START, END))
            assert first[0] == 200
        async with process(tmp_path, "--challenge-percent", "0") as (running, url):
            gateway.url = url
            assert await gateway.claim(board.report(START, END)) == first
            running.send_signal(signal.SIGTERM)
            assert await running.wait() == 0


def test_it_imports_nothing_of_the_gateway():
    program = """
import sys
import wattnet.__main__, wattnet.simulated_gateway
print([name for name in sys.modules if name.partition(".")[0] == "wattness"])
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "arguments",
    [
        ["serve"],
        ["serve", "--db", "x", "--listen", "nowhere"],
        ["serve", "--db", "x", "--clock", "1,2,0"],
        ["serve", "--db", "x", "--challenge-percent", "101"],
        ["serve", "--db", "x", "--faults", "{"],
        ["pay"],
    ],
)
def test_bad_arguments_are_refused(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_verify_payout_reads_a_file(tmp_path, capsys):
    file = tmp_path / "payouts.json"
    file.write_text(json.dumps({"payouts": []}))
    assert main(["verify-payout", str(file)]) == 0
    assert capsys.readouterr().out == ""
