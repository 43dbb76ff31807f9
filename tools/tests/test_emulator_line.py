"""The line model: byte times, silences, and what a fault does to an answer."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.line import REAL_KINDS, Fault, FaultKind, LineClock, Timing, crc16, spoil
from wattwire import modbus

bauds = st.sampled_from((1200, 2400, 9600, 19_200, 38_400, 115_200))
sizes = st.integers(1, 256)


def answer_of(count: int) -> bytes:
    body = bytes((1, 4, 2 * count)) + bytes(range(2 * count))
    return body + crc16(body)


@pytest.mark.parametrize(
    ("baud", "registers", "polls_per_s"),
    [(9600, 20, 16.0), (9600, 80, 5.33), (9600, 50, 8.0), (19_200, 20, 32.0), (115_200, 20, 123.0), (2400, 20, 4.0)],
)
def test_the_physical_limit_is_the_published_one(baud, registers, polls_per_s):
    assert 1 / Timing(baud).exchange_s(8, 5 + 2 * registers, 0) == pytest.approx(polls_per_s, rel=0.005)


@given(baud=bauds, few=sizes, more=sizes, turnaround_s=st.floats(0, 1))
def test_more_bytes_and_longer_thought_never_take_less(baud, few, more, turnaround_s):
    few, more = sorted((few, more))
    timing = Timing(baud)
    assert timing.exchange_s(8, few, 0) <= timing.exchange_s(8, more, 0) <= timing.exchange_s(8, more, turnaround_s)
    assert timing.exchange_s(8, few, turnaround_s) <= Timing(1200).exchange_s(8, few, turnaround_s)


@given(
    arrivals=st.lists(st.floats(0, 10), min_size=1, max_size=20),
    late=st.floats(0, 0.003),
    baud=bauds,
    answer=sizes,
)
def test_the_line_never_runs_backwards_nor_faster_than_its_bits(arrivals, late, baud, answer):
    timing = Timing(baud)
    clock = LineClock(timing)
    now = ended = 0.0
    for gap in arrivals:
        now = max(now, ended) + gap
        heard = clock.request(now, 8)
        assert heard >= ended + timing.wire_s(8) + timing.silence_s - 1e-9
        before, ended = ended, heard + timing.wire_s(answer)
        assert ended > before
        now = ended + late
        clock.answered(ended, now)


def test_the_hosts_lateness_is_given_back_once():
    clock = LineClock(Timing(9600))
    clock.answered(1.0, 1.002)
    assert clock.request(1.1, 8) == pytest.approx(1.098 + clock.timing.wire_s(8) + clock.timing.silence_s)


@given(kind=st.sampled_from(REAL_KINDS), seed=st.integers(), count=st.integers(1, 100))
def test_what_a_fault_leaves_is_what_its_name_says(kind, seed, count):
    good = answer_of(count)
    heard = spoil(kind, good, random.Random(seed))
    if kind is FaultKind.CRC:
        assert len(heard) == len(good)
        assert sum((one ^ other).bit_count() for one, other in zip(heard, good, strict=True)) == 1
        assert crc16(heard[:-2]) != heard[-2:]
    elif kind is FaultKind.WRONG_UNIT:
        assert heard[0] != good[0]
        assert crc16(heard[:-2]) == heard[-2:]
    elif kind is FaultKind.TRUNCATED:
        assert 0 < len(heard) < len(good)
        assert good.startswith(heard)
    elif kind in {FaultKind.NOISE_BEFORE, FaultKind.NOISE_AFTER}:
        assert len(heard) > len(good)
        assert good in heard
    else:
        assert heard == (b"" if kind is FaultKind.SILENCE else good)


def test_a_script_is_drawn_from_its_seed():
    def script(seed: int) -> list[FaultKind | None]:
        chance = random.Random(seed)
        fault = Fault(FaultKind.ANY, share=0.5)
        return [fault.draw(chance) for _ in range(100)]

    assert script(1) == script(1) != script(2)
    assert None in script(1)
    assert set(REAL_KINDS) <= set(script(1))


def test_a_counted_fault_is_over_after_its_count():
    fault = Fault(FaultKind.SILENCE, count=2)
    chance = random.Random(0)
    assert [fault.draw(chance) for _ in range(4)] == [FaultKind.SILENCE, FaultKind.SILENCE, None, None]


@given(st.binary(max_size=64))
def test_our_crc_is_the_boards(data):
    assert int.from_bytes(crc16(data), "little") == modbus.crc16(data)
