"""The network over real HTTP: what it takes, what it refuses and how it says so."""

import asyncio
import hashlib
import json
import time
from contextlib import asynccontextmanager

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from civilclock import Clock
from wattnet import faults
from wattnet.server import serving
from wattnet.settings import Settings
from wattnet.simulated import SimulatedBoard, SimulatedKey, sealed
from wattnet.simulated_gateway import SimulatedGateway
from wattwire import cbor

START = 1_790_000_000_000
MINUTE = 60_000
END = START + 5 * MINUTE


def clock(ahead_ms: int = 10 * MINUTE) -> Clock:
    """Civil time stands shortly after the simulated frames, and runs at the true rate."""
    return Clock(time.time_ns() // 1_000_000, START + ahead_ms, 1)


@asynccontextmanager
async def network(tmp_path, fault: str | None = None, **changes):
    chosen = Settings(**({"clock": clock(), "challenge_percent": 0, "settle_every_s": 0.05} | changes))
    suffered = None if fault is None else faults.parse(fault)
    async with (
        serving(tmp_path / "wattnet.db", ("127.0.0.1", 0), chosen, seed=1, faults=suffered) as url,
        aiohttp.ClientSession() as session,
    ):
        gateway = SimulatedGateway(1, session, url)
        board = SimulatedBoard(2, gateway.hash, START)
        board.run(START + 8 * MINUTE)
        assert (await gateway.register())[0] == 201
        assert (await gateway.introduce(board))[0] == 201
        yield gateway, board


async def summary(gateway: SimulatedGateway) -> dict:
    return (await gateway.get("/v1/summary"))[1]


async def test_registration_is_idempotent(tmp_path):
    async with network(tmp_path) as (gateway, board):
        assert await gateway.register() == (200, {"gateway": gateway.hash.hex()})
        assert await gateway.introduce(board) == (200, {"board": board.hash.hex()})


async def test_same_bytes_get_the_same_receipt(tmp_path):
    async with network(tmp_path, challenge_percent=100) as (gateway, board):
        report = board.report(START, END)
        first = await gateway.claim(report)
        assert first[0] == 200
        assert first[1]["challenge"]
        assert first[1]["slot"] == f"{board.hash.hex()}/0/{START}"
        assert await gateway.claim(report) == first
        assert await gateway.claim(report) == first
        counts = await summary(gateway)
        assert (counts["reports"], counts["accepted"], counts["duplicates"]) == (3, 1, 2)


async def test_other_bytes_for_a_slot_and_other_gateways_are_refused(tmp_path):
    async with network(tmp_path) as (gateway, board):
        report = board.report(START, END)
        assert (await gateway.claim(report))[0] == 200
        status, value = await gateway.claim(report | {"verdict": "flagged"})
        assert (status, value["reason"]) == (409, "slot_taken")
        status, value = await gateway.claim(board.report(START + MINUTE, END + MINUTE))
        assert (status, value["reason"]) == (409, "slot_overlaps")
        other = SimulatedGateway(5, gateway.session, gateway.url)
        assert (await other.claim(report))[1]["reason"] == "unknown_gateway"
        await other.register()
        assert (await other.introduce(board))[1]["reason"] == "wrong_gateway"
        assert (await other.claim(report))[1]["reason"] == "unknown_board"
        moved = SimulatedBoard(2, other.hash, START, log=2)
        assert (await other.introduce(moved))[0] == 201
        assert (await other.claim(report))[1]["reason"] == "slot_taken"
        counts = await summary(gateway)
        assert counts["refused"] == {"slot_overlaps": 1, "slot_taken": 2, "unknown_board": 1, "unknown_gateway": 1}
        assert counts["accepted"] == 1


@pytest.mark.parametrize(
    ("change", "status", "reason"),
    [
        ({"rules": 2}, 422, "bad_rules"),
        ({"verdict": "quarantined"}, 422, "quarantined"),
        ({"b": START}, 422, "bad_range"),
        ({"b": START + 86_400_001}, 422, "bad_range"),
        ({"a": START + 3600_000, "b": START + 3900_000}, 425, "too_early"),
        ({"a": START - 40 * 86_400_000, "b": START - 40 * 86_400_000 + 300_000}, 422, "too_old"),
        ({"board": b"short"}, 422, "bad_range"),
        ({"board": "A" * 44}, 422, "bad_type"),
        ({"board": bytes(32)}, 422, "unknown_board"),
        ({"role": "rooftop"}, 422, "bad_type"),
        ({"device": "01"}, 422, "bad_range"),
        ({"evidence": []}, 422, "bad_range"),
        ({"evidence": [[1, 5, 4]]}, 422, "bad_range"),
        ({"evidence": [[1, 5, 9], [1, 9, 12]]}, 422, "bad_range"),
        ({"extra": 1}, 422, "unknown_key"),
        ({7: 1}, 422, "bad_type"),
        ({"figures": {}}, 422, "missing_key"),
        ({"a": -1}, 422, "bad_range"),
        ({"rated_w": "6000"}, 422, "bad_type"),
    ],
)
async def test_bad_reports_are_refused_by_reason(tmp_path, change, status, reason):
    async with network(tmp_path) as (gateway, board):
        got, value = await gateway.claim(board.report(START, END) | change)
        assert (got, value["reason"]) == (status, reason), value
        assert (await summary(gateway))["accepted"] == 0


async def test_signatures_are_checked(tmp_path):
    async with network(tmp_path) as (gateway, board):
        good = sealed(gateway, board.report(START, END))
        flipped = good[:-1] + bytes([good[-1] ^ 1])
        foreign = board.seal(cbor.encode(board.report(START, END)), b"wattnet/1")
        wrong_context = gateway.seal(cbor.encode(board.report(START, END)), b"wattwire/1")
        s = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551 - int.from_bytes(good[-32:], "big")
        cases = {
            flipped: {"bad_signature", "high_s"},
            foreign: {"unknown_gateway"},
            wrong_context: {"bad_signature"},
            good[:-32] + s.to_bytes(32, "big"): {"high_s"},
            good + b"\0": {"trailing_bytes"},
            gateway.seal(b"\x81\x01", b"wattnet/1"): {"bad_type"},
            gateway.seal(b"\xa1\x18\x01\x01", b"wattnet/1"): {"not_deterministic"},
            b"": {"truncated"},
        }
        for body, reasons in cases.items():
            status, value = await gateway.post("/v1/reports", body)
            assert status == 422
            assert value["reason"] in reasons
        assert (await gateway.post("/v1/reports", bytes(9000)))[0] == 413


async def test_an_impostor_cannot_register_or_introduce(tmp_path):
    async with network(tmp_path) as (gateway, board):
        thief = SimulatedKey(66)
        status, value = await gateway.post("/v1/gateways", sealed(thief, {"public_key": gateway.public_key}))
        assert (status, value["reason"]) == (422, "bad_kid")
        point = b"\x04" + bytes(64)
        assert (await gateway.post("/v1/gateways", sealed(thief, {"public_key": point})))[1]["reason"] in {
            "bad_kid",
            "bad_key",
        }
        forged = SimulatedBoard(77, gateway.hash, START).frames[0]
        value = {"board": board.public_key, "name": "x", "streams": forged}
        assert (await gateway.post("/v1/boards", sealed(gateway, value)))[1]["reason"] == "bad_signature"
        value["streams"] = board.frames[1]
        assert (await gateway.post("/v1/boards", sealed(gateway, value)))[1]["reason"] == "wrong_gateway"


async def test_challenge_passed_is_paid_with_a_proof(tmp_path):
    async with network(tmp_path, challenge_percent=100, epoch_ms=1000, grace_ms=0) as (gateway, board):
        await gateway.claim(board.report(START, END))
        (demand,) = await gateway.challenges()
        assert bytes.fromhex(demand["report"]) == sealed(gateway, board.report(START, END))
        assert await gateway.show(demand["id"], board.frames) == (200, {"result": "passed", "reason": ""})
        assert await gateway.show(demand["id"], []) == (200, {"result": "passed", "reason": ""})
        assert await gateway.challenges() == []
        payouts = await paid(gateway)
        assert payouts[0]["amount"] == 3000
        assert (await gateway.get(f"/v1/epochs/{payouts[0]['epoch']}"))[1]["root"] == payouts[0]["root"]
        assert (await summary(gateway))["twice_paid"] == 0
        async with gateway.session.get(gateway.url + "/") as response:
            page = await response.text()
        assert "paid" in page
        assert board.hash.hex()[:16] in page


async def paid(gateway: SimulatedGateway) -> list[dict]:
    while True:
        payouts = (await gateway.get(f"/v1/payouts?gateway={gateway.kid}&after=-1"))[1]["payouts"]
        if payouts:
            return payouts
        await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("cheat", "reason"),
    [
        (lambda frames: frames[:-1], "missing_frames"),
        (lambda frames: [*frames[:2], frames[2][:-90] + b"\0" + frames[2][-89:], *frames[3:]], "bad_signature"),
        (lambda frames: [*frames, frames[-1]], "replayed_frame"),
        (lambda _: [b"junk"], "bad_form"),
        (lambda _: [1, 2], "bad_form"),
    ],
)
async def test_bad_frames_cost_the_claim(tmp_path, cheat, reason):
    async with network(tmp_path, challenge_percent=100) as (gateway, board):
        await gateway.claim(board.report(START, END))
        (demand,) = await gateway.challenges()
        assert await gateway.show(demand["id"], cheat(board.frames)) == (200, {"result": "failed", "reason": reason})
        assert (await gateway.show(demand["id"], board.frames))[1]["result"] == "failed"
        claims = (await gateway.get(f"/v1/claims?gateway={gateway.kid}&status=lost"))[1]["claims"]
        assert [claim["reason"] for claim in claims] == [reason]
        assert (await summary(gateway))["challenges"] == {"open": 0, "passed": 0, "failed": 1}


