"""What Prometheus scrapes: promtool takes it, and it says what the store says."""

import runpy
import shutil
import subprocess
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from wattness.web.sources import ProxyNow

_world = runpy.run_path(str(Path(__file__).with_name("web_world.py")))
House, served, running, sources, make_home = (
    _world[name] for name in ("House", "served", "running", "sources", "make_home")
)
PROMTOOL = shutil.which("promtool")


async def scrape(house=None):
    async with served(house) as session, session.get("/metrics") as response:
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/plain; version=")
        return await response.text()


def values(text):
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_promtool_finds_nothing_to_say():
    if PROMTOOL is None:
        pytest.skip("PROMTOOL IS NOT INSTALLED: the metrics were not checked by it")
    text = await scrape()
    done = subprocess.run([PROMTOOL, "check", "metrics"], input=text, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


async def test_metrics_say_what_the_store_says():
    found = values(await scrape())
    roof = ("roof", "d4784063a6065a33", "board")
    assert found["wattness_frames_acknowledged_total", *roof] == 118
    assert found["wattness_board_missing_frames", *roof] == 2
    assert 4 <= found["wattness_board_age_seconds", *roof] < 60
    assert found["wattness_board_quarantined", "cellar", "00112233aabbccdd", "board"] == 1
    assert found["wattness_frames_rejected_total", "bad_signature"] == 3
    assert found["wattness_outbox_jobs", "wattnet", "retryable"] == 1
    assert found["wattness_receipts_total", "wattnet"] == 23
    assert found["wattness_rewards_total", "wattnet"] == 182_503
    assert found["wattness_verdicts_total", "flagged", "clock_step"] == 0
    assert found["wattness_broker_connected",] == 1
    assert found["process_resident_memory_bytes",] > 1e6
    assert found["wattness_build_info", "44" * 32, "0.1.0"] == 1


async def test_what_is_unknown_has_no_sample():
    text = await scrape()
    assert 'wattness_board_age_seconds{board="cellar"' not in text  # it never sent anything
    assert "wattness_database_size_bytes{" not in text  # there is no file in this house


async def test_odd_names_do_not_break_the_format():
    house = House()
    boards = house.reader.boards()
    named = _world["msgspec"].structs.replace(boards[0], name='a "roof"\\\n{x="1"}')
    house.reader.boards = lambda: [named]
    found = values(await scrape(house))
    assert ("wattness_board_online", named.name, named.kid, "board") in found


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"X-Forwarded-For": "203.0.113.9"}, 401),
        ({"Host": "evil.example"}, 403),
        ({"Authorization": "Bearer wrong"}, 401),
    ],
)
async def test_only_this_machine_scrapes_without_a_token(tmp_path, headers, status):
    make_home(tmp_path)
    async with (
        running(sources(House(), tmp_path)) as address,
        aiohttp.ClientSession(address) as session,
        session.get("/metrics", headers=headers) as response,
    ):
        assert response.status == status


async def test_proxies_tell_what_they_answered_and_declined(tmp_path):
    counts = {("answered", "cache"): 7, ("declined", "write_not_allowed"): 2, ("ended", "idle"): 1}
    make_home(tmp_path)
    given = sources(House(), tmp_path)._replace(proxies=lambda: [ProxyNow("roof", "127.0.0.1:1502", 3, counts)])
    async with (
        running(given) as address,
        aiohttp.ClientSession() as session,
        session.get(f"{address}metrics") as response,
    ):
        found = values(await response.text())
    proxy = ("roof", "127.0.0.1:1502")
    assert found["wattness_proxy_clients", *proxy] == 3
    assert found["wattness_proxy_answers_total", *proxy, "cache"] == 7
    assert found["wattness_proxy_declined_total", *proxy, "write_not_allowed"] == 2
    assert found["wattness_proxy_connections_ended_total", *proxy, "idle"] == 1
