"""The tables of jobs that speak of a window of intervals, or that go one after another."""

TABLES = """
ALTER TABLE job ADD COLUMN stream INTEGER;  -- these four only for jobs of windows or turns; null: all of the board
ALTER TABLE job ADD COLUMN begin_ms INTEGER;
ALTER TABLE job ADD COLUMN end_ms INTEGER;
ALTER TABLE job ADD COLUMN turn TEXT;  -- jobs of one turn go one after another; null: no order
CREATE INDEX job_turn ON job (network, turn, begin_ms, id)
  WHERE turn IS NOT NULL AND state IN ('available', 'running', 'retryable');
CREATE INDEX job_begun ON job (network, turn, begin_ms, id)
  WHERE turn IS NOT NULL AND state IN ('available', 'running', 'retryable') AND (state = 'running' OR body IS NOT NULL);

-- The intervals that a window's job speaks of.
CREATE TABLE part (
  job_id INTEGER NOT NULL,
  interval_id INTEGER NOT NULL,
  PRIMARY KEY (job_id, interval_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX part_interval ON part (interval_id);

-- What a network's adapter must remember between two reports of a turn.
CREATE TABLE memory (
  network TEXT NOT NULL,
  turn TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (network, turn)
) STRICT, WITHOUT ROWID;
"""
