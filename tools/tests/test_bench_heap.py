"""The board's memory: the program fits a chip, part by part, and a fixed heap in which it meters."""

import re
from pathlib import Path

import pytest

from bench import heap, parts
from wattprogram import Layout

CHIP_BYTES_MAX = 60_000  # live, two meters and the uplink: the mark


async def test_the_program_fits_a_chip_part_by_part(monkeypatch):
    monkeypatch.delenv(parts.WASM, raising=False)
    figures = await parts.count(Layout.ROM)
    assert {"asyncio", "two meters", "a minute of rows"} < set(figures["bytes_64_bit"])
    assert "not measured" in figures["bytes_32_bit"]
    assert figures["chip_bytes"] <= CHIP_BYTES_MAX


async def test_a_vm_of_32_bits_is_asked_for_by_name(monkeypatch, tmp_path):
    monkeypatch.setenv(parts.WASM, str(tmp_path / "nowhere.mjs"))
    with pytest.raises((RuntimeError, FileNotFoundError), match=r"nowhere\.mjs|no `node`"):
        await parts.measure(quick=True)


@pytest.mark.timeout(120)
async def test_two_meters_every_second_fit_a_fixed_heap_and_stay_flat():
    live, emulator_bytes, _ = await heap.soak(12, 3000)
    assert len(live) >= 3
    assert max(live) < heap.HEAP_BYTES
    assert max(live[1:]) - min(live[1:]) < 2048
    assert 8000 < emulator_bytes < 20_000


def test_the_readme_names_the_heap_that_is_measured():
    readme = (Path(__file__).parents[2] / "firmware" / "README.md").read_text()
    assert f"{heap.HEAP_BYTES // 1024} KB" in readme
    assert re.search(r"python -m bench heap parts", readme)
