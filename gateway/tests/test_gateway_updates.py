"""Releases: what the owner signs is what a board is given, piece by piece, and nothing else."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattness import releases, updates
from wattness.errors import ConfigError
from wattness.keys import new_key
from wattness.model import Board
from wattness.releases import Terms
from wattwire import cose, link, p256, release
from wattwire.errors import WireError

IMAGE = bytes(range(256)) * 20
BOARD_PUBLIC = p256.public_key(bytes(range(1, 33)))
KID = cose.kid(BOARD_PUBLIC)
BOARD = Board(7, "roof", BOARD_PUBLIC, KID, cose.board_key(BOARD_PUBLIC), bytes(32), "word")
STRANGER = p256.public_key(bytes(range(3, 35)))


@pytest.fixture
async def bundle(tmp_path: Path) -> releases.Bundle:
    signer = new_key("file:release.key", tmp_path)
    (tmp_path / releases.PUBLIC_NAME).write_text(signer.public_key.hex())
    (tmp_path / "one.wnr").write_bytes(await releases.build(signer, IMAGE, Terms("1.2.3")))
    return releases.read_bundle(tmp_path / "one.wnr")


class World:
    """Updates with a board that is online, and what it was told."""

    def __init__(self, folder: Path) -> None:
        self.told: list[tuple[str, Any]] = []
        self.states = {KID: "online"}
        self.updates = updates.Updates(folder, self._boards, self._command, self.states)

    async def _boards(self) -> list[Board]:
        return [BOARD]

    async def _command(self, board_id: int, name: str, arguments: object) -> None:
        assert (board_id, name) == (BOARD.id, "update")
        self.told.append((name, arguments))

    async def want(self, body: bytes, key: bytes = BOARD.link_key) -> None:
        self.updates.heard(KID, link.seal(key, link.topic(KID, "want"), body))
        await self.updates.serve()


def test_a_release_says_what_it_is_and_a_board_believes_the_owner_only(bundle, tmp_path):
    assert bundle.version == "1.2.3"
    assert bundle.manifest.size == len(IMAGE)
    key = releases.pinned_key(tmp_path)
    assert release.verify(key, bundle.envelope) == bundle.manifest
    releases.check_signature(bundle, key)
    with pytest.raises(ConfigError, match="another key"):
        releases.check_signature(bundle, STRANGER)
    with pytest.raises(WireError, match="bad_signature"):
        cose.verify(key, bundle.envelope)  # not as a frame: its context is its own


@pytest.mark.parametrize("spoil", [b"", b"wnr1", b"PK\x03\x04" * 40])
def test_what_is_no_release_is_refused_with_the_remedy(tmp_path, spoil):
    (tmp_path / "x").write_bytes(spoil)
    with pytest.raises(ConfigError, match="wattness release build"):
        releases.read_bundle(tmp_path / "x")


def test_a_damaged_image_is_refused(bundle, tmp_path):
    (tmp_path / "x").write_bytes(bundle.data[:-1] + b"\x00")
    with pytest.raises(ConfigError, match="damaged"):
        releases.read_bundle(tmp_path / "x")


@pytest.mark.parametrize("text", ["1.2", "1.2.x", "01.2.3", "1.2.3.4", "", "1.2.99999999"])
def test_versions_are_three_numbers(text):
    with pytest.raises(ConfigError, match="three numbers"):
        releases.parse_version(text)


async def test_a_release_goes_to_a_board_as_it_asks(bundle, tmp_path):
    folder = tmp_path / "updates"
    world = World(folder)
    await world.updates.offer()
    assert not world.told
    updates.queue(folder, BOARD, bundle)
    await world.updates.offer()
    await world.updates.offer()  # once a minute only
    assert world.told == [("update", [bundle.envelope])]
    found = b""
    while len(found) < len(bundle.data):
        await world.want(release.encode_want(bundle.id, len(found), 2048))
        name, (said, offset, piece) = world.told.pop()
        assert (name, said, offset) == ("update", bundle.id, len(found))
        found += piece
    assert found == bundle.data
    await world.want(release.encode_result(bundle.id, "trying"))
    assert updates.read_status(folder, BOARD) == {"version": "1.2.3", "state": "trying"}
    world.states[KID] = "offline"
    await world.updates.offer()
    world.states[KID] = "online"
    await world.updates.offer()  # it is back: what has become of it?
    assert world.told == [("update", [bundle.envelope])] * 2
    await world.want(release.encode_result(bundle.id, "kept"))
    assert updates.read_status(folder, BOARD)["state"] == "kept"
    assert not list(folder.glob("*.wnr"))


async def test_nobody_else_gets_anything(bundle, tmp_path):
    world = World(tmp_path / "updates")
    await world.updates.offer()
    await world.want(release.encode_want(bundle.id, 0, 100))  # nothing is queued
    updates.queue(tmp_path / "updates", BOARD, bundle)
    await world.want(release.encode_want(bundle.id, 0, 100), key=bytes(31) + b"\x01")
    await world.want(release.encode_want(bytes(16), 0, 100))
    await world.want(b"junk")
    await world.want(release.encode_want(bundle.id, len(bundle.data), 100))
    world.updates.heard(bytes(8), b"x" * 40)
    await world.updates.serve()
    assert not world.told
    assert world.updates.counts["not_queued"] == 2
    assert world.updates.counts["bad_tag"] == 1
    assert world.updates.counts["unknown_board"] == 1
    for _ in range(updates.WAITING_MAX + 1):
        world.updates.heard(KID, b"")
    assert world.updates.counts["dropped_full"] == 1


async def test_a_release_that_was_tried_in_vain_is_told_and_can_be_tried_again(bundle, tmp_path):
    folder = tmp_path / "updates"
    world = World(folder)
    updates.queue(folder, BOARD, bundle)
    await world.updates.offer()
    await world.want(release.encode_result(bundle.id, "rolled_back"))
    assert json.loads((folder / f"{KID.hex()}.json").read_text()) == {"version": "1.2.3", "state": "rolled_back"}
    updates.queue(folder, BOARD, bundle, again=True)
    world.updates._heard_s.clear()
    await world.updates.offer()
    assert world.told[-1] == ("update", [bundle.envelope, 1])


@settings.get_profile("parsers")
@given(st.binary(max_size=80))
def test_any_want_is_a_value_or_a_wire_error(data):
    try:
        _, _, size, word = release.decode_want(data)
    except WireError:
        return
    assert (0 < size <= release.PIECE_SIZE_MAX) == (word is None)


@settings.get_profile("parsers")
@given(st.binary(max_size=120))
def test_any_manifest_is_a_value_or_a_wire_error(data):
    try:
        manifest = release.decode_manifest(data)
    except WireError:
        return
    assert release.encode_manifest(manifest) == data


@given(
    st.builds(
        release.Manifest,
        st.tuples(*[st.integers(0, 0xFFFF)] * 3),
        st.integers(0, 9),
        st.integers(1, 1 << 20),
        st.binary(min_size=32, max_size=32),
        st.integers(10, 0x7FFF),
        st.booleans(),
    )
)
def test_a_manifest_comes_back_as_it_was(manifest):
    assert release.decode_manifest(release.encode_manifest(manifest)) == manifest
