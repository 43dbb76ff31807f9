"""Flash images on the host, and the log that is read back from them."""

import struct
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.errors import EmulatorError
from emulator.flash import BLOCK_BYTES, ROM_BYTES, make_image, make_rom, read_files, read_log, write_files


def segment(*frames: bytes) -> bytes:
    return b"".join(struct.pack(">HI", len(frame), crc32(frame)) + frame for frame in frames)


def test_an_image_holds_what_was_put_on_it(tmp_path):
    image = tmp_path / "flash.img"
    files = {"/main.py": b"print(1)", "/deep/er/file": bytes(10_000), "/empty": b""}
    make_image(image, files, blocks=64)
    assert image.stat().st_size == 64 * BLOCK_BYTES
    assert read_files(image) == files
    write_files(image, {"/main.py": b"print(2)", "/more": b"x"})
    assert read_files(image) == {**files, "/main.py": b"print(2)", "/more": b"x"}
    assert read_files(image, "/deep") == {"/deep/er/file": bytes(10_000)}
    assert read_files(image, "/nowhere") == {}


def test_the_log_is_read_by_log_and_seq(tmp_path):
    image = tmp_path / "flash.img"
    files = {
        "/log/1/00000001.seg": segment(b"a", b"b"),
        "/log/1/00000003.seg": segment(b"c"),
        "/log/2/00000001.seg": segment(b"d"),
        "/log/2/acked": b"\x00" * 8,
    }
    make_image(image, files, blocks=64)
    assert read_log(image) == {(1, 1): b"a", (1, 2): b"b", (1, 3): b"c", (2, 1): b"d"}


@given(cut=st.integers(0, 29), flip=st.integers(0, 29))
def test_torn_and_spoilt_frames_are_left_out(tmp_path_factory, cut, flip):
    whole = segment(b"abcd", b"efgh", b"ijkl")
    spoilt = bytearray(whole)
    spoilt[flip] ^= 1
    image = tmp_path_factory.mktemp("flash") / "flash.img"
    make_image(image, {"/log/1/00000001.seg": whole[:cut], "/log/2/00000001.seg": bytes(spoilt)}, blocks=16)
    frames = read_log(image)
    assert {key: frame for key, frame in frames.items() if key[0] == 1} == {
        (1, seq): frame for seq, frame in enumerate((b"abcd", b"efgh", b"ijkl"), 1) if cut >= 10 * seq
    }
    assert set(frames.values()) <= {b"abcd", b"efgh", b"ijkl"}


def test_an_image_without_a_log_has_no_frames(tmp_path):
    make_image(tmp_path / "flash.img", {}, blocks=16)
    assert read_log(tmp_path / "flash.img") == {}


def test_a_program_too_large_for_its_partition_is_refused(tmp_path):
    make_rom(tmp_path / "rom.img", b"image")
    assert (tmp_path / "rom.img").read_bytes() == b"image" + b"\xff" * (ROM_BYTES - 5)
    with pytest.raises(EmulatorError, match="does not fit"):
        make_rom(tmp_path / "rom.img", bytes(ROM_BYTES + 1))
