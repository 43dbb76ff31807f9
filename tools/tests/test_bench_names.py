"""The names that the board's program keeps: fewer than make their table double, whatever was loaded in between."""

from bench import heap, names

SPARE = 30  # for what a profile with more points brings


async def test_the_names_of_a_running_board_stay_below_the_doubling_of_their_table():
    figures = await names.measure(quick=True)
    found = figures["names_after_all_loans"]
    assert 500 < figures["names_metering"] < found
    assert found + SPARE <= names.DOUBLES_AT, (
        f"The board's program interns {found} names, and {SPARE} are spare; beyond {names.DOUBLES_AT} their table "
        f"doubles, which costs a chip {names.DOUBLING_BYTES} bytes of heap at once. Reuse names, or make constants "
        "private to one module (firmware/README.md, Memory)."
    )


async def test_the_emulated_board_meters_before_the_doubling_too():
    """Its heap has no room left for that: shorten names, of the program's or of the emulator's shims."""
    figures = await names.measure(quick=True)
    assert figures["names_metering"] + heap.SHIM_NAMES <= names.DOUBLES_AT


def test_everything_on_loan_is_counted():
    assert {"wattboard.vitals", "wattboard.boots", "wattboard.config", "wattboard.catalog"} <= set(names.on_loan())
