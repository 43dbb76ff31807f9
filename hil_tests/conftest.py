"""What the scenarios stand on: a gateway, and a board that is emulated or real (`--target`)."""

import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from civilclock import Clock
from demo.home import Home
from emulator.metered import Metered
from emulator.site import GOLDEN_START_MS
from emulator.target import EmulatedTarget, SerialTarget, Target, UnableError

EMULATED = "emulated"
RATE = 60


def pytest_addoption(parser: pytest.Parser) -> None:
    """Say which board the scenarios run on."""
    group = parser.getgroup("hil", "boards under test")
    group.addoption("--target", default=EMULATED, help="`emulated`, or the serial port of a real board: /dev/ttyUSB0")
    group.addoption("--target-settings", type=Path, help="JSON file of a real board's wifi, bus and streams")


@pytest.fixture
def real(request: pytest.FixtureRequest) -> bool:
    """Whether the board is a real one."""
    return bool(request.config.getoption("--target") != EMULATED)


@pytest.fixture
def clock(real: bool) -> Clock:  # noqa: FBT001  (a fixture)
    """Civil time: the true one for a real board, the recorded day at 60× for an emulated one."""
    return Clock() if real else Clock(time.time_ns() // 1_000_000, GOLDEN_START_MS, RATE)


@pytest.fixture
async def home(tmp_path: Path, clock: Clock, real: bool) -> AsyncIterator[Home]:  # noqa: FBT001  (a fixture)
    """A running gateway that reports to nobody; a real board reaches its broker from the network."""
    home = Home(tmp_path, clock, paid=False)
    home.mqtt_host = "0.0.0.0" if real else home.mqtt_host  # noqa: S104  (for the time of the test)
    try:
        await home.start()
        yield home
    finally:
        await home.stop()


@pytest.fixture
async def target(tmp_path: Path, clock: Clock, request: pytest.FixtureRequest) -> AsyncIterator[Target]:
    """A board that is on, without key or configuration."""
    name = request.config.getoption("--target")
    target: Target = EmulatedTarget(tmp_path / "board", clock)
    if name != EMULATED:
        settings = request.config.getoption("--target-settings")
        if settings is None:
            pytest.exit("a real board needs --target-settings FILE with its wifi, bus and streams", 4)
        target = SerialTarget(Path(name), json.loads(settings.read_text()))
    try:
        await target.start()
        yield target
    finally:
        await target.stop()


@pytest.fixture
async def metered(target: Target, home: Home, tmp_path: Path) -> Metered:
    """A board that was provisioned over its REPL with the real mpremote, and meters."""
    public_key = await target.make_key()
    file = tmp_path / "enrolment.json"
    enrolment = await home.enrol(public_key, "under test", file)
    await target.configure(enrolment, file)
    return Metered(target, home, bytes.fromhex(public_key))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    """A scenario that asks a board for what it has not is skipped on that board."""
    try:
        return (yield)
    except UnableError as reason:
        pytest.skip(str(reason))
