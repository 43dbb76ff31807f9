"""What plan, pace and schedule promise; runs unchanged on CPython and on MicroPython.

Plain functions and asserts; `test_profile_runtimes.py` runs them on both interpreters.
"""

from wattwire import modbus, pace, plan, profile, schedule
from wattwire.errors import WireError
from wattwire.modbus import ModbusError
from wattwire.plan import Learned, Read, coalesce
from wattwire.reading import PLAIN, Manner

PZEM_MS = 85  # a slow meter's thinking


class Mapped:
    """A device with some registers, and reads that it minds: any that goes over one of `walls`."""

    def __init__(self, registers, walls=(), longest=125):
        self.registers = registers
        self.walls = walls
        self.longest = longest
        self.asked = 0

    def read(self, read):
        """Raise ModbusError where the device would."""
        self.asked += 1
        end = read.address + read.count
        if read.count > self.longest:
            raise ModbusError(3)
        if [wall for wall in self.walls if read.address < wall < end]:
            raise ModbusError(2)
        if [at for at in range(read.address, end) if at not in self.registers]:
            raise ModbusError(2)


def learn(device, spans, learned=plan.NOTHING, limit=125, hole=22):
    """Poll until nothing is refused any more; return what was learned and how many rounds it took."""
    for rounds in range(40):
        refused = None
        for read in coalesce(spans, limit, hole, (), learned):
            try:
                device.read(read)
            except ModbusError:
                refused = read
                break
        if refused is None:
            return learned, rounds
        bisect = plan.Bisect(refused, spans, learned)
        while True:
            read = bisect.next()
            if read is None:
                break
            try:
                device.read(read)
                bisect.take()
            except ModbusError as error:
                bisect.fail(error)
        learned = bisect.learned()
    raise AssertionError("it never ends")


def check_a_request_costs_registers():
    # The worked example of an SDM120 at 9600 baud: two reads with 25 ms of turnaround, one with a slow meter.
    spans = [(4, at, at + 2) for at in (0, 6, 12, 18, 24, 30, 70, 72, 74)]
    quick = modbus.hole_registers(9600, 25000)
    slow = modbus.hole_registers(9600, 1000 * PZEM_MS)
    assert coalesce(spans, 80, quick) == [(4, 0, 32), (4, 70, 6)]
    assert coalesce(spans, 80, slow) == [(4, 0, 76)]
    assert len(coalesce(spans, 80, 0)) == 7, "neighbours are read together whatever a request costs"
    # The cheapest split is not the greedy one, which would fill the first read up to its limit.
    assert coalesce([(3, 0, 2), (3, 11, 13), (3, 13, 25)], 16, 10) == [(3, 0, 2), (3, 11, 14)]


def check_limits_and_barriers():
    spans = [(3, 0, 2), (3, 4, 6), (3, 8, 10)]
    assert coalesce(spans, 125) == [(3, 0, 10)]
    assert coalesce(spans, 125, 22, (8,)) == [(3, 0, 6), (3, 8, 2)]
    assert coalesce(spans, 125, 22, (7,)) == [(3, 0, 6), (3, 8, 2)]
    assert coalesce(spans, 125, 22, (4, 8)) == [(3, 0, 2), (3, 4, 2), (3, 8, 2)]
    assert coalesce([(3, 0, 10)], 125, 22, (5,)) == [(3, 0, 10)], "what belongs together is never torn"
    learned = Learned(((3, 4),), ((3, 8, 10),))
    assert coalesce(spans, 125, 22, (), learned) == [(3, 0, 2), (3, 4, 2)]
    assert coalesce([(4, 0, 2), (4, 4, 6)], 125, 22, (), learned) == [(4, 0, 6)], "the other table is another map"


def check_bisecting_finds_the_forbidden_crossing():
    spans = [(3, at, at + 2) for at in range(0, 40, 4)]
    for wall in range(4, 40, 4):
        device = Mapped(set(range(64)), (wall,))
        learned, _ = learn(device, spans)
        assert learned == Learned(((3, wall),), ()), wall
        assert device.asked <= 3 * len(spans) + 4
        assert coalesce(spans, 125, 22, (), learned) == [(3, 0, wall - 2), (3, wall, 38 - wall)]


