"""What a board is: seen from the first enrolment on, in reports, views, and in databases of an older version."""

import runpy
from pathlib import Path

import apsw

from wattness.store import schema
from wattness.store.registry import open_registry

WORLD = runpy.run_path(str(Path(__file__).with_name("pipeline_world.py")))


def test_an_older_database_gets_the_column(tmp_path):
    with apsw.Connection(str(tmp_path / "old.db")) as connection:
        connection.execute(schema.TABLES)
        connection.execute("ALTER TABLE board DROP COLUMN provenance; ALTER TABLE reward DROP COLUMN received_ms")
        connection.pragma("user_version", 1)
    author = WORLD["make_author"]()
    with open_registry(tmp_path / "old.db") as registry:
        assert registry.enrol(author.public_key, "roof").provenance == "board"


def test_a_gateways_key_never_becomes_a_boards(tmp_path):
    author = WORLD["make_author"]()
    with open_registry(tmp_path / "new.db") as registry:
        assert registry.enrol(author.public_key, "own", "gateway").provenance == "gateway"
        registry.remove("own")
        assert registry.enrol(author.public_key, "roof").provenance == "gateway"


def test_views_and_reports_carry_it():
    author = WORLD["make_author"]()
    bench = WORLD["Bench"](author)
    bench.connection.execute("UPDATE board SET provenance = 'gateway'")
    WORLD["minutes"](author, 0, 7)
    bench.put(*author.frames)
    assert [view.provenance for view in bench.reader.boards()] == ["gateway"]
    assert [view.provenance for view in bench.reader.streams()] == ["gateway"]
    assert bench.intervals()
