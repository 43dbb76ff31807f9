"""The power flow: what is unknown is null, what is derived says so."""

import pytest

from wattness.clock import Clock
from wattness.store.views import PointView, StreamView
from wattness.web.flow import flow

NOW = 1_790_000_000_000
POWER = PointView("power", "W", -1)


class Newest:
    """A reader that knows one value of each stream."""

    def __init__(self, values):
        self.by_id = values

    def values(self, stream_id, point, since_ms, limit):
        at, value = self.by_id[stream_id]
        return [[at, value]] if at is not None and at >= since_ms else []


def judged(*streams):
    """Return the flow of streams given as (role, watts, age in s)."""
    views, values = [], {}
    for number, (role, watts, age_s) in enumerate(streams, 1):
        at = None if age_s is None else NOW - age_s * 1000
        point = POWER if role != "vehicle" else PointView("battery_power", "W", 0)
        rest = ("profile", 1, None, [point], at and NOW - 10**9, at, NOW)
        views.append(StreamView(number, 1, "board", "11" * 32, str(number), role, *rest))
        values[number] = (at, watts)
    found = flow(Newest(values), views, Clock(Clock().real_ms_now(), NOW))
    return found.pv_w, found.battery_w, found.grid_w, found.load_w, found.vehicle_w, found.load_derived


@pytest.mark.parametrize(
    ("streams", "expected"),
    [
        ((), (None, None, None, None, None, False)),
        ((("pv", 3000.4, 5),), (3000, None, None, None, None, False)),
        ((("grid", -500, 5),), (None, None, -500, -500, None, True)),
        ((("pv", 3000, 5), ("battery", 1000, 9), ("grid", -500, 5)), (3000, 1000, -500, 1500, None, True)),
        ((("pv", 0, 5), ("grid", 0, 5)), (0, None, 0, 0, None, True)),  # zero is known
        ((("pv", None, 5), ("grid", 400, 5)), (None, None, 400, None, None, False)),  # the device gave none
        ((("pv", 3000, 300), ("grid", 400, 5)), (None, None, 400, None, None, False)),  # silent for five minutes
        ((("pv", None, None), ("grid", 400, 5)), (None, None, 400, None, None, False)),  # described, no row yet
        ((("pv", 3000, 2 * 86_400), ("grid", 400, 5)), (None, None, 400, 400, None, True)),  # gone for good
        ((("pv", 1, 5), ("pv", 2, 5), ("grid", 3, 5)), (3, None, 3, 6, None, True)),
        ((("pv", 1, 5), ("pv", 2, 300), ("grid", 3, 5)), (None, None, 3, None, None, False)),
        ((("load", 700, 5), ("grid", 3, 5)), (None, None, 3, 700, None, False)),
        (
            (("load", 700, 300), ("grid", 3, 5)),
            (None, None, 3, None, None, False),
        ),  # it is measured: nothing is made up
        ((("charger", 7000, 5), ("grid", 8000, 5)), (None, None, 8000, 1000, 7000, True)),
        ((("charger", 7000, 5), ("vehicle", 6500, 5)), (None, None, None, None, 7000, False)),
        ((("vehicle", 6500, 5), ("grid", 800, 5)), (None, None, 800, 800, 6500, True)),  # it may charge elsewhere
    ],
)
def test_flow(streams, expected):
    assert judged(*streams) == expected
