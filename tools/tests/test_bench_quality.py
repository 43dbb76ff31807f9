"""A smaller run of the bench: what must pass passes, what must be caught is caught."""

import pytest

from bench.days import honest
from bench.quality import CAUGHT_MIN, HONEST_FLAGGED_MAX, run
from bench.spoils import SPOILS


def test_honest_days_pass_and_spoilt_ones_are_caught():
    found = run(30, 8)  # and all recorded days
    assert found["honest_flagged"] <= HONEST_FLAGGED_MAX, found
    assert set(found["caught"]) == set(SPOILS)
    assert min(found["caught"].values()) >= CAUGHT_MIN, found
    assert found["good"]


@pytest.mark.parametrize("seed", range(5))
def test_days_follow_from_their_seed(seed):
    assert honest(seed) == honest(seed)
    assert honest(seed) != honest(seed + 1)