async def test_wrong_figures_cost_the_claim(tmp_path):
    async with network(tmp_path, challenge_percent=100) as (gateway, board):
        report = board.report(START, END)
        report["figures"]["energy"]["energy_export"] += 1
        await gateway.claim(report)
        (demand,) = await gateway.challenges()
        assert (await gateway.show(demand["id"], board.frames))[1]["reason"] == "bad_figures"


async def test_a_stranger_cannot_lose_somebodys_claim(tmp_path):
    async with network(tmp_path, challenge_percent=100) as (gateway, board):
        await gateway.claim(board.report(START, END))
        (demand,) = await gateway.challenges()
        path = f"/v1/challenges/{demand['id']}"
        assert (await gateway.post(path, b"\x80"))[0] == 401
        stranger = SimulatedGateway(5, gateway.session, gateway.url)
        await stranger.register()
        assert (await stranger.show(demand["id"], []))[0] == 401
        assert (await gateway.show("0" * 32, []))[0] == 404
        assert len(await gateway.challenges()) == 1


async def test_deadline_costs_the_claim(tmp_path):
    async with network(tmp_path, challenge_percent=100, challenge_deadline_ms=1) as (gateway, board):
        await gateway.claim(board.report(START, END))
        while (await summary(gateway))["challenges"]["failed"] == 0:
            await asyncio.sleep(0.02)
        assert (await summary(gateway))["lost_by"] == {"deadline": 1}


