"""The board loses its power at every single flash operation and keeps what it promised."""

from pathlib import Path

ON_BOARD = Path(__file__).parent / "on_board"


def test_every_power_cut_of_a_logs_life(run_micropython):
    printed = run_micropython((ON_BOARD / "powercut.py").read_text(), heap="8m")
    # Before its last line the VM tells of files that it could not close on a dead flash.
    operations, cuts = map(int, printed.splitlines()[-1].split())
    assert operations > 100
    assert cuts == 3 * operations


def test_a_full_flash_refuses_and_harms_nothing(run_micropython):
    refused, last, first = map(int, run_micropython((ON_BOARD / "fullflash.py").read_text(), heap="8m").split())
    assert refused == 6
    assert last > first > 1


def test_every_power_cut_of_an_updates_life(run_micropython):
    printed = run_micropython((ON_BOARD / "slotcut.py").read_text(), heap="8m")
    operations, cuts = map(int, printed.splitlines()[-1].split())
    assert operations > 60
    assert cuts == 3 * operations


def test_a_flash_full_of_another_versions_log_is_no_end(run_micropython):
    printed = run_micropython((ON_BOARD / "oldlog.py").read_text(), heap="8m")
    assert printed.split(maxsplit=3) == ["4", "1", "True", "['4']\n"]
