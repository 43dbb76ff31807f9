"""Begin a device profile: `new` writes the JSON file from a few words, `frames` proves it with what a device answered.

python tools/new_profile.py new acme_em1 --title "Acme EM1" --table input power@12:float32:-1 energy_import@72:u32:2
python tools/new_profile.py frames firmware/profiles/acme_em1.json recorded.json --what "a kitchen at noon"
wattness profile check firmware/profiles/acme_em1.json

A point is NAME@ADDRESS:TYPE[:EXPONENT], its unit follows from its name. RECORDED is [[request hex, answer hex], …] with
the reads that `wattness profile plan` names; compare the values that are printed with the device's own display.
"""

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

from wattness.profile_check import schema_problems
from wattness.profiles import profiles_dir
from wattwire import modbus, profile
from wattwire.errors import WireError
from wattwire.plan import Read
from wattwire.profile_form import UNITS, base_name

POINT = re.compile(
    r"(?P<name>[a-z0-9_]+)@(?P<address>0x[0-9a-fA-F]+|[0-9]+):(?P<type>[a-z0-9]+)(:(?P<exponent>-?\d+))?"
)
DEFAULTS_MAX = 32


class RefusedError(Exception):
    """The person must give something else; the text says what."""


def point(text: str) -> dict[str, Any]:
    """Return a point of the profile's JSON."""
    found = POINT.fullmatch(text)
    if found is None:
        raise RefusedError(f"{text}: a point is NAME@ADDRESS:TYPE[:EXPONENT], such as power@12:float32:-1.")
    name, kind = found["name"], found["type"]
    unit = UNITS.get(base_name(name))
    if unit is None:
        raise RefusedError(f"{name}: the wire has no such point; it has {', '.join(sorted(UNITS))}.")
    made = {"name": name, "unit": unit, "address": int(found["address"], 0), "type": kind}
    if found["exponent"]:
        made["exponent"] = int(found["exponent"])
    return made


def form(given: argparse.Namespace) -> dict[str, Any]:
    """Return the profile's JSON, checked."""
    points = [point(text) for text in given.points]
    made = {
        "id": given.id,
        "title": given.title or given.id,
        "positive": given.positive,
        "table": given.table,
        "word_order": given.word_order,
        "bus": {"unit": given.unit, "baud": [given.baud], "format": "8N1"},
        "default": [each["name"] for each in points][:DEFAULTS_MAX],
        "source": given.source,
        "notes": [],
        "points": points,
    }
    problems = schema_problems(made)
    if problems:
        raise RefusedError("\n".join(problems))
    profile.load(json.dumps(made))
    return made


def text_of(made: dict[str, Any]) -> str:
    """Return the JSON as the other profiles are written: a line for each key, and for each point."""
    lines = [f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in made.items()][:-1]
    points = ",\n".join(f"  {json.dumps(each, ensure_ascii=False)}" for each in made["points"])
    return "{\n" + ",\n".join([*lines, f' "points": [\n{points}\n ]']) + "\n}\n"


def new(given: argparse.Namespace) -> None:
    """Write the profile."""
    path = given.folder / f"{given.id}.json"
    if path.exists():
        raise RefusedError(f"{path} is there already.")
    path.write_text(text_of(form(given)))
    print(f"{path}\nNow record what the device answers to `wattness profile plan {path}`, and run `frames`.")


def frames(given: argparse.Namespace) -> None:
    """Add a case to the profile's frames, and print the values in it."""
    text = given.profile.read_bytes()
    bound = profile.bind(profile.load(text, given.role))
    exchanges = json.loads(given.recorded.read_text())
    answers, unit = [], 0
    for request, answer in exchanges:
        asked = modbus.parse_request(bytes.fromhex(request))
        unit = asked.unit
        data = modbus.ResponseReader(bytes.fromhex(request), bound.manner.width).feed(bytes.fromhex(answer))
        if data is None:
            raise RefusedError(f"{answer}: the answer is cut short.")
        answers.append((Read(asked.fc, asked.address, asked.count), data))
    values = profile.decode(bound, bound.default, answers)
    if [tuple(read) for read, _ in answers] != [tuple(read) for read in profile.plan(bound, bound.default)]:
        raise RefusedError("These are not the reads that `wattness profile plan` names for the default points.")
    path = given.profile.parent / "frames" / given.profile.name
    path.parent.mkdir(exist_ok=True)
    content: dict[str, Any] = {"profile": bound.id, "made_by": "recorded on a device", "cases": []}
    if path.exists():
        content = json.loads(path.read_text())
    place = {"what": given.what, "role": given.role, "unit": unit, "base": 0, "length": None}
    content["cases"].append(place | {"exchanges": exchanges, "values": values})
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    for name, value in values.items():
        print(f"{name:<20} {'no value' if value is None else f'{value[0]}e{value[1]} {UNITS[base_name(name)]}'}")


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = top.add_subparsers(dest="command", required=True)
    one = commands.add_parser("new", help="write a profile")
    one.add_argument("id", help="snake_case; the file's name")
    one.add_argument("points", nargs="+", help="NAME@ADDRESS:TYPE[:EXPONENT]")
    one.add_argument("--title", default="")
    one.add_argument("--table", choices=("holding", "input"), default="holding")
    one.add_argument("--positive", choices=("import", "export"), default="import", help="which way positive power is")
    one.add_argument("--word-order", choices=("big", "little"), default="big")
    one.add_argument("--unit", type=int, default=1)
    one.add_argument("--baud", type=int, default=9600)
    one.add_argument("--source", default="read on the device")
    one.add_argument("--folder", type=Path, default=profiles_dir())
    one.set_defaults(run=new)
    two = commands.add_parser("frames", help="prove a profile with recorded exchanges")
    two.add_argument("profile", type=Path)
    two.add_argument("recorded", type=Path, help="[[request hex, answer hex], …]")
    two.add_argument("--role")
    two.add_argument("--what", default="as recorded")
    two.set_defaults(run=frames)
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run a command."""
    given = parser().parse_args(arguments)
    try:
        given.run(given)
    except (RefusedError, WireError, modbus.ModbusError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
