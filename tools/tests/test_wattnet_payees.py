"""Where gateways want to be paid, over real HTTP: what is taken, what is refused, and what is told."""

import asyncio
import time
from contextlib import asynccontextmanager

import aiohttp
import pytest

from civilclock import Clock
from wattnet.server import serving
from wattnet.settings import Settings
from wattnet.shares import Share, check
from wattnet.simulated import SimulatedBoard, sealed
from wattnet.simulated_gateway import SimulatedGateway

START = 1_790_000_000_000
MINUTE = 60_000
ACCOUNT = bytes(range(1, 21))
SETTLEMENTS = f"/v1/settlements?account={ACCOUNT.hex()}&after=-1"


@asynccontextmanager
async def network(tmp_path):
    clock = Clock(time.time_ns() // 1_000_000, START + 10 * MINUTE, 1)
    chosen = Settings(clock=clock, challenge_percent=0, settle_every_s=0.05, epoch_ms=1000, grace_ms=0)
    async with (
        serving(tmp_path / "wattnet.db", ("127.0.0.1", 0), chosen, seed=1) as url,
        aiohttp.ClientSession() as session,
    ):
        gateway = SimulatedGateway(1, session, url)
        assert (await gateway.register())[0] == 201
        yield gateway


async def name(gateway, account):
    return await gateway.post("/v1/payees", sealed(gateway, {"account": account}))


async def test_an_account_is_named_once_and_may_change(tmp_path):
    async with network(tmp_path) as gateway:
        told = {"gateway": gateway.hash.hex(), "account": ACCOUNT.hex()}
        assert await name(gateway, ACCOUNT) == (201, told | {"changed": True})
        assert await name(gateway, ACCOUNT) == (200, told | {"changed": False})
        assert (await name(gateway, ACCOUNT[::-1]))[0] == 201
        assert await gateway.get(SETTLEMENTS) == (200, {"contract": None, "settlements": []})


async def test_what_is_settled_is_told_with_a_proof(tmp_path):
    async with network(tmp_path) as gateway:
        board = SimulatedBoard(2, gateway.hash, START)
        board.run(START + 8 * MINUTE)
        await name(gateway, ACCOUNT)
        await gateway.introduce(board)
        assert (await gateway.claim(board.report(START, START + 5 * MINUTE)))[0] == 200
        for challenge in await gateway.challenges():  # whoever is new is always challenged
            await gateway.show(challenge["id"], board.frames)
        while not (found := (await gateway.get(SETTLEMENTS))[1]["settlements"]):
            await asyncio.sleep(0.05)
        (row,) = found
        share = Share(row["epoch"], ACCOUNT, row["points"])
        assert check(share, [bytes.fromhex(node) for node in row["proof"]], bytes.fromhex(row["root"]))
        assert [one["amount"] for one in row["payouts"]] == [row["points"]] == [3000]
        assert row["payouts"][0]["gateway"] == gateway.hash.hex()
        assert (await gateway.get(f"/v1/settlements?account={'00' * 20}"))[1]["settlements"] == []


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"account": bytes(20)}, "bad_account"),
        ({"account": ACCOUNT[1:]}, "bad_account"),
        ({"account": ACCOUNT.hex()}, "bad_type"),
        ({"account": ACCOUNT, "more": 1}, "unknown_key"),
        ({}, "missing_key"),
    ],
)
async def test_what_is_no_account_is_refused(tmp_path, value, reason):
    async with network(tmp_path) as gateway:
        status, told = await gateway.post("/v1/payees", sealed(gateway, value))
        assert (status, told["reason"]) == (422, reason)


async def test_only_the_gateway_names_its_account(tmp_path):
    async with network(tmp_path) as gateway:
        other = SimulatedGateway(2, gateway.session, gateway.url)
        assert (await name(other, ACCOUNT))[1]["reason"] == "unknown_gateway"
        forged = sealed(gateway, {"account": ACCOUNT})[:-1] + b"\0"
        assert (await gateway.post("/v1/payees", forged))[0] == 422


@pytest.mark.parametrize("query", ["", "?account=00", "?account=" + "zz" * 20, f"?account={'11' * 20}&after=x"])
async def test_a_bad_question_is_refused(tmp_path, query):
    async with network(tmp_path) as gateway:
        assert (await gateway.get(f"/v1/settlements{query}"))[0] == 400
