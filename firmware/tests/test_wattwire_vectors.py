"""The vectors on both interpreters, with the same results."""

import json
import runpy
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
VECTORS, MORE = (json.loads((TESTS / name).read_text()) for name in ("vectors.json", "vectors_more.json"))
SUITE = runpy.run_path(str(TESTS / "vector_suite.py"))
SCRIPT = """
import json, sys
sys.path.append({folder!r})
import vector_suite
with open({folder!r} + "/vectors.json") as first, open({folder!r} + "/vectors_more.json") as second:
    print("\\n".join(vector_suite.run(json.load(first), json.load(second))))
"""


@pytest.mark.parametrize("index", range(len(SUITE["CHECKS"])), ids=[name for name, _ in SUITE["CHECKS"]])
def test_on_cpython(index):
    assert SUITE["CHECKS"][index][1](VECTORS, MORE)


def test_on_micropython(run_micropython):
    assert run_micropython(SCRIPT.format(folder=str(TESTS))).split("\n") == [*SUITE["run"](VECTORS, MORE), ""]


def test_more_vectors_are_what_their_program_builds():
    build = runpy.run_path(str(TESTS / "vectors_more_build.py"))
    assert build["FILE"].read_text() == build["text"]()


def test_every_reason_of_a_frame_is_among_the_refused():
    reasons = {case["reason"] for case in MORE["refused"]}
    assert reasons == {
        "bad_algorithm",
        "bad_form",
        "bad_range",
        "bad_signature",
        "bad_tag",
        "bad_type",
        "duplicate_key",
        "high_s",
        "not_deterministic",
        "too_deep",
        "too_long",
        "trailing_bytes",
        "truncated",
        "unknown_key",
    }
