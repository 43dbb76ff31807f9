"""The image's recipe copies all that its wheel is built of, and installs what the gateway needs, as it was tested."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "gateway" / "deploy"
RECIPE = (DEPLOY / "Containerfile").read_text()


def copied():
    """The paths that the recipe's first stage has."""
    lines = re.findall(r"^COPY ((?!--).+)$", RECIPE, re.MULTILINE)
    return [Path(word) for line in lines for word in line.split()[:-1]]


def is_there(path):
    return any(Path(path).is_relative_to(one) for one in copied())


def pins(file):
    return dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", file.read_text(), re.MULTILINE))


def test_wheel_is_built_of_what_is_copied():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = settings["tool"]["hatch"]["build"]["targets"]["wheel"]
    wanted = [*wheel["packages"], *wheel["force-include"], settings["project"]["readme"], "LICENSE", "pyproject.toml"]
    assert [path for path in wanted if not is_there(path)] == []
    assert [path for path in copied() if not (ROOT / path).exists()] == []


def test_locks_that_the_recipe_reads_are_copied():
    locks = re.findall(r"-r (\S+)", RECIPE)
    assert locks
    assert all(is_there(lock) and (ROOT / lock).exists() for lock in locks)


def test_image_has_what_was_tested_and_no_tools_of_tests():
    image, tested = pins(DEPLOY / "requirements.lock"), pins(ROOT / "requirements.lock")
    assert image.items() <= tested.items()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.match(r"[\w.-]+", each).group().lower().replace("_", "-") for each in project["dependencies"]}
    assert names <= image.keys()
    assert not {"pytest", "playwright", "hypothesis", "schemathesis", "eth-account"} & image.keys()
