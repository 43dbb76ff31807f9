"""Filecoin's and Arweave's adapters against an IPFS node and a bundler that read what they are given."""

import runpy
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from civilclock import Clock
from emulator.networks import arweave as bundler
from emulator.networks import filecoin as node
from emulator.networks.base import Served
from wattness.clock import Clock as GatewayClock
from wattness.errors import ConfigError, NetworkError, RefusedError, UnavailableError
from wattness.forward import Timing
from wattness.keys.held import HeldSecp256k1
from wattness.networks import CATALOG, arweave, filecoin
from wattnet.faults import Faults

WORLD = runpy.run_path(str(Path(__file__).parent / "archive_world.py"))
Day, opened, made = WORLD["Day"], WORLD["opened"], WORLD["made"]
OWNER = HeldSecp256k1(WORLD["SECP256K1"]).public_key
SERVERS = {"filecoin": (node.serving, WORLD["GATEWAY"].public_key), "arweave": (bundler.serving, OWNER)}


class Rig:
    """A kind of archive with its server, and a day to send."""

    def __init__(self, kind: str, home: Path, stack: AsyncExitStack) -> None:
        self.kind, self.home, self.stack = kind, home, stack
        self.day = Day()
        self.served = Served("http://127.0.0.1:9", node.Ledger(), {})

    async def serve(self, *script: str) -> None:
        serving, key = SERVERS[self.kind]
        self.served = await self.stack.enter_async_context(serving(key, Clock(), Faults(script=list(script))))

    async def open(self, **settings):
        return await self.stack.enter_async_context(opened(self.kind, self.day, self.home, self.served.url, **settings))


@pytest.fixture(params=SERVERS)
async def rig(request, tmp_path, monkeypatch):
    monkeypatch.setattr(filecoin, "TIMEOUT_S", 0.5)
    monkeypatch.setattr(arweave, "TIMEOUT_S", 0.5)
    async with AsyncExitStack() as stack:
        yield Rig(request.param, tmp_path, stack)


async def test_a_day_is_taken_once_and_again(rig):
    await rig.serve()
    network = await rig.open()
    signed = await made(network, rig.day.reports)
    receipt = await network.send(signed)
    assert receipt.id in rig.served.ledger.taken
    assert await (await rig.open()).send(signed) == receipt
    assert await made(await rig.open(), rig.day.reports) == signed
    assert rig.served.ledger.counts() == {"taken": 1, "again": 1, "conflicts": 0, "refused": {}}
    assert await network.find(rig.day.reports) is None
    assert (await network.reconcile(-1)).rewards == []


@pytest.mark.parametrize("fault", ["timeout", "error", "late_error", "lost", "busy"])
async def test_the_same_bytes_are_sent_again_after(rig, fault):
    await rig.serve(fault)
    network = await rig.open()
    signed = await made(network, rig.day.reports)
    with pytest.raises(UnavailableError) as trouble:
        await network.send(signed)
    assert trouble.value.retry_after_s == (1 if fault == "busy" else 0)
    receipt = await network.send(signed)
    assert list(rig.served.ledger.taken) == [receipt.id]
    assert rig.served.ledger.again == (fault in {"late_error", "lost"})


async def test_a_network_that_is_not_there_is_unavailable(rig):
    network = await rig.open()
    with pytest.raises(UnavailableError):
        await network.send(await made(network, rig.day.reports))
    assert ("endpoint", False) in [(one.subject, one.ok) for one in await network.check()]


async def test_check_asks_without_sending(rig):
    await rig.serve()
    found = {one.subject: one for one in await (await rig.open()).check()}
    assert all(one.ok for one in found.values())
    assert set(found) == {"key", "clock", "endpoint", "gate"}
    assert not rig.served.ledger.taken


async def test_frames_that_are_gone_end_the_report(rig):
    await rig.serve()
    network = await rig.open(**({} if rig.kind == "filecoin" else {"content": "frames"}))
    signed = await made(network, rig.day.reports)
    del rig.day.held[9]
    with pytest.raises(RefusedError, match="no_evidence"):
        await network.send(signed)
    assert not rig.served.ledger.taken


