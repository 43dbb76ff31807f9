"""The planner against brute force, and the schedule against its deadlines."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from wattwire import plan, reading
from wattwire.modbus import ModbusError
from wattwire.pace import RESPONSE_MAX_US, RESPONSE_MIN_US, Pace
from wattwire.plan import Learned, Read, coalesce
from wattwire.schedule import Schedule, choose

Span = tuple[int, int, int]
SPANS = st.lists(
    st.tuples(st.sampled_from([3, 4]), st.integers(0, 60), st.integers(1, 6)).map(
        lambda drawn: (drawn[0], drawn[1], drawn[1] + drawn[2])
    ),
    max_size=7,
    unique=True,
)
LIMITS = st.integers(6, 40)
HOLES = st.integers(0, 40)
BARRIERS = st.lists(st.integers(1, 66), max_size=3).map(tuple)


def holds(read: Read, span: Span) -> bool:
    return read.fc == span[0] and read.address <= span[1] and span[2] <= read.address + read.count


def cheapest(spans: list[Span], limit: int, hole: int, barriers: tuple[int, ...]) -> int:
    """Return the least cost of any way to put the spans into reads, by trying them all."""
    apart = plan._apart(spans)
    best = None
    for cuts in itertools.product((False, True), repeat=max(0, len(apart) - 1)):
        groups: list[list[Span]] = [[]]
        for index, span in enumerate(apart):
            if index and cuts[index - 1]:
                groups.append([])
            groups[-1].append(span)
        cost = 0
        for group in groups if apart else []:
            first, end = group[0][1], group[-1][2]
            crosses = any(first < barrier < end for barrier in barriers) and len(group) > 1
            if len({span[0] for span in group}) > 1 or end - first > limit or crosses:
                break
            cost += end - first + hole
        else:
            best = cost if best is None else min(best, cost)
    assert best is not None
    return best


@given(SPANS, LIMITS, HOLES, BARRIERS)
def test_no_cheaper_reads_exist(spans: list[Span], limit: int, hole: int, barriers: tuple[int, ...]):
    reads = coalesce(spans, limit, hole, barriers)
    assert all(any(holds(read, span) for read in reads) for span in spans)
    assert all(read.count <= limit for read in reads)
    assert reads == sorted(reads)
    for read in reads:
        crosses = any(read.address < barrier < read.address + read.count for barrier in barriers)
        assert not crosses or tuple(read) in [(fc, first, end - first) for fc, first, end in spans]
    assert sum(read.count + hole for read in reads) == cheapest(spans, limit, hole, barriers)


@given(SPANS, LIMITS, HOLES, st.sets(st.integers(0, 66), max_size=5), st.sets(st.integers(1, 66), max_size=4))
def test_whatever_a_device_minds_is_found_out(
    spans: list[Span], limit: int, hole: int, missing: set[int], walls: set[int]
):
    def refuses(read: Read) -> bool:
        end = read.address + read.count
        return any(read.address <= at < end for at in missing) or any(read.address < wall < end for wall in walls)

    learned = plan.NOTHING
    for _ in range(3 * len(spans) + 1):
        reads = coalesce(spans, limit, hole, (), learned)
        refused = next((read for read in reads if refuses(read)), None)
        if refused is None:
            break
        bisect = plan.Bisect(refused, spans, learned)
        while (read := bisect.next()) is not None:
            if refuses(read):
                bisect.fail(ModbusError(2))
            else:
                bisect.take()
        assert bisect.learned() != learned, "each round teaches something"
        learned = bisect.learned()
    else:
        raise AssertionError("it never ends")
    for span in spans:
        alone = Read(span[0], span[1], span[2] - span[1])
        assert any(holds(read, span) for read in reads) or refuses(alone)


@given(st.lists(st.none() | st.integers(-1000, 5_000_000), max_size=80), st.integers(0, 300_000))
def test_a_unit_is_never_hurried_and_never_waited_for_too_long(thinking: list[int | None], wire_us: int):
    unit = Pace(reading.PLAIN)
    for each in thinking:
        if each is None:
            unit.silent()
        else:
            unit.answered(each)
            assert unit.turnaround_us <= max(each, 0)
    assert RESPONSE_MIN_US <= unit.response_us(wire_us) <= RESPONSE_MAX_US


def test_what_is_absent_is_not_asked():
    learned = Learned((), ((3, 4, 6),))
    assert coalesce([(3, 0, 2), (3, 4, 6)], 125, 22, (), learned) == [Read(3, 0, 2)]


def polled(units: list[tuple[int, int]], until_ms: int) -> list[list[tuple[int, int]]]:
    """Return (slot, end) of every poll of each unit, (period, cost), as the meter's task makes them."""
    planned = [Schedule(period_ms, index * period_ms // len(units)) for index, (period_ms, _) in enumerate(units)]
    polls: list[list[tuple[int, int]]] = [[] for _ in units]
    for each in planned:
        each.answered(0)
    now_ms = 0
    while now_ms < until_ms:
        index = choose(planned, now_ms)
        due_ms = planned[index].due_ms
        began_ms = max(now_ms, due_ms)
        now_ms = began_ms + units[index][1]
        planned[index].answered(began_ms)
        polls[index].append((due_ms, now_ms))
    return polls


UNITS = st.lists(
    st.tuples(st.sampled_from([500, 1000, 1500, 5000, 30000]), st.integers(20, 700)), min_size=1, max_size=8
)


@given(UNITS)
def test_no_slot_is_missed_where_there_is_time_and_no_unit_starves_where_there_is_not(units: list[tuple[int, int]]):
    all_ms = sum(cost_ms for _, cost_ms in units)
    fits = all_ms <= min(period_ms for period_ms, _ in units)
    for (period_ms, _), polls in zip(units, polled(units, 200_000), strict=True):
        ends = [0, *(end_ms for _, end_ms in polls), 200_000]
        assert max(after - before for before, after in itertools.pairwise(ends)) <= 2 * (period_ms + all_ms)
        if fits:
            slots = [slot_ms for slot_ms, _ in polls]
            assert slots == list(range(slots[0], slots[-1] + 1, period_ms))
            assert all(end_ms <= slot_ms + period_ms for slot_ms, end_ms in polls)
