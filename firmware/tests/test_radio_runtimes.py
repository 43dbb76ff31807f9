"""The suite of dongles, battery monitors and adverts, and the vehicles' profiles, on CPython and on MicroPython."""

import runpy
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from wattwire import vehicle_form

TESTS = Path(__file__).resolve().parent
SUITE = runpy.run_path(str(TESTS / "suite_radio.py"))
VEHICLES = sorted(path for path in (TESTS.parent / "profiles" / "vehicles").glob("*.json") if path.stem != "schema")

SCRIPT = """
import sys
sys.path.append({tests!r})
import cryptolib
import suite_radio
from wattwire import vehicle_form
for name in suite_radio.CHECKS:
    getattr(suite_radio, name)()
suite_radio.check_victron(lambda key, block: cryptolib.aes(key, 1).encrypt(block))
for path in {vehicles!r}:
    with open(path) as text:
        print(vehicle_form.load(text.read()))
"""


def aes_block(key: bytes, block: bytes) -> bytes:
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(block)  # noqa: S305


@pytest.mark.parametrize("name", SUITE["CHECKS"])
def test_on_cpython(name: str):
    SUITE[name]()


def test_victron_on_cpython():
    SUITE["check_victron"](aes_block)


def test_on_micropython(run_micropython: Callable[..., str]):
    found = run_micropython(SCRIPT.format(tests=str(TESTS), vehicles=[str(path) for path in VEHICLES]))
    assert found.splitlines() == [str(vehicle_form.load(path.read_text())) for path in VEHICLES]
    assert len(VEHICLES) >= 4


def test_hours_among_liars_end_no_task_stall_none_and_give_no_value(run_micropython: Callable[..., str]):
    printed = run_micropython((TESTS / "on_board" / "liar.py").read_text())
    slowest_ms, widest, errors, links = map(int, printed.splitlines()[-1].split())
    assert slowest_ms < 45_000, "the supervisor resets the board after a minute"
    assert widest <= 48
    assert errors > 50
    assert links >= 0