async def test_a_folder_takes_what_the_network_would(rig):
    rig.served = Served("", rig.served.ledger, {})  # the default is a folder of the home
    network = await rig.open()
    receipt = await network.send(await made(network, rig.day.reports))
    (file,) = (rig.home / rig.kind).iterdir()
    assert receipt.detail["where"] == str(file)
    assert file.stat().st_size == receipt.detail["bytes"]
    assert file.name.startswith("2026-09-22-")
    await rig.serve()
    network = await rig.open()
    assert (await network.send(await made(network, rig.day.reports))).id == receipt.id
    assert file.read_bytes() in rig.served.ledger.taken.values()


async def test_settings_are_checked(rig):
    for change in ({"speed": 1}, {"folder_bytes_max": 5}, {"token_file": "none"}):
        with pytest.raises(ConfigError):
            await rig.open(**change)
    rig.served = Served("ftp://host", rig.served.ledger, {})
    with pytest.raises(ConfigError, match="url"):
        await rig.open()
    rig.served = Served("file:", rig.served.ledger, {})
    with pytest.raises(ConfigError, match="file:FOLDER"):
        await rig.open()


def test_a_slow_line_has_ten_minutes_for_a_day():
    for kind in SERVERS:
        timing = Timing.of(GatewayClock(), CATALOG[kind].send_s)
        assert timing.send_s == filecoin.TIMEOUT_S == 600
        assert timing.lease_s >= 2 * timing.send_s
    assert Timing.of(GatewayClock()) == Timing()


async def test_a_token_is_shown(rig):
    await rig.serve()
    (rig.home / "token").write_text("secret\n")
    (rig.home / "token").chmod(0o600)
    network = await rig.open(token_file="token")
    uploader = network.place.uploader
    assert uploader.client.session.headers["Authorization"] == "Bearer secret"


async def test_a_pinning_service_is_asked(tmp_path):
    async with AsyncExitStack() as stack:
        rig = Rig("filecoin", tmp_path, stack)
        await rig.serve()
        network = await rig.open(service="friends & co")
        receipt = await network.send(await made(network, rig.day.reports))
    assert list(rig.served.ledger.taken) == [receipt.id, f"friends & co: {receipt.id}"]


async def test_everything_can_be_put_on_arweave_when_the_owner_says_so(tmp_path):
    async with AsyncExitStack() as stack:
        rig = Rig("arweave", tmp_path, stack)
        await rig.serve()
        network = await rig.open(content="frames")
        signed = await made(network, rig.day.reports)
        receipt = await network.send(signed)
        (data,) = rig.served.ledger.taken.values()
        assert len(data) == receipt.detail["bytes"] > len(signed)
        assert rig.day.board.frames[3] in data
        proofs = await rig.open()
        await proofs.send(await made(proofs, rig.day.reports))
        (_, other) = rig.served.ledger.taken.values()
        assert not any(frame in other for frame in rig.day.board.frames)


def spoiled(signed: bytes, at: int) -> bytes:
    return signed[:at] + bytes((signed[at] ^ 1,)) + signed[at + 1 :]


@pytest.mark.parametrize(("at", "reason"), [(3, "bad_signature"), (0, "bad_item"), (100, "unknown_owner"), (152, None)])
async def test_the_bundler_refuses_what_was_changed(tmp_path, at, reason):
    async with AsyncExitStack() as stack:
        rig = Rig("arweave", tmp_path, stack)
        await rig.serve()
        network = await rig.open()
        signed = await made(network, rig.day.reports)
        with pytest.raises(NetworkError):
            await network.send(spoiled(signed, at))
    assert not rig.served.ledger.taken
    assert reason is None or list(rig.served.ledger.refused) == [reason]


def test_a_page_is_no_node():
    with pytest.raises(UnavailableError, match="not the RPC API"):
        filecoin._lines(b"<html>")
    with pytest.raises(UnavailableError, match="not the RPC API"):
        filecoin._lines(b"")
