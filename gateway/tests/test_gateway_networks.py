"""What every network's adapter must do, shown against that network's own server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from civilclock import Clock
from wattness.config import NetworkConfig
from wattness.errors import ConfigError, RefusedError, UnavailableError
from wattness.keys.held import HeldP256
from wattness.model import Board, Report
from wattness.networks import Network, Sources, open_network
from wattness.networks import wattnet as wattnet_adapter
from wattnet import faults
from wattnet.server import serving
from wattnet.settings import Settings
from wattnet.simulated import SimulatedBoard, SimulatedKey
from wattwire import cbor, cose

START = 1_790_000_000_000
MINUTE = 60_000
LENGTH = 5 * MINUTE


class WattnetRig:
    """A real wattnet, a simulated board's frames as the gateway's store, and adapters over both."""

    kind = "wattnet"

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self.folder, self.stack = folder, stack
        self.key = SimulatedKey(1)
        self.board = SimulatedBoard(2, self.key.hash, START)
        self.board.run(START + 60 * MINUTE)
        self.known = {self.board.hash: self.board}
        self.url = "http://127.0.0.1:9"  # where nobody answers
        self.servers = 0

    async def serve(self, *script: str, percent: int = 0) -> None:
        """Start a network that knows nothing yet and suffers `script`."""
        self.servers += 1
        clock = Clock(Clock().real_ms_now(), START + 70 * MINUTE, 1)
        settings = Settings(clock, percent, epoch_ms=1000, grace_ms=0, settle_every_s=0.02)
        suffered = faults.Faults(script=list(script))
        file = self.folder / f"{self.servers}.db"
        self.url = await self.stack.enter_async_context(
            serving(file, ("127.0.0.1", 0), settings, seed=3, faults=suffered)
        )

    async def open(self, key: SimulatedKey | None = None) -> Network:
        """Begin a new life of the gateway."""
        config = NetworkConfig(name="test", kind=self.kind, url=self.url)
        signer = HeldP256((key or self.key).secret)
        return await self.stack.enter_async_context(open_network(config, signer, asked(self.find_board, self.frames)))

    async def find_board(self, board_key: bytes) -> Board | None:
        made = self.known.get(board_key)
        return made and Board(1, "roof", made.public_key, made.hash[:8], made.hash, bytes(32), "")

    async def frames(self, board_key: bytes, ranges) -> list[bytes]:
        made = self.known[board_key]
        return [
            raw
            for raw, record in zip(made.frames, made.records, strict=True)
            if any(log == record.log and first <= record.seq <= last for log, first, last in ranges)
        ]

    def report(self, number: int = 0, **changes) -> Report:
        a = START + number * LENGTH
        frames = [self.board.frames[0], *self.board.frames[1 + number * 5 : 8 + number * 5]]
        value = self.board.report(a, a + LENGTH, frames)
        return Report(**({"board_key": value.pop("board")} | value | changes))

    async def counts(self) -> dict:
        async with aiohttp.ClientSession() as session, session.get(self.url + "/v1/summary") as response:
            return await response.json()

    async def taken(self) -> int:
        return (await self.counts())["accepted"]

    async def paid_twice(self) -> int:
        return (await self.counts())["twice_paid"]


RIGS = {"wattnet": WattnetRig}


@pytest.fixture(params=RIGS)
async def rig(request, tmp_path, monkeypatch) -> AsyncIterator[WattnetRig]:
    monkeypatch.setattr(wattnet_adapter, "TIMEOUT_S", 0.5)
    async with AsyncExitStack() as stack:
        yield RIGS[request.param](tmp_path, stack)


def asked(board, frames) -> Sources:
    return Sources(board, frames, nothing, Clock(), Path())


async def signed_by(network, report):
    return await network.sign((await network.validate([report], {})).body)


async def test_evidence_is_taken_up_to_what_a_report_holds(rig):
    await rig.serve()
    network = await rig.open()
    apart = [[1, 2 * at + 1, 2 * at + 1] for at in range(1500)]
    with pytest.raises(RefusedError, match="too_long"):
        await network.validate([rig.report(evidence=apart)], {})
    counts = range(500, 1000)
    fits = max([count for count in counts if await is_taken(network, rig.report(evidence=apart[:count]))])
    await network.send(await signed_by(network, rig.report(evidence=apart[:fits])))
    assert await rig.taken() == 1


async def is_taken(network, report):
    try:
        return bool(await network.validate([report], {}))
    except RefusedError:
        return False


async def test_same_key_is_taken_and_paid_once(rig):
    await rig.serve()
    network = await rig.open()
    signed = await signed_by(network, rig.report())
    first = await network.send(signed)
    assert await network.send(signed) == first
    assert await (await rig.open()).send(signed) == first
    rewards = await until_paid(network)
    assert len(rewards) == 1
    assert await rig.taken() == 1
    assert await rig.paid_twice() == 0


async def until_paid(network: Network) -> list:
    while not (rewards := (await network.reconcile(-1)).rewards):
        await asyncio.sleep(0.02)
    return rewards


async def test_signing_again_gives_the_same_bytes(rig):
    await rig.serve()
    network, later = await rig.open(), await rig.open()
    draft = await network.validate([rig.report()], {})
    assert draft == await later.validate([rig.report()], {})
    assert await network.sign(draft.body) == await later.sign(draft.body)


@pytest.mark.parametrize("fault", ["error", "late_error", "lost", "timeout", "busy"])
async def test_a_troubled_network_gets_the_same_bytes_again(rig, fault):
    await rig.serve("ok", fault)
    network = await rig.open()
    await network.send(await signed_by(network, rig.report(0)))
    signed = await signed_by(network, rig.report(1))
    with pytest.raises(UnavailableError) as caught:
        await network.send(signed)
    assert caught.value.retry_after_s == (1 if fault == "busy" else 0)
    receipt = await network.send(signed)
    assert receipt.id
    assert await rig.taken() == 2


async def test_two_answers_to_one_report_are_never_mixed_up(rig):
    await rig.serve(*["twice"] * 6)
    network = await rig.open()
    receipts = []
    for number in range(6):
        signed = await signed_by(network, rig.report(number))
        while True:
            try:
                receipts.append((await network.send(signed)).id)
            except UnavailableError:
                continue
            break
    assert len(set(receipts)) == 6
    assert await rig.taken() == 6


async def test_a_dead_network_is_unavailable(rig):
    rig.url = "http://127.0.0.1:9"
    network = await rig.open()
    with pytest.raises(UnavailableError):
        await network.send(await signed_by(network, rig.report()))
    with pytest.raises(UnavailableError):
        await network.find([rig.report()])
    with pytest.raises(UnavailableError):
        await network.reconcile(-1)


async def test_a_no_is_final_and_names_its_reason(rig):
    await rig.serve()
    network = await rig.open()
    await network.send(await signed_by(network, rig.report()))
    with pytest.raises(RefusedError) as caught:
        await network.send(await signed_by(network, rig.report(verdict="flagged")))
    assert caught.value.reason == "slot_taken"
    assert await rig.taken() == 1


async def test_quarantined_reports_are_never_offered(rig):
    await rig.serve()
    network = await rig.open()
    with pytest.raises(RefusedError, match="quarantined"):
        await network.validate([rig.report(verdict="quarantined", reasons=["future_time"])], {})


async def test_a_network_that_forgot_us_is_told_again(rig):
    await rig.serve()
    network = await rig.open()
    await network.send(await signed_by(network, rig.report(0)))
    await rig.serve()
    network.client.url = rig.url
    await network.send(await signed_by(network, rig.report(1)))
    assert await rig.taken() == 1


async def test_an_earlier_life_is_found(rig):
    await rig.serve()
    network = await rig.open()
    assert await network.find([rig.report()]) is None
    receipt = await network.send(await signed_by(network, rig.report()))
    found = await (await rig.open()).find([rig.report(verdict="flagged")])
    assert found.id == receipt.id
    assert await network.find([rig.report(1)]) is None


async def test_challenge_is_answered_and_paid(rig):
    await rig.serve(percent=100)
    network = await rig.open()
    receipt = await network.send(await signed_by(network, rig.report()))
    assert receipt.detail["challenge"]
    found = await network.reconcile(-1)
    assert found.proofs == 1
    (reward,) = await until_paid(network)
    assert (reward.board_key, reward.device) == (rig.board.hash, "0")
    assert reward.amount == 3000
    assert (await network.reconcile(reward.epoch)).rewards == []
    assert (await rig.counts())["challenges"] == {"open": 0, "passed": 1, "failed": 0}


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda frames: frames.pop(3), "missing_frames"),
        (lambda frames: frames.__setitem__(3, frames[4]), "replayed_frame"),
        (lambda frames: frames.__setitem__(3, frames[3][:-1] + bytes([frames[3][-1] ^ 1])), "bad_signature"),
        (lambda frames: frames.reverse(), "bad_order"),
    ],
)
async def test_damaged_frames_cost_the_claim(rig, damage, reason):
    await rig.serve(percent=100)
    network = await rig.open()
    await network.send(await signed_by(network, rig.report()))
    whole = rig.frames

    async def damaged(board_key, ranges):
        frames = await whole(board_key, ranges)
        damage(frames)
        return frames

    network.sources = asked(rig.find_board, damaged)
    await network.reconcile(-1)
    counts = await rig.counts()
    assert counts["lost_by"] == {reason: 1}
    assert counts["paid"] == 0


async def test_wrong_figures_cost_the_claim(rig):
    await rig.serve(percent=100)
    network = await rig.open()
    report = rig.report()
    report.figures["energy"]["energy_export"] += 1
    await network.send(await signed_by(network, report))
    await network.reconcile(-1)
    assert (await rig.counts())["lost_by"] == {"bad_figures": 1}


async def test_a_second_gateway_is_not_paid_for_the_slot(rig):
    await rig.serve()
    network = await rig.open()
    await network.send(await signed_by(network, rig.report()))
    other = SimulatedKey(8)
    second = await rig.open(other)
    with pytest.raises(RefusedError) as caught:
        await second.send(await signed_by(second, rig.report()))
    assert caught.value.reason == "wrong_gateway"
    moved = SimulatedBoard(2, other.hash, START, log=2)
    rig.known[moved.hash] = moved
    with pytest.raises(RefusedError) as caught:
        await second.send(await signed_by(second, rig.report(evidence=[[2, 1, 1]])))
    assert caught.value.reason == "slot_taken"
    assert await rig.taken() == 1


async def test_a_removed_board_or_missing_frames_end_the_report(rig):
    await rig.serve()
    network = await rig.open()
    signed = await signed_by(network, rig.report())
    network.sources = asked(rig.find_board, nothing)
    with pytest.raises(RefusedError, match="no_evidence"):
        await network.send(signed)
    network.sources = asked(nobody, rig.frames)
    with pytest.raises(RefusedError, match="unknown_board"):
        await network.send(signed)


async def nothing(*_):
    return []


async def nobody(*_):
    return None


def test_unknown_kind_names_the_setting():
    config = NetworkConfig(name="x", kind="gridcoin", url="")
    with pytest.raises(ConfigError, match=r"\$\.network\[x\]\.kind"):
        open_network(config, HeldP256(SimulatedKey(1).secret), asked(nobody, nothing))


@asynccontextmanager
async def answering(handler):
    """Serve one handler for every path."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (404, "<html>no such page"),
        (403, '{"error": "login"}'),
        (302, ""),
        (200, "welcome"),
        (200, "[]"),
        (200, "{}"),
        (200, '{"receipt": 1, "report": "00", "claims": 7, "challenges": 7}'),
        (200, "[" * 100_000),
        (418, '{"reason": 5}'),
    ],
)
async def test_an_answer_that_is_not_the_networks_never_costs_a_report(rig, status, text):
    async def handler(_):
        return web.Response(status=status, text=text, headers={"Location": "/elsewhere"} if status == 302 else {})

    async with answering(handler) as rig.url:
        network = await rig.open()
        with pytest.raises(UnavailableError):
            await network.send(await signed_by(network, rig.report()))
        with pytest.raises(UnavailableError):
            await network.find([rig.report()])
        with pytest.raises(UnavailableError):
            await network.reconcile(-1)


