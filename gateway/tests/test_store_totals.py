"""Totals that the database keeps: the same as counting, whatever happens, and in old databases too."""

import apsw
import pytest

from wattness.clock import Clock
from wattness.model import Reward
from wattness.store import schema
from wattness.store.reader import open_reader
from wattness.store.sqlite import Settings, open_store

DAY_MS = 86_400_000
NOW = 1_790_000_000_000
CLOCK = Clock(Clock().real_ms_now(), NOW)
JOB = "INSERT OR IGNORE INTO job (network, key, interval_id, board_id, state, created_ms) VALUES (?, ?, 1, 1, ?, ?)"
COUNTED = "SELECT network, state, count(*) FROM job GROUP BY 1, 2 ORDER BY 1, 2"


def depths(path):
    with open_reader(path) as reader:
        return reader.depths()


def test_totals_follow_every_change_of_a_job(tmp_path):
    path = tmp_path / "wattness.db"
    connection = schema.connect(path)
    for number in range(20):
        connection.execute(JOB, ("ab"[number % 2], str(number // 2), "available", NOW + number))
        connection.execute(JOB, ("ab"[number % 2], str(number // 2), "available", NOW))  # its slot is taken
    changes = (
        "UPDATE job SET state = 'running' WHERE id <= 8",
        "UPDATE job SET state = 'running' WHERE id <= 8",
        "UPDATE job SET state = 'completed' WHERE id <= 5",
        "UPDATE job SET state = 'retryable' WHERE id IN (6, 7)",
        "UPDATE OR IGNORE job SET state = 'discarded' WHERE id = 8",
        "DELETE FROM job WHERE id = 3",
    )
    for change in changes:
        connection.execute(change)
        counted = list(connection.execute(COUNTED))
        assert [(one.network, one.state, one.count) for one in depths(path)] == counted
    oldest = {(one.network, one.state): one.oldest_unix_ms for one in depths(path)}
    assert oldest["a", "completed"] is None
    assert oldest["b", "retryable"] == NOW + 5
    connection.close()


async def test_rewards_add_up_once_by_network_and_day(tmp_path):
    path = tmp_path / "wattness.db"
    async with open_store(path, Settings(bytes(32), clock=CLOCK)) as store:
        paid = [Reward(epoch, bytes(32), "0", 100 + epoch, {}) for epoch in range(5)]
        assert await store.outbox.add_rewards("a", paid) == 5
        assert await store.outbox.add_rewards("a", paid[3:]) == 0
        assert await store.outbox.add_rewards("b", paid[:1]) == 1
        assert await store.read(lambda reader: [reader.paid(name) for name in "abc"]) == [510, 100, 0]
        newest = await store.read(lambda reader: reader.rewards(limit=3))
        assert [(one.network, one.epoch) for one in newest] == [("a", 4), ("a", 3), ("a", 2)]
        newest = await store.read(lambda reader: reader.rewards(limit=10))
        assert [(one.network, one.epoch) for one in newest[-2:]] == [("a", 0), ("b", 0)]
        bounds = [NOW - DAY_MS, NOW, NOW + DAY_MS, NOW + 2 * DAY_MS]
        assert await store.read(lambda reader: reader.received("a", bounds)) == [None, 510, None]


@pytest.mark.parametrize("version", [1, 2])
def test_an_older_database_is_counted_once(tmp_path, version):
    path = tmp_path / "wattness.db"
    with apsw.Connection(str(path)) as connection:
        connection.execute(schema.TABLES)
        connection.execute("ALTER TABLE reward DROP COLUMN received_ms")
        if version == 1:
            connection.execute("ALTER TABLE board DROP COLUMN provenance")
        for number in range(7):
            connection.execute(JOB, ("a", str(number), "completed" if number < 4 else "available", NOW))
        connection.execute("INSERT INTO reward VALUES ('a', 1, x'00', '0', 55, '{}')")
        connection.pragma("user_version", version)
    for _ in range(2):
        schema.connect(path).close()
    assert [(one.state, one.count) for one in depths(path)] == [("available", 3), ("completed", 4)]
    with open_reader(path) as reader:
        assert reader.paid("a") == 55
        assert reader.received("a", [0, NOW * 2]) == [None]  # when it came was not kept


def test_a_year_is_asked_by_index(tmp_path):
    connection = schema.connect(tmp_path / "wattness.db")
    for query in (
        "SELECT min(created_ms) FROM job WHERE state IN ('available', 'running', 'retryable') GROUP BY network, state",
        "SELECT * FROM interval WHERE id < 9 AND verdict <> 'accepted' ORDER BY id DESC LIMIT 9",
        "SELECT sum(amount) FROM reward WHERE network = 'a' AND received_ms >= 1 AND received_ms < 2",
    ):
        plan = " ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}"))
        assert "USING INDEX" in plan or "COVERING INDEX" in plan, plan
    connection.close()