def check_bisecting_finds_what_is_not_there():
    spans = [(3, at, at + 2) for at in range(0, 40, 4)]
    for gone in range(0, 40, 4):
        device = Mapped(set(range(64)) - {gone})
        learned, _ = learn(device, spans)
        assert learned.absent == ((3, gone, gone + 2),), gone
        reads = coalesce(spans, 125, 22, (), learned)
        read = {at for each in reads for at in range(each.address, each.address + each.count)}
        assert gone not in read, "no read goes over the missing register either"
        assert not [span for span in spans if span[1] != gone and not set(range(span[1], span[2])) <= read]


def check_bisecting_finds_the_longest_read():
    spans = [(3, at, at + 2) for at in range(0, 40, 2)]
    learned, _ = learn(Mapped(set(range(64)), (), 11), spans)
    reads = coalesce(spans, 125, 22, (), learned)
    assert sum([read.count for read in reads]) == 40
    assert max([read.count for read in reads]) <= 11


def check_a_refusal_that_does_not_last_teaches_nothing():
    spans = [(3, 0, 2), (3, 4, 6)]
    bisect = plan.Bisect(Read(3, 0, 6), spans)
    assert bisect.next() == (3, 0, 6)
    bisect.take()
    assert bisect.next() is None
    assert bisect.learned() == plan.NOTHING
    bisect = plan.Bisect(Read(3, 0, 6), spans)
    for _ in range(plan.TRIES):
        bisect.fail(WireError("timeout"))
    assert bisect.next() is None
    assert bisect.learned() == plan.NOTHING
    assert plan.Bisect(Read(3, 100, 4), spans).next() is None


def check_rates():
    assert plan.rate("W", "power") == "fast"
    assert plan.rate("Wh", "energy_import") == "slow"
    assert plan.rate("%", "soc") == "slow"
    assert plan.rate("W", "rated_power") == "once"
    text = """{"id": "m", "title": "m", "positive": "import", "table": "input", "default": [], "points": [
        {"name": "power", "unit": "W", "address": 0, "type": "u16"},
        {"name": "voltage", "unit": "V", "address": 1, "type": "u16", "rate": "slow"},
        {"name": "energy_import", "unit": "Wh", "address": 72, "type": "u32"},
        {"name": "rated_power", "unit": "W", "address": 90, "type": "u16"}]}"""
    bound = profile.bind(profile.load(text))
    names = [point.name for point in bound.points]
    fast, slow, once = profile.plan_levels(bound, names, 10)
    assert fast == [(4, 0, 1)]
    assert slow == [(4, 0, 2), (4, 72, 2)]
    assert once == [(4, 0, 2), (4, 72, 2), (4, 90, 1)]
    fast, slow, once = profile.plan_levels(bound, names[:1], 10)
    assert fast is slow is once


def check_levels():
    planned = schedule.Schedule(1000, 0)
    assert planned.level(0) == 2, "at first everything"
    planned.took(2, 0)
    levels = []
    for now_ms in range(1000, 31000, 1000):
        levels.append(planned.level(now_ms))
        planned.took(levels[-1], now_ms)
    assert [index + 1 for index, level in enumerate(levels) if level] == [10, 20, 30]
    assert planned.level(3600000) == 2
    planned = schedule.Schedule(30000, 0)
    planned.took(2, 0)
    assert planned.level(30000) == 1, "a period that is long anyway has them all"


def check_whose_turn_it_is():
    fast, slow = schedule.Schedule(1000, 0), schedule.Schedule(60000, 0)
    fast.due_ms, slow.due_ms = 5000, 4000
    assert schedule.choose([slow, fast], 3000) == 0, "none is due: the first to come"
    assert schedule.choose([slow, fast], 6000) == 1, "both are due: the slot that ends first"
    assert schedule.choose([fast], 0) == 0


