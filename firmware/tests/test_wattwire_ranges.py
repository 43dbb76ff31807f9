"""Ranges of frames: from (log, seq) pairs and back, and what others send is checked first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattwire import evidence
from wattwire.errors import WireError


@given(st.sets(st.tuples(st.integers(0, 3), st.integers(1, 30))))
def test_ranges_and_back(pairs):
    found = evidence.ranges(list(pairs))
    assert list(evidence.numbers(found)) == sorted(pairs)
    assert evidence.count(found) == len(pairs)
    assert len(found) == sum((log, seq - 1) not in pairs for log, seq in pairs)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (None, "bad_type"),
        ([[0, 1]], "bad_form"),
        ([[0, 1, "2"]], "bad_type"),
        ([[-1, 1, 2]], "bad_range"),
        ([[0, 0, 2]], "bad_range"),
        ([[0, 3, 2]], "bad_range"),
        ([[0, 1, 2], [0, 2, 3]], "bad_range"),
        ([[0, 1, 2], [0, 3, 4]], "bad_range"),
        ([[1, 1, 2], [0, 3, 4]], "bad_range"),
    ],
)
def test_ranges_of_others_are_checked(found, reason):
    with pytest.raises(WireError) as caught:
        evidence.count(found)
    assert caught.value.reason == reason


def test_counting_a_huge_range_costs_nothing():
    assert evidence.count([[0, 1, 2**62]]) == 2**62
