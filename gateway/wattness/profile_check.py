"""Checks a profile's file for its author: schema, names and units, reads, and the frames recorded beside it."""

import json
from pathlib import Path
from typing import Any

import jsonschema

from wattwire import modbus, profile, sunspec
from wattwire.errors import WireError
from wattwire.profile_form import TEXT_MAX

from .jsontext import once
from .profiles import SCHEMA_NAME, model_profile, profiles_dir


def check_profile(path: Path) -> list[str]:
    """Return what is wrong with the profile in `path` (and frames/ beside it), a sentence each; [] if all is well."""
    try:
        with path.open("rb") as file:
            text = file.read(TEXT_MAX + 1)
        if len(text) > TEXT_MAX:
            return [f"{path} is longer than {TEXT_MAX} bytes: that is no profile."]
        form = json.loads(text, object_pairs_hook=once)
    except OSError as error:
        return [f"{path} cannot be read: {error.strerror}."]
    except (ValueError, RecursionError) as error:
        return [f"{path} is not good JSON: {error}."]
    problems = schema_problems(form)
    try:
        loaded = profile.load(text)
    except WireError as error:
        return problems or [f"{error.detail}."]
    if loaded.id != path.stem:
        problems.append(f"$.id: {loaded.id} must be the file's name, {path.stem}.")
    problems += _unread(loaded)
    frames = path.parent / "frames" / path.name
    if not frames.exists():
        return [*problems, f"There are no frames: {frames} must prove the profile."]
    return problems + _frame_problems(text, frames)


def schema_problems(form: Any) -> list[str]:
    """Return where a profile's JSON breaks the schema, as sentences that begin with the path."""
    schema = json.loads((profiles_dir() / SCHEMA_NAME).read_text())
    errors = jsonschema.Draft202012Validator(schema).iter_errors(form)
    return [f"{error.json_path}: {error.message[:200]}." for error in sorted(errors, key=lambda error: error.json_path)]


def _unread(loaded: profile.Profile) -> list[str]:
    """Return the points that no single read can hold together with their scale factors."""
    most = loaded.manner.max_registers
    wide = [point.name for point in loaded.points if _width(point) > most and not point.block]
    return [f"{name}: value and scale factor are more than {most} registers apart." for name in wide]


def _width(point: profile.Point) -> int:
    _, first, end = profile.span(point)
    return end - first


def _frame_problems(text: bytes, path: Path) -> list[str]:
    try:
        cases = json.loads(path.read_bytes())["cases"]
        roles = {case.get("role") for case in cases}
        views = {role: profile.load(text, role) for role in roles}
        return [problem for case in cases for problem in replay(views[case.get("role")], case)]
    except WireError as error:
        return [f"{path} cannot be replayed: {error}."]
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        return [f"{path} cannot be replayed: {type(error).__name__} {error}."]


def replay(loaded: profile.Profile, case: dict[str, Any]) -> list[str]:
    """Return where one case of recorded exchanges differs from what the profile asks and makes of the answers."""
    if loaded.walk:
        return _replay_walk(loaded, case)
    what = case["what"]
    bound = profile.bind(loaded, case["base"], case["length"])
    texts = case["values"].keys() <= {item.name for item in loaded.identity}
    reads = profile.plan_identity(bound) if texts else profile.plan(bound, list(case["values"]))
    asked = [modbus.read_request(case["unit"], *read).hex() for read in reads]
    if asked != [request for request, _ in case["exchanges"]]:
        return [f"{what}: the profile asks {', '.join(asked)}, which the frames do not."]
    answers = [
        (read, _answer(bytes.fromhex(request), bytes.fromhex(answer), loaded.manner.width))
        for read, (request, answer) in zip(reads, case["exchanges"], strict=True)
    ]
    found: dict[str, Any] = {}
    found.update(profile.identify(bound, answers) if texts else profile.decode(bound, list(case["values"]), answers))
    expected = {name: tuple(value) if isinstance(value, list) else value for name, value in case["values"].items()}
    return [
        f"{what}: {name} must be {value}, found {found.get(name)}."
        for name, value in expected.items()
        if name not in found or found[name] != value
    ]


def _replay_walk(loaded: profile.Profile, case: dict[str, Any]) -> list[str]:
    """Return where a walk over recorded models differs from what it asks, finds and chooses for each role."""
    walker = sunspec.Walker()
    for request, answer in case["exchanges"]:
        read = walker.next()
        if read is None or modbus.read_request(case["unit"], *read).hex() != request:
            return [f"{case['what']}: the walk asks {read}, which the frames do not."]
        data = _answer(bytes.fromhex(request), bytes.fromhex(answer), 2)
        if data is None:
            walker.fail(modbus.ModbusError(modbus.ILLEGAL_DATA_ADDRESS))
        else:
            walker.take(data)
    if [list(model) for model in walker.models] != case["models"] or walker.next() is not None:
        return [f"{case['what']}: the walk finds {walker.models}."]
    problems = []
    for role, name in case["walk"].items():
        found = model_profile(walker.models, role, loaded.walk)
        if (found[0].id if found else None) != name:
            problems.append(f"{case['what']}: a {role} must be read by {name}, found {found and found[0].id}.")
    return problems


def _answer(request: bytes, answer: bytes, width: int) -> bytes | None:
    """Return the registers of a recorded answer; None if the device refused. A bad answer raises WireError."""
    try:
        return modbus.ResponseReader(request, width).feed(answer)
    except modbus.ModbusError:
        return None