async def test_who_lost_is_challenged_until_passing(tmp_path):
    async with network(tmp_path, challenge_percent=1, clock=clock(70 * MINUTE)) as (gateway, board):
        board.run(START + 66 * MINUTE)
        drawn = []
        for at in range(12):
            a = START + at * 5 * MINUTE
            frames = [board.frames[0], *board.frames[1 + at * 5 : 8 + at * 5]]
            receipt = (await gateway.claim(board.report(a, a + 5 * MINUTE, frames)))[1]
            drawn.append(receipt["challenge"] is not None)
            if receipt["challenge"]:
                await gateway.show(receipt["challenge"], frames if at >= 4 else [])
        assert drawn[:5] == [True] * 5
        assert not all(drawn[5:])


async def test_a_gateway_that_asks_too_much_is_told_to_wait(tmp_path):
    async with network(tmp_path, per_minute=60) as (gateway, board):
        statuses = []
        for _ in range(10):
            async with gateway.session.post(
                gateway.url + "/v1/reports", data=sealed(gateway, board.report(START, END))
            ) as response:
                statuses.append(response.status)
                wait = response.headers.get("Retry-After")
        assert statuses[0] == 200
        assert statuses[-1] == 429
        assert int(wait) >= 1


async def test_unknown_paths_and_bad_queries_are_json(tmp_path):
    async with network(tmp_path) as (gateway, _):
        for path, status in {
            "/v2": 404,
            "/v1/epochs/x": 404,
            "/v1/epochs/99999999999999999999": 404,
            "/v1/payouts": 400,
            "/v1/payouts?gateway=zz": 400,
            f"/v1/payouts?gateway={gateway.kid}&after=1e9": 400,
            f"/v1/payouts?gateway={gateway.kid}&after=٣": 400,
            "/v1/claims?a=x": 400,
            "/v1/claims?board=00": 400,
            "/v1/reports": 405,
        }.items():
            got, value = await gateway.get(path)
            assert (got, set(value)) == (status, {"reason", "detail"}), path


