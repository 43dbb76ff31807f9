"""Boards that contradict themselves: both sides are kept, and nothing of theirs is claimed."""

import runpy
from pathlib import Path

import apsw
import pytest

from emulator import fleet
from wattness.store.reader import Reader
from wattness.store.registry import open_registry
from wattwire import cose, frame

_world = runpy.run_path(str(Path(__file__).with_name("store_world.py")))
opened, put, state_of, undisturbed, assert_same = (
    _world[name] for name in ("opened", "put", "state_of", "undisturbed", "assert_same")
)
GATEWAY, START, MINUTE, CLOCK = (_world[name] for name in ("GATEWAY", "START", "MINUTE", "CLOCK"))


@pytest.fixture
def author():
    return _world["make_author"]()


@pytest.fixture
def path(tmp_path, author):
    return _world["enrolled"](tmp_path, author)


def resealed(author, seq, **changes):
    """Another frame for a position, as only the board's own key can make it."""
    raw = author.frames[seq - 1]
    record = frame.decode(cose.parse(raw)[1])._replace(**changes)
    return fleet.seal(author.key, author.kid, frame.encode(record))


@pytest.mark.parametrize("changed_first", [False, True])
async def test_two_payloads_for_one_position_are_both_kept(path, author, changed_first):
    other = resealed(author, 13, extra={99: 1})
    sides = [other, author.frames[12]] if changed_first else [author.frames[12], other]
    async with opened(path) as store:
        await put(store, *author.frames[:12])
        assert await put(store, sides[0]) == [(1, 13)]
        assert await state_of(store) == ("active", "")
        assert await put(store, sides[1]) == [(1, 13)]
        assert await state_of(store) == ("quarantined", "conflict log 1 seq 13")
        assert await put(store, sides[1]) == [(1, 13)]
    rows = apsw.Connection(str(path)).execute("SELECT raw FROM conflict").fetchall()
    assert rows == [(sides[1],)]


async def test_the_same_payload_signed_again_is_a_duplicate(path, author):
    payload = cose.parse(author.frames[0])[1]
    signature = author.key.sign(cose.to_be_signed(author.kid, payload), fleet.ec.ECDSA(fleet.hashes.SHA256()))
    r, s = fleet.utils.decode_dss_signature(signature)
    s = min(s, fleet.p256.ORDER - s)
    again = cose.join(author.kid, payload, r.to_bytes(32, "big") + s.to_bytes(32, "big"))
    assert again != author.frames[0]
    async with opened(path) as store:
        await put(store, author.frames[0], again)
        assert await state_of(store) == ("active", "")


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("changes", "kind"),
    [({"up": 1}, "order"), ({"boot": 0}, "order"), ({"boot": 2}, "order"), ({"prev": bytes(16)}, "fork")],
)
async def test_frames_that_do_not_fit_their_neighbours(path, author, changes, kind, order):
    frames = list(author.frames)
    frames[4] = resealed(author, 5, **changes)
    async with opened(path) as store:
        assert (await put(store, *frames[::order]))[-1] == (1, 13)
        state, reason = await state_of(store)
        assert state == "quarantined"
        assert reason.startswith((kind, "fork"))


def second_log(author, previous=()):
    author.reboot(START + 12 * MINUTE, new_log=True)
    author.clock = 0
    return author.streams(START + 12 * MINUTE + 1, previous=author.ended if previous == () else previous)


async def test_a_log_that_grows_after_a_later_one_began(path, author):
    first = second_log(author, (12, author.frames[0][-16:]))
    async with opened(path) as store:
        await put(store, *author.frames[:12])
        assert (await state_of(store))[0] == "active"
        await put(store, author.frames[12], first)
        assert await state_of(store) == ("quarantined", "late_growth log 2 seq 1")


async def test_a_log_that_grows_after_its_flash_was_lost(path, author):
    first = second_log(author, None)
    async with opened(path) as store:
        await put(store, *author.frames[:11], first)
        assert await state_of(store) == ("active", "")
        await put(store, author.frames[11])
        assert await state_of(store) == ("quarantined", "late_growth log 1 seq 12")


async def test_a_new_log_that_denies_the_old_ones_end(path, author):
    first = second_log(author, (13, bytes(16)))
    async with opened(path) as store:
        await put(store, *author.frames[:13], first)
        assert await state_of(store) == ("quarantined", "fork log 2 seq 1")


async def test_a_new_log_in_good_order(path, author):
    first = second_log(author)
    async with opened(path) as store:
        await put(store, *author.frames[:12], first, author.frames[12])
        assert await state_of(store) == ("active", "")


async def test_a_quarantined_board_claims_nothing_until_its_owner_releases_it(path, author):
    async with opened(path) as store:
        await put(store, *author.frames[:8])
        (interval,) = await store.read(Reader.intervals)
        assert [job.state for job in interval.jobs] == ["available"]
        await put(store, resealed(author, 8, extra={99: 1}))
        (interval,) = await store.read(Reader.intervals)
        assert [(job.state, job.reason) for job in interval.jobs] == [("discarded", "board_quarantined")]
        await put(store, *author.frames[8:])
        newest = (await store.read(Reader.intervals))[0]
        assert (newest.verdict, newest.reasons, newest.jobs) == ("quarantined", ["board_quarantined"], [])
        version = await store.data_version()
        with open_registry(path, CLOCK) as registry:
            assert registry.release("roof").state == "active"
        assert await store.data_version() != version
        await put(store, *[author.rows(START + minute * MINUTE) for minute in range(12, 16)])
        assert (await store.read(Reader.intervals))[0].verdict == "accepted"


async def test_conflicts_kept_are_bounded(path, author, monkeypatch):
    monkeypatch.setattr("wattness.store.ledger.CONFLICTS_MAX", 3)
    async with opened(path) as store:
        await put(store, author.frames[0])
        await put(store, *[resealed(author, 1, extra={99: n}) for n in range(9)])
        assert (await store.read(Reader.counters))["dropped"] == {"conflicts_full": 6}
