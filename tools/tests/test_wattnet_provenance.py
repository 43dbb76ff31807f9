"""What a gateway read itself: worth less, shown as such, refused where the operator says so, and never passed off."""

from contextlib import asynccontextmanager

import aiohttp

from civilclock import Clock
from wattnet import settle
from wattnet.server import serving
from wattnet.settings import Settings
from wattnet.simulated import SimulatedBoard
from wattnet.simulated_gateway import SimulatedGateway
from wattwire import frame

START = 1_790_000_100_000
END = START + 300_000
STREAM = frame.Stream("pv", "eastron_sdm120", bytes(16), 1, (frame.Point("power", "W", 0, None),), None, 6000, False)


@asynccontextmanager
async def network(tmp_path, **changes):
    real_ms = Clock().real_ms_now()
    chosen = Settings(
        clock=Clock(real_ms, END + 60_000, 1), settle_every_s=0.05, **({"challenge_percent": 0} | changes)
    )
    async with (
        serving(tmp_path / "wattnet.db", ("127.0.0.1", 0), chosen, seed=1) as url,
        aiohttp.ClientSession() as session,
    ):
        gateway = SimulatedGateway(1, session, url)
        await gateway.register()
        yield gateway


def reader(gateway: SimulatedGateway) -> SimulatedBoard:
    """Return the log of a gateway that reads a meter itself, and says so."""
    board = SimulatedBoard(7, gateway.hash, START)
    points = (frame.Point("power", "W", 0, None), frame.Point("energy_export", "Wh", 0, None))
    about = {"model": "gateway", "provenance": "gateway"}
    board.open(frame.Streams((STREAM._replace(points=points),), about, gateway.hash, None))
    board.run(END + 60_000)
    return board


def test_a_gateways_own_reading_is_worth_a_quarter():
    energy = {"energy_export": 10_000}
    assert settle.value_millipoints("pv", energy, 300_000, 300_000, "accepted", "gateway") == 250_000
    assert set(settle.PROVENANCE_PPM) == {"board", "gateway"}


async def test_it_is_taken_and_shown_as_what_it_is(tmp_path):
    async with network(tmp_path, challenge_percent=100) as gateway:
        board = reader(gateway)
        await gateway.introduce(board)
        status, _ = await gateway.claim(board.report(START, END, provenance="gateway"))
        assert status == 200
        (demand,) = await gateway.challenges()
        assert (await gateway.show(demand["id"], board.frames))[1]["result"] == "passed"
        (claim,) = (await gateway.get(f"/v1/claims?gateway={gateway.kid}"))[1]["claims"]
        assert claim["provenance"] == "gateway"
        async with gateway.session.get(gateway.url + "/") as page:
            assert "read by its gateway" in await page.text()


async def test_passing_it_off_as_a_boards_costs_the_claim(tmp_path):
    async with network(tmp_path, challenge_percent=100) as gateway:
        board = reader(gateway)
        await gateway.introduce(board)
        await gateway.claim(board.report(START, END))
        (demand,) = await gateway.challenges()
        answer = await gateway.show(demand["id"], board.frames)
        assert answer == (200, {"result": "failed", "reason": "bad_provenance"})


async def test_an_operator_may_refuse_it(tmp_path):
    async with network(tmp_path, boards_only=True) as gateway:
        board = reader(gateway)
        await gateway.introduce(board)
        status, value = await gateway.claim(board.report(START, END, provenance="gateway"))
        assert (status, value["reason"]) == (422, "provenance")
