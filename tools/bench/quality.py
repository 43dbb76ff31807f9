"""What the rules of quality let pass and what they catch, on days drawn from the recorded ones by a seed."""

import asyncio
import random
from collections import Counter
from functools import cache
from itertools import count, islice

from bench.days import GOLDEN, NOW_MS, RECORDED, SYDNEY, Drawn, honest, recorded
from bench.spoils import SPOILS
from wattness.quality import sun
from wattness.quality.days import Court, Device
from wattness.quality.judge import Judge
from wattness.quality.registry import ACCEPTED

HONEST_FLAGGED_MAX = 0.01
CAUGHT_MIN = 0.99
STEPS_MIN = 20  # of the counter in a day worth spoiling: a counter that hardly moves has little to falsify


async def measure(*, quick: bool) -> dict[str, object]:
    """Return the share of honest days that are flagged or worse, and of each kind of spoilt days that is."""
    return await asyncio.to_thread(run, 40 if quick else 400, 15 if quick else 150)


def run(honest_days: int, spoilt_days: int) -> dict[str, object]:
    """Judge the recorded days, `honest_days` drawn ones, and `spoilt_days` of each kind."""
    real = [judged([recorded(number)]) for number in range(RECORDED)]
    drawn = [judged([honest(seed)]) for seed in range(honest_days)]
    worthy = list(islice((day for day in map(honest, count()) if day.made_mwh > STEPS_MIN * day.step_mwh), spoilt_days))
    flagged = [codes for codes in [*real, *drawn] if codes]
    caught: dict[str, float] = {}
    by: dict[str, Counter[str]] = {}
    for name, spoil in SPOILS.items():
        found = [judged(spoil(day, random.Random(f"{name} {seed}"))) for seed, day in enumerate(worthy)]
        caught[name] = sum(bool(codes) for codes in found) / spoilt_days
        by[name] = Counter(code for codes in found for code in codes)
    return {
        "honest_days": len(real) + len(drawn),
        "honest_flagged": round(len(flagged) / (len(real) + len(drawn)), 4),
        "honest_reasons": Counter(code for codes in flagged for code in codes),
        "spoilt_days_of_each": spoilt_days,
        "caught": {name: round(share, 4) for name, share in caught.items()},
        "caught_by": {name: dict(codes.most_common(4)) for name, codes in by.items()},
        "wanted": {"honest_flagged_max": HONEST_FLAGGED_MAX, "caught_min": CAUGHT_MIN},
        "good": len(flagged) <= HONEST_FLAGGED_MAX * (len(real) + len(drawn)) and min(caught.values()) >= CAUGHT_MIN,
    }


def judged(days: list[Drawn]) -> set[str]:
    """Return every reason that is found against these days, which are judged together."""
    court = Court(_judge(days[0].site.latitude > 0), NOW_MS)
    codes: set[str] = set()
    for day in days:
        device = Device("pv", day.rated_w, modulus=day.modulus)
        for found in court.days(day.recording(), device):
            codes.update(found.reasons if found.verdict != ACCEPTED else ())
    return codes


@cache
def _judge(is_golden: bool) -> Judge:  # noqa: FBT001 - sites do not hash
    return Judge(sun.load(GOLDEN if is_golden else SYDNEY, None))
