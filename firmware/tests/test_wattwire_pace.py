"""What a unit's pace says of answers that come too late to be waited for."""

from wattwire.pace import STRAY_US, Pace
from wattwire.plan import Read
from wattwire.reading import PLAIN

WRAP = 1 << 30
ONE, OTHER = Read(4, 0, 2), Read(4, 72, 2)


def ticks_diff(end, start):
    """As MicroPython's."""
    return ((end - start + WRAP // 2) & (WRAP - 1)) - WRAP // 2


def stray_us(pace, read, now_us):
    return pace.stray_us(read, ticks_diff, now_us)


def test_after_a_missing_answer_nothing_else_is_asked_for_a_while():
    pace = Pace(PLAIN)
    assert stray_us(pace, ONE, 0) == 0
    pace.missed(ONE, 1000)
    assert stray_us(pace, ONE, 1500) == 0  # its answer is the answer to this, too
    assert stray_us(pace, OTHER, 1500) == STRAY_US - 500
    assert stray_us(pace, OTHER, 1500) == 0  # that was waited for
    for read in (ONE, OTHER):
        pace.missed(ONE, 1000)
        assert stray_us(pace, read, 1000 + STRAY_US) == 0
        assert pace.stray is None


def test_a_repetition_may_be_answered_twice():
    pace = Pace(PLAIN)
    pace.missed(ONE, 0)
    pace.missed(ONE, 400_000)
    pace.answered(20_000)
    assert stray_us(pace, OTHER, 430_000) == STRAY_US - 30_000


def test_ticks_wrap():
    pace = Pace(PLAIN)
    pace.missed(ONE, WRAP - 10)
    assert stray_us(pace, OTHER, 10) == STRAY_US - 20
    pace.missed(ONE, 0)
    assert stray_us(pace, OTHER, WRAP // 2 + 10) == 0  # nine minutes later: looks like the future