PATHS = st.sampled_from(["/v1/gateways", "/v1/boards", "/v1/reports", "/v1/challenges/x", "/v1/challenges/" + "0" * 32])
VALUES = st.recursive(
    st.none() | st.integers(-(2**63) + 1, 2**63 - 1) | st.binary(max_size=70) | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8) | st.integers(0, 40), inner, max_size=4)
    ),
    max_leaves=12,
)
FIELDS = ("rules", "board", "device", "role", "profile", "a", "b", "figures", "evidence", "root", "verdict", "reasons",
          "rated_w", "provenance")  # fmt: skip


async def test_junk_never_breaks_anything(tmp_path):
    async with network(tmp_path, per_minute=10**6) as (gateway, board):
        report = board.report(START, END)
        loop = asyncio.get_running_loop()

        def post(path: str, body: bytes) -> None:
            status, value = asyncio.run_coroutine_threadsafe(gateway.post(path, body), loop).result()
            assert 400 <= status < 500, value
            assert set(value) == {"reason", "detail"}

        @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
        @given(PATHS, st.binary(max_size=400))
        def bytes_junk(path, body):
            post(path, body)

        @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
        @given(PATHS, VALUES)
        def signed_junk(path, value):
            post(path, sealed(gateway, value))

        @settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.sampled_from(FIELDS), VALUES)
        def nearly_a_report(name, value):
            post("/v1/reports", sealed(gateway, report | {"b": END + 9 * 86_400_000, name: value}))

        for junk in (bytes_junk, signed_junk, nearly_a_report):
            await asyncio.to_thread(junk)
        assert (await summary(gateway))["accepted"] == 0


async def test_faults_happen_as_asked(tmp_path):
    script = {"script": ["error", "late_error", "lost", "twice", "slow", "busy", "timeout"], "slow_s": 0.01}
    async with network(tmp_path, json.dumps(script)) as (gateway, board):
        report = board.report(START, END)
        assert (await gateway.claim(report))[0] == 500
        assert (await summary(gateway))["accepted"] == 0
        assert (await gateway.claim(report))[0] == 500
        assert (await summary(gateway))["accepted"] == 1
        with pytest.raises(aiohttp.ClientError):
            await gateway.claim(report)
        assert (await gateway.claim(report))[0] == 200
        assert (await gateway.claim(report))[0] == 200
        assert (await gateway.claim(report))[0] == 429
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await gateway.claim(report)
        status, receipt = await gateway.claim(report)
        assert (status, receipt["report"]) == (200, hashlib.sha256(sealed(gateway, report)).hexdigest())
        counts = await summary(gateway)
        assert (counts["accepted"], counts["duplicates"]) == (1, 4)


@pytest.mark.parametrize("text", ['{"unknown": 1}', '{"error": 2}', '{"script": ["nap"]}', "no"])
def test_bad_fault_configurations_are_refused(text):
    with pytest.raises(ValueError):
        faults.parse(text)