async def test_frames_are_shown_only_for_our_own_reports(rig):
    asked = []
    foreign = SimulatedKey(9)
    body = cbor.encode(rig.board.report(START, START + LENGTH))
    stolen = foreign.seal(body, b"wattnet/1")
    disguised = cose.join(rig.key.hash[:8], body, cose.parse(stolen)[2])
    other_context = rig.key.seal(body, b"wattwire/1")
    junk = b"\xd2\x84"
    reports = [stolen, disguised, other_context, junk]

    async def handler(request):
        asked.append((request.method, request.path))
        listed = [{"id": f"{at:032x}", "report": report.hex()} for at, report in enumerate(reports)]
        return web.json_response({"challenges": listed, "payouts": []})

    async with answering(handler) as rig.url:
        network = await rig.open()
        assert (await network.reconcile(-1)).proofs == 0
    assert {method for method, _ in asked} == {"GET"}


async def test_check_says_whether_the_network_is_there(rig):
    await rig.serve()
    found = await (await rig.open()).check()
    assert [(one.subject, one.ok) for one in found] == [
        ("key", True),
        ("endpoint", True),
        ("clock", True),
        ("gate", True),
    ]
    rig.url = "http://127.0.0.1:9"
    found = await (await rig.open()).check()
    assert ("endpoint", False) in [(one.subject, one.ok) for one in found]
