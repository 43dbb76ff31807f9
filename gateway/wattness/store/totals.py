"""Totals that the page asks for each second, kept by the database: to count a year of jobs would take seconds."""

TABLES = """
CREATE TABLE total (
  network TEXT NOT NULL,
  name TEXT NOT NULL,  -- a job's state, or 'paid'
  n INTEGER NOT NULL,
  PRIMARY KEY (network, name)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER job_added AFTER INSERT ON job BEGIN
  INSERT OR IGNORE INTO total VALUES (new.network, new.state, 0);
  UPDATE total SET n = n + 1 WHERE network = new.network AND name = new.state;
END;
CREATE TRIGGER job_moved AFTER UPDATE OF state ON job WHEN old.state <> new.state BEGIN
  INSERT OR IGNORE INTO total VALUES (new.network, new.state, 0);
  UPDATE total SET n = n + 1 WHERE network = new.network AND name = new.state;
  UPDATE total SET n = n - 1 WHERE network = old.network AND name = old.state;
END;
CREATE TRIGGER job_removed AFTER DELETE ON job BEGIN
  UPDATE total SET n = n - 1 WHERE network = old.network AND name = old.state;
END;
CREATE TRIGGER reward_added AFTER INSERT ON reward BEGIN
  INSERT OR IGNORE INTO total VALUES (new.network, 'paid', 0);
  UPDATE total SET n = n + new.amount WHERE network = new.network AND name = 'paid';
END;
CREATE INDEX reward_received ON reward (network, received_ms, amount);
CREATE INDEX interval_judged ON interval (id) WHERE verdict <> 'accepted';
"""

MIGRATION = f"""
ALTER TABLE reward ADD COLUMN received_ms INTEGER;
{TABLES}
INSERT INTO total SELECT network, state, count(*) FROM job GROUP BY 1, 2;
INSERT INTO total SELECT network, 'paid', sum(amount) FROM reward GROUP BY 1;
"""  # noqa: S608 - a constant
