"""profile plan: the planner explains itself."""

import pytest

from wattness.errors import ConfigError
from wattness.profiles import find_profile, profile_ids
from wattness.reading_plan import reading_plan


def test_the_worked_example_of_an_sdm120():
    plan = reading_plan(find_profile("eastron_sdm120"), 9600, 25_000)
    fast, slow, _ = plan["levels"]
    assert plan["hole_registers"] == 22
    assert fast["reads"] == [
        {"table": "input", "address": 0, "count": 14, "ms": 75.0},
        {"table": "input", "address": 70, "count": 2, "ms": 50.0},
    ]
    assert (slow["every_s"], [read["count"] for read in slow["reads"]]) == (10, [14, 6])


def test_a_slow_device_is_read_in_one_piece():
    assert len(reading_plan(find_profile("eastron_sdm120"), 9600, 100_000)["levels"][1]["reads"]) == 1


@pytest.mark.parametrize("name", profile_ids())
def test_every_profile_has_a_plan_within_its_limits(name: str):
    for role in find_profile(name).roles or (None,):
        loaded = find_profile(name, role)
        if loaded.models or loaded.walk:
            with pytest.raises(ConfigError, match="no plan without the device"):
                reading_plan(loaded, 9600, 25_000)
            continue
        for level in reading_plan(loaded, 9600, 25_000)["levels"]:
            assert level["reads"] or level["rate"] == "fast"
            assert all(read["count"] <= loaded.manner.max_registers for read in level["reads"])
