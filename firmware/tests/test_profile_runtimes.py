"""The suites of modbus, profile and sunspec, and every profile's frames, on CPython and on MicroPython."""

import json
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

from profile_frames.build import documents

TESTS = Path(__file__).resolve().parent
SUITES = {
    name: runpy.run_path(str(TESTS / f"{name}.py"))
    for name in ("suite_modbus", "suite_plan", "suite_profile", "suite_sunspec")
}
CHECKS = [(suite, name) for suite, content in SUITES.items() for name in content["CHECKS"]]
PROFILES = TESTS.parent / "profiles"
IDS = sorted(path.stem for path in PROFILES.glob("*.json") if path.stem != "schema")
ROUNDS = 3000

SCRIPT = """
import sys
sys.path.append({tests!r})
for suite, name in {checks!r}:
    getattr(__import__(suite), name)()
from suite_profile import digest
from suite_sunspec import replay
for profile in {profiles!r}:
    with open({folder!r} + "/" + profile + ".json") as text:
        with open({folder!r} + "/frames/" + profile + ".json") as frames:
            replay(text.read(), frames.read())
print(digest({rounds}))
"""


@pytest.mark.parametrize(("suite", "name"), CHECKS)
def test_on_cpython(suite: str, name: str):
    SUITES[suite][name]()


@pytest.mark.parametrize("profile", IDS)
def test_frames_on_cpython(profile: str):
    replay = SUITES["suite_sunspec"]["replay"]
    replay((PROFILES / f"{profile}.json").read_text(), (PROFILES / "frames" / f"{profile}.json").read_text())


def test_on_micropython(run_micropython: Callable[..., str]):
    script = SCRIPT.format(tests=str(TESTS), checks=CHECKS, profiles=IDS, folder=str(PROFILES), rounds=ROUNDS)
    assert len(CHECKS) >= 25
    assert run_micropython(script).strip() == SUITES["suite_profile"]["digest"](ROUNDS)


def test_frames_are_what_the_tool_makes():
    made = documents()
    assert sorted(made) == IDS
    for profile in IDS:
        assert json.loads((PROFILES / "frames" / f"{profile}.json").read_text()) == made[profile]
