"""What the API says of money, over real HTTP."""

import runpy
from pathlib import Path

import pytest

_world = runpy.run_path(str(Path(__file__).with_name("web_world.py")))
served, get = _world["served"], _world["get"]
FEW = "?from=2022-03-10&to=2022-03-14"


async def test_days_are_read_in_pieces_and_none_is_left_out():
    async with served() as session:
        status, found = await get(session, "/api/v1/rewards/accounts" + FEW + "&network=wattnet")
        assert status == 200
        assert [one["day"] for one in found] == [f"2022-03-{day}" for day in range(10, 15)]
        first = found[0]
        assert (first["reports"], first["accepted"], first["missing"], first["paid"]) == (24, 23, 1, 22)
        assert first["pay"] == [{"unit": "points", "amount": "91250", "price": None, "value": None}]
        _, found = await get(session, "/api/v1/rewards/payments" + FEW)
        assert [one["network"] for one in found[:2]] == ["akash", "wattnet"]
        assert (found[0]["reference"], found[1]["reference"]) == ("0xab", "epoch 2")


@pytest.mark.parametrize(
    "query", ["?from=2022-01-01&to=2022-03-14", "?from=2022-03-14&to=2022-03-10", "?from=1900-01-01&to=1900-01-02"]
)
async def test_days_that_cannot_be_told_are_refused(query):
    async with served() as session:
        for what in ("accounts", "payments"):
            status, answer = await get(session, f"/api/v1/rewards/{what}{query}")
            assert status == 400
            assert answer["error"]


async def test_without_days_the_last_month_is_told():
    async with served() as session:
        _, found = await get(session, "/api/v1/rewards/accounts?network=wattnet")
        assert len(found) == 31
