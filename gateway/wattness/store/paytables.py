"""The tables of what the owner enters: payouts, and prices."""

TABLES = """
-- What the owner knows to have been paid; `nth` tells payouts apart that are alike in all else.
CREATE TABLE payout (
  network TEXT NOT NULL,
  at_ms INTEGER NOT NULL,
  unit TEXT NOT NULL,
  amount TEXT NOT NULL,  -- decimal
  reference TEXT NOT NULL,
  nth INTEGER NOT NULL,
  PRIMARY KEY (at_ms, network, unit, amount, reference, nth)
) STRICT, WITHOUT ROWID;

-- What one unit was worth from a day on; `network` is empty when that holds for all who pay in it.
CREATE TABLE price (
  unit TEXT NOT NULL,
  network TEXT NOT NULL,
  currency TEXT NOT NULL,
  day TEXT NOT NULL,
  price TEXT NOT NULL,  -- decimal
  PRIMARY KEY (unit, network, currency, day)
) STRICT, WITHOUT ROWID;
CREATE INDEX job_window ON job (begin_ms, network, state, reason) WHERE begin_ms IS NOT NULL;
"""
