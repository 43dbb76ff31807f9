"""A day as an archive: its blocks and bytes, that its memory is bounded, and what is refused."""

import base64
import hashlib
import itertools
import runpy
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.networks import arweave as bundler
from emulator.networks import day as reader
from wattness.errors import RefusedError, UnavailableError
from wattness.networks import ans104, archive, car
from wattness.networks.folder import Folder
from wattwire import cbor

WORLD = runpy.run_path(str(Path(__file__).parent / "archive_world.py"))
Day, START, LENGTH = WORLD["Day"], WORLD["START"], WORLD["LENGTH"]

CID = bytes.fromhex("01711220" + "aa" * 32)
VALUES = st.recursive(
    st.none() | st.integers(-(1 << 63), (1 << 63) - 1) | st.binary(max_size=40) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=30), inner, max_size=4),
    max_leaves=12,
)


def test_the_empty_map_has_the_name_that_ipfs_gives_it():
    assert car.cid_text(car.cid(car.block({}))) == "bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua"


@given(VALUES)
def test_blocks_are_as_deterministic_as_the_wire(value):
    try:
        expected = bytes(cbor.encode(value))
    except Exception:  # noqa: BLE001 - too deep for the wire
        return
    assert car.block(value) == expected
    assert reader.decode(car.block(value)) == value


def test_links_are_tag_42():
    assert car.block([car.link(CID)]) == b"\x81\xd8\x2a\x58\x25\x00" + CID


@given(st.integers(0, 1 << 20))
def test_sizes_of_sections_are_known_without_them(size):
    if size < 1 << 16:
        assert car.section_size(size) == len(car.section(CID, bytes(size)))
    else:
        assert car.section_size(size) == size + 36 + 3


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 60), st.integers(0, 9)), max_size=20))
def test_spans_are_joined_and_lose_nothing(ranges):
    evidence = [[[log, first, first + more]] for log, first, more in ranges]
    spans = archive.union(evidence)
    apart = {(log, seq) for log, first, more in ranges for seq in range(first, first + more + 1)}
    joined = [(log, seq) for log, first, last in spans for seq in range(first, last + 1)]
    assert joined == sorted(apart)
    assert all(a[0] < b[0] or a[2] + 1 < b[1] for a, b in itertools.pairwise(spans))


@given(st.lists(st.tuples(st.text(max_size=200), st.text(max_size=200)), min_size=1, max_size=9))
def test_tags_are_read_as_they_were_written(tags):
    assert bundler._tags(ans104.encode_tags(tags)) == dict(tags)


@given(st.lists(st.binary(max_size=300), max_size=6))
def test_deep_hash_does_not_depend_on_the_pieces(pieces):
    blob = ans104.Blob()
    for piece in pieces:
        blob.update(piece)
    item = ans104.Item(bytes(65), (("a", "b"),))
    whole = b"".join(pieces)
    expected = [b"dataitem", b"1", b"3", bytes(65), b"", b"", ans104.encode_tags((("a", "b"),)), whole]
    assert item.message(blob) == bundler._deep_hash(expected)
    assert ans104.split(item.head(bytes(65)) + whole) == (item.head(bytes(65)), whole)


async def whole(root, day):
    made = archive.Archive(root, day.sources(Path()))
    data = b"".join([piece async for piece in made.pieces()])
    assert made.size == len(data)
    return data


async def test_a_day_is_read_back_frame_by_frame(tmp_path):
    day = Day(minutes=180)
    root = await archive.root_block(day.reports, day.sources(tmp_path))
    assert root == await archive.root_block(list(day.reports), day.sources(tmp_path))
    data = await whole(root, day)
    assert data == await whole(root, day)
    found = reader.check_archive(data, WORLD["GATEWAY"].hash)
    assert (found.frames, found.intervals) == (len(day.board.frames), 36)
    assert found.value["day"] == "2026-09-22"
    assert day.asked_max == archive.BATCH < len(day.board.frames)


@pytest.mark.parametrize("at", [0, 1, 40, 60, 200, -40, -1])
async def test_no_byte_of_an_archive_can_change(at):
    day = Day(minutes=10)
    data = bytearray(await whole(await archive.root_block(day.reports, day.sources(Path())), day))
    data[at] ^= 1
    with pytest.raises(reader.DayError):
        reader.check_archive(bytes(data))


async def test_bad_days_are_refused_before_anything_is_sent(tmp_path):
    day = Day()
    sources = day.sources(tmp_path)
    for reason, reports in [
        ("quarantined", [day.report(0, verdict="quarantined")]),
        ("unknown_board", [day.report(0, board_key=bytes(32))]),
        ("too_many_frames", [day.report(0, evidence=[[1, 1, archive.FRAMES_MAX + 1]])]),
        ("no_streams", [day.report(0, evidence=[[1, 2, 7]])]),
        ("too_many_intervals", [day.report(0, profile="x" * archive.ROOT_BYTES_MAX)]),
        ("no_evidence", [day.report(0, evidence=[[1, 1, 999]])]),
    ]:
        with pytest.raises(RefusedError) as refusal:
            await archive.root_block(reports, sources)
        assert refusal.value.reason == reason


async def test_a_frame_that_is_gone_or_another_is_not_passed_over(tmp_path):
    day = Day()
    root = await archive.root_block(day.reports, day.sources(tmp_path))
    day.held[5] = day.held[6]
    with pytest.raises(RefusedError, match="frame_changed"):
        await whole(root, day)
    del day.held[5]
    with pytest.raises(RefusedError, match="no_evidence"):
        await whole(root, day)


async def pieces(*data):
    for piece in data:
        yield piece


async def test_a_folder_keeps_files_whole_or_not_at_all(tmp_path):
    folder = Folder(tmp_path / "out", 100)
    await folder.keep("a.car", 60, pieces(b"x" * 30, b"y" * 30))
    await folder.keep("a.car", 60, pieces())  # is there already
    assert (folder.path / "a.car").read_bytes() == b"x" * 30 + b"y" * 30
    assert not folder.trouble()
    with pytest.raises(UnavailableError, match="move files away"):
        await folder.keep("b.car", 60, pieces(b"z" * 60))
    await folder.keep("c.car", 40, pieces(b"z" * 40))
    assert "move files away" in folder.trouble()
    assert sorted(file.name for file in folder.path.iterdir()) == ["a.car", "c.car"]


async def failing():
    yield b"1"
    raise RefusedError("no_evidence")


async def test_a_folder_keeps_no_half_file(tmp_path):
    folder = Folder(tmp_path, 100)
    with pytest.raises(RefusedError):
        await folder.keep("a.car", 60, failing())
    assert not list(tmp_path.iterdir())
    (tmp_path / "sub").write_text("")
    with pytest.raises(UnavailableError, match="cannot be written"):
        await Folder(tmp_path / "sub", 100).keep("a.car", 1, pieces(b"1"))
    assert "name another folder" in Folder(tmp_path / "sub" / "in", 100).trouble()


def test_an_item_is_known_by_its_signature():
    name = base64.urlsafe_b64decode(ans104.item_id(b"s" * 65) + "=")
    assert name == hashlib.sha256(b"s" * 65).digest()
