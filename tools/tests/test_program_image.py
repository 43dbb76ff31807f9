"""The program as boards take it: compiled once, in one image, and the same from everywhere."""

import ast
import subprocess
import sys
from collections import Counter

import pytest

from emulator import memory, vm
from emulator.board import Board
from emulator.errors import EmulatorError
from wattprogram import Layout, Software, software
from wattprogram.constants import inlined
from wattprogram.layout import bytecode, sources
from wattprogram.mpy import CompileError, compile_source
from wattprogram.rom import MAGIC, rom_image

TELL = b"""
import gc, sys, wattboard.hal, wattwire.cbor
print(wattboard.hal.__file__, wattwire.cbor.encode([1, None]).hex(), sys.path)
gc.collect()
print("total", gc.mem_alloc() + gc.mem_free())
"""


def test_a_board_carries_the_program_and_nothing_of_its_tests():
    rom, mpy, source = (software(layout) for layout in (Layout.ROM, Layout.MPY, Layout.SOURCE))
    assert set(rom.files) == {"/main.py"}
    assert rom.rom.startswith(MAGIC)
    assert {"/main.py", "/wattboard/hal.mpy", "/wattwire/cbor.mpy", "/profiles/eastron_sdm120.json"} <= set(mpy.files)
    assert {"/main.py", "/wattboard/hal.py", "/wattwire/p256_verify.py"} <= set(source.files)
    for made in (mpy, source):
        assert not made.rom
        assert "/profiles/vehicles/nissan_leaf.json" in made.files
        assert not {"/wattwire/evidence.mpy", "/wattwire/evidence.py"} & set(made.files)  # the gateway's alone
        assert not [name for name in made.files if "test" in name or "frames/" in name or "schema" in name]


def test_nothing_is_compiled_twice_and_nothing_stale_is_taken(tmp_path):
    first = compile_source("/a/b.py", b"x = 1", tmp_path)
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(kept.read_bytes() + b"!")
    assert compile_source("/a/b.py", b"x = 1", tmp_path) == first + b"!"
    assert compile_source("/a/b.py", b"x = 2", tmp_path) != first
    assert compile_source("/a/b.py", b"x = 1", tmp_path) == first
    kept.write_bytes(b"torn")
    assert compile_source("/a/b.py", b"x = 1", tmp_path) == first
    assert list(tmp_path.iterdir()) == [kept]


def test_integers_and_texts_with_names_are_compiled_in():
    one = """# Text: LIMIT.
LIMIT = 5  # grün: LIMIT
TWICE = 2 * LIMIT + (1 << 3)
SHARED = 6
_OWN = -7
TABLE = (LIMIT, TWICE)
BIG = 1 << 40
AGAIN = 1
AGAIN = 2
FIRST, _SECOND = 1, LIMIT  # both
THIRD, OTHERS = 3, ["x"]
TEXT = 'it is "grün"'
HELD = 3
_HELD = "taken"
def use(LIMITS, x=LIMIT): return x.LIMITS + LIMIT if LIMIT > TWICE else "LIMIT" + HELD
""".encode()
    other = "from package import one\nfrom package.one import AGAIN\nprint('ü', one.SHARED, one.BIG)\n".encode()
    made = inlined({"/package/one.py": one, "/other.py": other})
    assert made["/other.py"] == other.replace(b"one.SHARED", b"6")
    text = made["/package/one.py"].decode()
    assert "\n_LIMIT = const(5)  # grün: LIMIT\n_TWICE = const(18)\n_SHARED = const(6)\n_OWN = const(-7)\n" in text
    assert "TABLE = (_LIMIT, _TWICE)\nBIG = 1 << 40\nAGAIN = 1\nAGAIN = 2\n" in text
    assert '\n_FIRST = const(1); _SECOND = const(5)  # both\nTHIRD, OTHERS = 3, ["x"]\n' in text
    assert "\n_TEXT = const('it is \"grün\"')\nHELD = 3\n" in text
    assert 'def use(LIMITS, x=_LIMIT): return x.LIMITS + _LIMIT if _LIMIT > _TWICE else "LIMIT" + HELD' in text


def test_the_program_has_many_of_them_and_keeps_its_shape():
    modules = sources()
    made = inlined(modules)
    assert sum(made[name] != source for name, source in modules.items()) > 20
    for name, source in made.items():
        before, after = (Counter(type(node) for node in ast.walk(ast.parse(text))) for text in (modules[name], source))
        assert before[ast.FunctionDef] == after[ast.FunctionDef]
        assert before[ast.Attribute] >= after[ast.Attribute]


def test_what_is_not_micropython_is_refused_with_its_place(tmp_path):
    with pytest.raises(CompileError, match=r"/a/b\.py: .*line 2"):
        compile_source("/a/b.py", b"x = 1\nthen what", tmp_path / "nowhere" / "to" / "keep")


def test_the_command_line_writes_both_forms(tmp_path):
    for words in (("rom", tmp_path / "it.romfs"), ("files", tmp_path / "files")):
        subprocess.run([sys.executable, "-m", "wattprogram", *words], check=True, capture_output=True)
    assert (tmp_path / "it.romfs").read_bytes() == software().rom
    assert (tmp_path / "files" / "wattboard" / "hal.mpy").is_file()
    assert (tmp_path / "files" / "main.py").is_file()


@pytest.mark.parametrize(
    ("layout", "place"), [("rom", "/rom/wattboard/hal.mpy"), ("mpy", "hal.mpy"), ("source", "hal.py")]
)
async def test_a_board_runs_the_same_program_from_everywhere(tmp_path, layout, place):
    made = software(Layout(layout))
    new = Software({**made.files, "/main.py": TELL}, made.rom)
    async with Board(tmp_path, software=lambda: new) as board:
        text = await board.console.wait("total")
        assert f"{place} 8201f6" in text
        assert ("'/rom', '/rom/lib'" in text) is (layout == "rom")
        assert "/chip" not in text
        assert 4000 < board.chip_bytes < 30_000


async def test_where_a_process_cannot_find_its_environment_the_heap_grows_by_the_image(tmp_path, monkeypatch):
    totals = []
    made = software()
    new = Software({"/main.py": TELL}, made.rom)
    for mappable in (True, False):
        monkeypatch.setattr(memory, "is_mappable", lambda mappable=mappable: mappable)
        async with Board(tmp_path / str(mappable), heap="300k", software=lambda: new) as board:
            text = await board.console.wait(">>> ")
            assert "/rom/wattboard/hal.mpy 8201f6" in text
            totals.append(int(text.rpartition("total ")[2].split()[0]))
            image_bytes = 256 * 1024 + (board.folder / "chip.romfs").stat().st_size
    assert image_bytes * 0.97 < totals[1] - totals[0] <= image_bytes


def test_the_heap_is_written_as_the_vm_takes_it():
    assert memory.grown("160k", 1000) == str(160 * 1024 + 1000)
    assert memory.grown("2M", 1) == str((2 << 20) + 1)
    assert memory.grown("4096", 0) == "4096"
    with pytest.raises(EmulatorError, match="write it as 160k"):
        memory.grown("much", 1)
    with pytest.raises(EmulatorError, match="more than"):
        memory.environment(memory.BYTES_MAX + 1)


def test_the_chips_modules_are_an_image_of_their_own():
    assert vm.SHIMS.is_dir()
    assert len(rom_image(bytecode(sources()))) > 10_000
