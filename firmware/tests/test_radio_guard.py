"""The guard of a car's 12-V battery, and the plan of requests: both pure."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattness.radio import find_vehicle
from wattwire import obd_plan
from wattwire.guard import CHECK_MS, HOLD_MS, QUIET_MS, REST_MS, Guard


def test_voltage_proves_for_half_a_minute():
    guard = Guard()
    assert not guard.may_ask(0)
    guard.measured(0, 13_200)
    assert guard.may_ask(HOLD_MS - 1)
    assert not guard.may_ask(HOLD_MS)
    guard.measured(HOLD_MS, 13_199)
    assert not guard.may_ask(HOLD_MS)
    guard.measured(HOLD_MS, None)
    assert not guard.may_ask(HOLD_MS)
    assert guard.check_ms == HOLD_MS + CHECK_MS


def test_traffic_proves_only_after_our_own_silence():
    guard = Guard()
    guard.listened(0, 5)
    assert guard.may_ask(0)
    guard.answered(HOLD_MS - 1, 3)
    guard.listened(HOLD_MS, 5)
    assert not guard.may_ask(HOLD_MS)  # what we keep awake proves nothing
    guard.listened(HOLD_MS - 1 + QUIET_MS, 0)
    assert not guard.may_ask(HOLD_MS - 1 + QUIET_MS)
    guard.listened(HOLD_MS - 1 + QUIET_MS, 1)
    assert guard.may_ask(HOLD_MS - 1 + QUIET_MS)


def test_a_car_that_does_not_answer_is_left_alone_whatever_the_voltage():
    guard = Guard()
    guard.measured(0, 14_000)
    for at in (1, 2):
        guard.answered(at, 0)
    assert guard.may_ask(3)
    guard.answered(3, 0)
    guard.measured(4, 14_000)
    assert not guard.may_ask(4)
    guard.measured(3 + REST_MS, 14_000)
    assert guard.may_ask(3 + REST_MS)


@pytest.mark.parametrize("seed", range(20))
def test_nobody_asks_a_minute_after_the_car_fell_asleep(seed: int):
    """A day of driving, charging and parking; the car stays awake for as long as it is asked."""
    rng = random.Random(seed)
    guard = Guard()
    now_ms = on_ms = off_ms = was_on_ms = 0
    kept_awake_ms = -QUIET_MS
    while now_ms < 86_400_000:
        if now_ms >= off_ms:
            on_ms = now_ms + rng.randrange(60_000, 7_200_000)
            off_ms = on_ms + rng.randrange(60_000, 7_200_000)
        is_on = on_ms <= now_ms < off_ms
        if now_ms >= guard.check_ms:
            resting = 12_900 if rng.random() < 0.3 else 12_500
            guard.measured(now_ms, None if rng.random() < 0.05 else 14_200 if is_on else resting)
            if guard.may_listen(now_ms):
                guard.listened(now_ms, int(is_on or now_ms - kept_awake_ms < 20_000))
        if guard.may_ask(now_ms):
            assert is_on or now_ms - was_on_ms < 60_000
            kept_awake_ms = now_ms
            guard.answered(now_ms, 1)
        if is_on:
            was_on_ms = now_ms
        now_ms += rng.choice([200, 1000, 5000])


@given(st.lists(st.tuples(st.integers(0, 50_000), st.integers(0, 3), st.integers(0, 15_000))))
def test_a_guard_that_nothing_woke_lets_nothing_through(steps: list[tuple[int, int, int]]):
    guard = Guard()
    now_ms = 0
    for pause_ms, kind, figure in steps:
        now_ms += pause_ms
        if kind == 0:
            guard.measured(now_ms, min(figure, 13_199))
        elif kind == 1:
            guard.listened(now_ms, 0)
        elif kind == 2:
            guard.answered(now_ms, figure)
        assert not guard.may_ask(now_ms)


def test_a_plan_groups_by_ecu_and_shares_requests():
    vehicle = find_vehicle("sae_j1979")
    names = ("speed", "soc", "odometer", "aux_voltage", "ambient_temperature", "battery_voltage", "power", "soh")
    asks = obd_plan.plan(vehicle, names, set())
    assert [(ask.request, ask.slow) for ask in asks] == [
        ("010D5B9A", False), ("01A64246", True), ("01B2", True),
    ]  # fmt: skip
    assert all(ask.answer is None for ask in asks)


def test_a_plan_takes_the_next_source_of_what_was_refused():
    vehicle = find_vehicle("hyundai_kia_egmp")
    asks = obd_plan.plan(vehicle, ("battery_voltage", "soc", "soh"), set())
    assert [ask.request for ask in asks] == ["22E003", "220101", "220105"]
    asks = obd_plan.plan(vehicle, ("battery_voltage", "soh"), {("744", "22E003")})
    assert [ask.request for ask in asks] == ["220101", "220105"]
    assert obd_plan.plan(vehicle, (), set()) == []
    assert [obd_plan.count_digit(count) for count in (0, 1, 9, 15, 16)] == ["", "1", "9", "F", ""]