def check_pauses_of_a_silent_unit():
    unit = schedule.Schedule(1000, 0)
    pauses = []
    for _ in range(10):
        unit.silent(0)
        pauses.append(unit.due_ms - 1000)
    assert pauses == [2000, 4000, 8000, 16000, 32000, 64000, 128000, 256000, 300000, 300000]
    unit.silent(0, 4000)
    assert unit.due_ms - 1000 == 400000, "many that are silent wait longer"
    unit.silent(0, 3000)
    assert unit.due_ms - 1000 == 300000
    assert unit.answered(0)
    unit.silent(0, 4000)
    assert unit.due_ms - 1000 == 2000


def check_patience():
    unit = pace.Pace(PLAIN)
    assert unit.response_us(20000) == pace.RESPONSE_US
    unit.silent()
    assert unit.response_us(20000) == pace.RESPONSE_US, "an unknown unit is not waited for ever longer"
    unit.answered(85000)
    assert unit.response_us(20000) == 4 * 85000
    assert unit.response_us(500000) == 500000, "never less than the wire's own time"
    waits = []
    for _ in range(5):
        unit.silent()
        waits.append(unit.response_us(20000))
    assert waits == [680000, 1000000, 340000, 680000, 1000000]
    unit = pace.Pace(PLAIN)
    unit.answered(-300)
    assert (unit.turnaround_us, unit.response_us(20000)) == (0, pace.RESPONSE_MIN_US)
    slow = pace.Pace(Manner(64, 2, (), 50, 0, 10000))
    slow.answered(25000)
    assert slow.response_us(20000) == 10000000, "a device known as slow is not hurried"


def check_turnaround_is_the_shortest_of_late():
    unit = pace.Pace(PLAIN)
    for thinking_us in [30000, 25000, 28000] + [29000] * pace.WINDOW:
        unit.answered(thinking_us)
    assert unit.turnaround_us == 25000
    for _ in range(2 * pace.WINDOW):
        unit.answered(60000)
    assert unit.turnaround_us == 60000, "a unit that became slower is planned so"


def check_a_pause_after_a_change_of_units_only_where_it_is_needed():
    unit = pace.Pace(Manner(80, 2, (), 5, 200, 0))
    assert unit.change_ms() == 5
    unit.missed_change()
    assert unit.change_ms() == 200
    for _ in range(pace.HUSH):
        unit.answered(25000)
    assert unit.change_ms() == 5, "it may have been noise"


def check_use():
    use = pace.Use()
    assert use.take(1000) is None
    for _ in range(10):
        use.add(100000)
    assert use.take(4000000) == (250, 450), "a quarter busy: three quarters of a minute hold 450 reads of 100 ms"
    assert use.take(1000) is None
    use.add(5000)
    assert use.take(1000) == (1000, 0)
    assert use.take(0) is None


def lost_permille(thinking_us, count, hours):
    """Return the share of the time that units take which all fall silent at once, all waiting included."""
    units = [pace.Pace(PLAIN) for _ in range(count)]
    for unit in units:
        if thinking_us is not None:
            unit.answered(thinking_us)
    planned = [schedule.Schedule(1000, 1000 * index // count) for index in range(count)]
    wire_us = modbus.wire_us(20, 9600)
    lost_us = now_us = 0
    while now_us < hours * 3600000000:
        index = schedule.choose(planned, now_us // 1000)
        now_us = max(now_us, 1000 * planned[index].due_ms)
        began_us = now_us
        for _ in range(1 if planned[index].is_silent else 2):  # a unit that answered until now is asked twice
            response_us = units[index].response_us(wire_us)
            units[index].silent()
            # the request, the wait for a first byte, and the drain of a late answer
            now_us += 8 * modbus.char_us(9600) + 2 * response_us + 2 * modbus.silence_us(9600)
        lost_us += now_us - began_us
        silent = len([each for each in planned if each.is_silent])
        planned[index].silent(began_us // 1000, silent * (now_us - began_us) // 1000)
    return lost_us // (3600000 * hours)


def check_dead_units_cost_little():
    for thinking_us in (None, 25000, 85000):
        assert lost_permille(thinking_us, 1, 1) < 10
        assert lost_permille(thinking_us, 7, 3) < 20, "all but one of the most that there may be"
    assert lost_permille(25000, 7, 1) < 20, "also in the hour in which they fall silent"


CHECKS = [name for name in sorted(globals()) if name.startswith("check_")]
