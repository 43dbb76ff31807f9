"""The Akash deployment: its shape is an SDL's, and what it starts is what the image has."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from wattness.config import parse
from wattnet.__main__ import _parser

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "gateway" / "deploy"
SDL = yaml.safe_load((DEPLOY / "akash.yaml").read_text())
SIZE = {"type": "string", "pattern": r"^[1-9][0-9]*([kMGTPE]i?)?$"}
NAME = r"^[a-z](-?[a-z0-9])*$"
WORDS = {"type": "array", "minItems": 1, "items": {"type": "string"}}


def strict(required, **optional):
    known = {**required, **optional}
    return {"type": "object", "required": list(required), "properties": known, "additionalProperties": False}


def named(inner):
    return {"type": "object", "minProperties": 1, "patternProperties": {NAME: inner}, "additionalProperties": False}


PORT = {"type": "integer", "minimum": 1, "maximum": 65535}
TO = {
    "type": "array",
    "minItems": 1,
    "items": strict({}, service={"type": "string"}, **{"global": {"type": "boolean"}}),
}
EXPOSE = strict({"port": PORT, "to": TO}, **{"as": PORT}, proto={"enum": ["tcp", "udp"]}, accept=WORDS)
MOUNT = strict({"mount": {"type": "string", "pattern": "^/"}}, readOnly={"type": "boolean"})
SERVICE = strict(
    {"image": {"type": "string", "pattern": r":[^:/]+$"}, "expose": {"type": "array", "items": EXPOSE}},
    command=WORDS,
    args=WORDS,
    env=WORDS,
    params=strict({"storage": named(MOUNT)}),
)
STORAGE = strict(
    {"size": SIZE},
    name={"type": "string", "pattern": NAME},
    attributes=strict({"persistent": {"type": "boolean"}, "class": {"enum": ["beta1", "beta2", "beta3", "ram"]}}),
)
RESOURCES = strict(
    {
        "cpu": strict({"units": {"type": "number", "exclusiveMinimum": 0}}),
        "memory": strict({"size": SIZE}),
        "storage": {"type": "array", "minItems": 1, "items": STORAGE},
    }
)
PRICE = strict({"denom": {"type": "string"}, "amount": {"type": "number", "exclusiveMinimum": 0}})
SCHEMA = strict(
    {
        "version": {"enum": ["2.0", "2.1"]},
        "services": named(SERVICE),
        "profiles": strict(
            {
                "compute": named(strict({"resources": RESOURCES})),
                "placement": named(strict({"pricing": named(PRICE)})),
            }
        ),
        "deployment": named(named(strict({"profile": {"type": "string"}, "count": {"type": "integer", "minimum": 1}}))),
    }
)


def test_it_has_an_sdls_shape():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(SDL, SCHEMA)


def test_its_parts_name_one_another():
    compute, placement = SDL["profiles"]["compute"], SDL["profiles"]["placement"]
    assert SDL["services"].keys() == SDL["deployment"].keys()
    for name, service in SDL["services"].items():
        ((place, chosen),) = SDL["deployment"][name].items()
        resources = compute[chosen["profile"]]["resources"]
        assert chosen["profile"] in placement[place]["pricing"]
        volumes = {one["name"] for one in resources["storage"] if "name" in one}
        assert volumes == service["params"]["storage"].keys()
        outside = [one.get("as", one["port"]) for one in service["expose"] if {"global": True} in one["to"]]
        assert len(set(outside)) == len(outside)
        for exposed in service["expose"]:
            assert all(to.get("service", name) in SDL["services"] for to in exposed["to"])


def test_the_network_is_started_as_the_image_has_it(tmp_path):
    service = SDL["services"]["wattnet"]
    options = _parser().parse_args(service["args"])
    assert options.listen == ("0.0.0.0", service["expose"][0]["port"])
    (volume,) = service["params"]["storage"].values()
    assert options.db.is_relative_to(volume["mount"])
    recipe = (DEPLOY / "Containerfile").read_text()
    for source in ("tools/civilclock.py", "tools/wattnet"):
        assert f"COPY {source} /opt/wattnet/" in recipe
    shutil.copy(ROOT / "tools" / "civilclock.py", tmp_path)
    shutil.copytree(ROOT / "tools" / "wattnet", tmp_path / "wattnet")
    code = (
        "import sys, wattnet.server; print(*(one.__file__ for one in sys.modules.values() if hasattr(one, '__file__')))"
    )
    command, environment = [sys.executable, "-c", code], {**os.environ, "PYTHONPATH": str(tmp_path)}
    shown = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path, env=environment).stdout
    assert str(tmp_path / "wattnet" / "server.py") in shown
    assert str(ROOT / "tools") not in shown


def test_the_gateway_begins_and_begins_again(tmp_path):
    service = SDL["services"]["gateway"]
    (setting,) = service["env"]
    name, _, text = setting.partition("=")
    config = parse(text, Path())
    assert config.web.public
    ports = {int(listen.rpartition(":")[2]) for listen in (config.mqtt.listen, config.web.listen)}
    assert ports == {one["port"] for one in service["expose"]}
    (network,) = config.network
    inner = SDL["services"]["wattnet"]["expose"][0]
    assert network.url == f"http://wattnet:{inner['port']}"
    wattness = shutil.which("wattness", path=str(Path(sys.executable).parent))
    if wattness is None:
        pytest.skip("NOT TESTED: the wattness command is not installed beside this Python")
    (script,) = service["args"]
    script = script.replace("/opt/wattness/bin/wattness run", f"{wattness} key show").replace(
        "/opt/wattness/bin/wattness", wattness
    )
    home = tmp_path / "home"
    shown = [
        subprocess.run(
            [*service["command"], script],
            env={**os.environ, name: text, "WATTNESS_HOME": str(home)},
            capture_output=True, text=True, check=True,
        ).stdout.splitlines()[-1]
        for _ in range(2)
    ]  # fmt: skip
    assert shown[0] == shown[1]
    assert (home / "gateway.toml").read_text() == text
