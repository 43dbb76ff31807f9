"""profile check: what a profile's author hears."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wattness.profile_check import check_profile, schema_problems
from wattness.profiles import profile_ids, profiles_dir
from wattwire import profile
from wattwire.errors import WireError

SDM = json.loads((profiles_dir() / "eastron_sdm120.json").read_text())
MPPT = json.loads((profiles_dir() / "sunspec_mppt.json").read_text())


def changed(form: dict[str, Any], path: list[Any], value: Any) -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(form))
    at: Any = copy
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return copy


@pytest.mark.parametrize("name", profile_ids())
def test_our_own_profiles_are_good(name: str):
    assert check_profile(profiles_dir() / f"{name}.json") == []


@pytest.fixture
def author(tmp_path: Path):
    """Write a profile and its frames as an author would, and return what the check says."""
    (tmp_path / "frames").mkdir()
    frames = json.loads((profiles_dir() / "frames" / "eastron_sdm120.json").read_text())

    def check(text: str, *, frames: Any = frames) -> str:
        path = tmp_path / "eastron_sdm120.json"
        path.write_text(text)
        (tmp_path / "frames" / path.name).write_text(json.dumps(frames))
        return "\n".join(check_profile(path))

    return check


def test_a_good_profile_is_good_elsewhere(author: Any):
    assert author(json.dumps(SDM)) == ""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is not good JSON"),
        ("[" * 60_000, "is not good JSON"),
        ('{"id": "a", "id": "b"}', "the key 'id' is there twice"),
        ("7", "$: 7 is not of type 'object'"),
        (json.dumps(changed(SDM, ["points", 2, "adress"], 12)), "$.points[2]"),
        (json.dumps(changed(SDM, ["points", 2, "unit"], "V")), "$.points[2].unit: power is in W on the wire"),
        (json.dumps(changed(SDM, ["points", 2, "type"], "int16")), "$.points[2].type"),
        (json.dumps(changed(SDM, ["id"], "other")), "must be the file's name"),
        (json.dumps(changed(SDM, ["points", 2, "address"], 14)), "the profile asks"),
        (json.dumps(changed(SDM, ["points", 2, "exponent"], 0)), "power must be (12345, -1), found"),
        (json.dumps(SDM | {"bus": {"unit": 0}}), "$.bus.unit"),
    ],
)
def test_what_is_wrong_is_named(author: Any, text: str, says: str):
    assert says in author(text)


@pytest.mark.parametrize("frames", [[], {}, {"cases": 7}, {"cases": [{}]}, {"cases": [{"what": "x", "base": "y"}]}])
def test_broken_frames_are_named(author: Any, frames: Any):
    assert "cannot be replayed" in author(json.dumps(SDM), frames=frames)


def test_an_altered_answer_is_named(author: Any):
    frames = json.loads((profiles_dir() / "frames" / "eastron_sdm120.json").read_text())
    frames["cases"][0]["exchanges"][0][1] = "00" + frames["cases"][0]["exchanges"][0][1][2:]
    assert "wrong_unit" in author(json.dumps(SDM), frames=frames)


def test_missing_files_are_named(tmp_path: Path):
    assert "cannot be read" in check_profile(tmp_path / "none.json")[0]
    (tmp_path / "eastron_sdm120.json").write_text(json.dumps(SDM))
    assert "There are no frames" in check_profile(tmp_path / "eastron_sdm120.json")[0]


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-20, 70000),
    st.floats(allow_nan=False),
    st.text(max_size=6),
    st.just([]),
    st.just({}),
)
HYBRID = json.loads((profiles_dir() / "deye_sunsynk_1p.json").read_text())
WIDE = json.loads((profiles_dir() / "jsy_mk_194.json").read_text())
WALKS = json.loads((profiles_dir() / "fronius_sunspec.json").read_text())
TOP_PATHS = [[key] for key in [*SDM, "colour", "models", "repeat", "identity", "word_order"]]
TOP_PATHS += [[key] for key in ("markers", "register_bytes", "barriers", "pace", "walk", "roles")]
QUIRK_PATHS = [["points", 0, key] for key in ("rate", "high", "plus", "minus", "sign", "offset", "absolute")]
ROLE_PATHS = [["roles", 1], *(["roles", 1, key] for key in ("role", "positive", "default", "points", "colour"))]
POINT_PATHS = [
    ["points", 0, key]
    for key in ("name", "also", "unit", "table", "address", "type", "exponent", "scale", "sf", "block")
]


@given(st.sampled_from([SDM, MPPT, WIDE]), st.sampled_from(TOP_PATHS + POINT_PATHS + QUIRK_PATHS), VALUES)
@example(SDM, ["points", 0, "plus"], [2, 4])
@example(SDM, ["points", 0, "sign"], {"address": 3, "bit": 15})
def test_what_the_board_takes_the_schema_takes(form: dict[str, Any], path: list[Any], value: Any):
    takes(form, path, value)


@given(st.sampled_from(ROLE_PATHS), VALUES)
def test_roles_are_taken_by_both(path: list[Any], value: Any):
    takes(HYBRID, path, value)


@given(st.sampled_from([["walk", 0, "role"], ["walk", 0, "profiles"], ["walk", 0, "x"], ["walk"]]), VALUES)
def test_walks_are_taken_by_both(path: list[Any], value: Any):
    takes(WALKS, path, value)


def takes(form: dict[str, Any], path: list[Any], value: Any) -> None:
    mutant = changed(form, path, value)
    try:
        profile.load(json.dumps(mutant))
    except WireError:
        return
    # `bus` and `notes` are for people: the board does not look into them.
    assert path[0] in {"bus", "notes"} or schema_problems(mutant) == []
