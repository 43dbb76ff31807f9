"""From a device's registers to a network's audit: what the gateway read itself is proven, and said to be that."""

import asyncio
import runpy
import time
from pathlib import Path

import pytest

from wattness.clock import Clock
from wattness.config import parse
from wattness.networks.wattnet import WattnetNetwork
from wattness.store.reader import Reader
from wattnet.audit import AuditError, audit
from wattnet.report import read
from wattwire import cbor

WORLD = runpy.run_path(str(Path(__file__).with_name("own_world.py")))
FakeMeter, served, make_key, opened = (WORLD[name] for name in ("FakeMeter", "served", "make_key", "opened"))
RATE = 400
START_MS = 1_790_000_100_000


class Counting(FakeMeter):
    """Its counter rises with each read."""

    async def _action(self, code, start, *rest):
        self.values[72] += 0.01
        return await super()._action(code, start, *rest)


async def test_an_interval_of_the_gateways_own_log_is_proven_by_its_frames(tmp_path):
    key = make_key(tmp_path)
    async with served(Counting()) as port:
        config = parse(
            f'[[device]]\nname = "meter"\nurl = "tcp://127.0.0.1:{port}"\nprofile = "eastron_sdm630"\nrole = "grid"\n'
            "period_ms = 20000\n",
            tmp_path,
        )
        clock = Clock(time.time_ns() // 1_000_000, START_MS, RATE)
        async with opened(config, clock) as (store, _, meters, _):
            work = asyncio.create_task(meters.run())
            while not (jobs := await store.outbox.lease("alpha", 1, 60_000)):
                meters.meters[0]._own.seal()
                await asyncio.sleep(0.05)
            work.cancel()
            await asyncio.wait([work])
            (job,) = jobs
            (report,) = job.reports
            assert (report.provenance, report.verdict) == ("gateway", "accepted")
            frames = await store.read(lambda reader: list(reader.evidence(report.board_key, report.evidence)))
            (board,) = await store.read(Reader.boards)
            assert board.provenance == "gateway"
    body = (await WattnetNetwork("alpha", None, key, None).validate(job.reports, {})).body
    report, figures = read(cbor.decode(body))
    assert report.provenance == "gateway"
    assert figures["energy"]["energy_import"] > 0
    audit(report, figures, key.public_key, WORLD["GATEWAY"], frames)
    report, figures = read(cbor.decode(body) | {"provenance": "board"})
    with pytest.raises(AuditError, match="bad_provenance"):
        audit(report, figures, key.public_key, WORLD["GATEWAY"], frames)
