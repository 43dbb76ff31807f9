"""Boards are enrolled beside a gateway that writes all the time."""

import subprocess
import sys

from emulator.fleet import FleetBoard
from wattness.clock import Clock
from wattness.store.registry import open_registry

WRITER = """
import sys, time, apsw
other = apsw.Connection(sys.argv[1])
other.execute("BEGIN IMMEDIATE")
other.execute("UPDATE board SET command = command + 1")
print("writing", flush=True)
time.sleep(0.3)
other.execute("COMMIT")
"""


def test_enrolment_waits_for_another_process_to_end_its_transaction(tmp_path):
    path = tmp_path / "wattness.db"
    with open_registry(path, Clock()) as registry:
        registry.enrol(FleetBoard(0, bytes(32)).public_key, "first")
        with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout.readline() == b"writing\n"
            registry.enrol(FleetBoard(1, bytes(32)).public_key, "second")
        assert [board.name for board in registry.list()] == ["first", "second"]
