"""What the firmware's tests share: the real MicroPython, run on a script."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# No test of ours depends on how fast the machine happens to be.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")
# Whatever a parser is given, it answers with a value or its one error: `make nightly` asks for longer.
settings.register_profile("parsers", max_examples=int(os.environ.get("PARSER_EXAMPLES", "250")))

FIRMWARE = Path(__file__).resolve().parents[1]
ON_BOARD = Path(__file__).resolve().parent / "on_board"  # scripts and what they import
BESIDE_PYTHON = Path(sys.executable).with_name("micropython")


@pytest.fixture(scope="session")
def run_micropython(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Run a script's text in MicroPython (`MICROPYTHON=` names another one), `given` on its standard input."""
    program = os.environ.get("MICROPYTHON", str(BESIDE_PYTHON))
    if shutil.which(program) is None:
        pytest.fail(f"There is no MicroPython at {program}; name one: MICROPYTHON=/path/to/micropython")

    def run(script: str, given: str = "", heap: str = "2m", timeout_s: float = 50) -> str:
        path = tmp_path_factory.mktemp("micropython") / "script.py"
        path.write_text(script)
        done = subprocess.run(
            [program, "-X", f"heapsize={heap}", str(path)],
            input=given,
            env={**os.environ, "MICROPYPATH": f"{FIRMWARE}:{ON_BOARD}:.frozen"},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        return done.stdout

    return run
