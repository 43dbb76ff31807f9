"""The network's tables. A slot is (board, device, a) and is taken once, for ever: the UNIQUE below is the law."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS gateway (
  id INTEGER PRIMARY KEY, kid BLOB NOT NULL UNIQUE, public_key BLOB NOT NULL, key_hash BLOB NOT NULL,
  registered_ms INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS board (
  id INTEGER PRIMARY KEY, board_key BLOB NOT NULL UNIQUE, public_key BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS binding (
  gateway_id INTEGER NOT NULL REFERENCES gateway, board_id INTEGER NOT NULL REFERENCES board, name TEXT NOT NULL,
  bound_ms INTEGER NOT NULL, PRIMARY KEY (gateway_id, board_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS claim (
  id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, body BLOB NOT NULL,
  gateway_id INTEGER NOT NULL REFERENCES gateway, board_id INTEGER NOT NULL REFERENCES board,
  device TEXT NOT NULL, role TEXT NOT NULL, a INTEGER NOT NULL, b INTEGER NOT NULL,
  useful_mwh INTEGER NOT NULL, value INTEGER NOT NULL, verdict TEXT NOT NULL, provenance TEXT NOT NULL,
  received_ms INTEGER NOT NULL, epoch INTEGER NOT NULL,
  status TEXT NOT NULL DEFAULT 'accepted' CHECK (status IN ('accepted', 'lost', 'paid')),
  reason TEXT NOT NULL DEFAULT '', resent INTEGER NOT NULL DEFAULT 0,
  UNIQUE (board_id, device, a)
);
CREATE INDEX IF NOT EXISTS claim_epoch ON claim (epoch) WHERE status = 'accepted';
CREATE INDEX IF NOT EXISTS claim_gateway ON claim (gateway_id, id);
CREATE TABLE IF NOT EXISTS challenge (
  id TEXT PRIMARY KEY, claim_id INTEGER NOT NULL UNIQUE REFERENCES claim, opened_ms INTEGER NOT NULL,
  deadline_ms INTEGER NOT NULL, resolved_ms INTEGER, reason TEXT NOT NULL DEFAULT '',
  state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'passed', 'failed'))
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS challenge_open ON challenge (deadline_ms) WHERE state = 'open';
CREATE VIEW IF NOT EXISTS claimed AS SELECT
  claim.id, digest, body, device, role, a, b, useful_mwh, value, verdict, provenance, status, claim.reason,
  epoch, resent,
  gateway_id, gateway.kid AS gateway_kid, gateway.key_hash AS gateway,
  board.board_key AS board, board.public_key AS board_public_key,
  challenge.id AS challenge, challenge.state AS challenge_state, challenge.reason AS challenge_reason,
  challenge.deadline_ms, challenge.resolved_ms
FROM claim JOIN gateway ON gateway.id = gateway_id JOIN board ON board.id = board_id
LEFT JOIN challenge ON challenge.claim_id = claim.id;
CREATE TABLE IF NOT EXISTS epoch (
  number INTEGER PRIMARY KEY, root BLOB NOT NULL, payouts INTEGER NOT NULL, amount INTEGER NOT NULL,
  settled_ms INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS payout (
  epoch INTEGER NOT NULL REFERENCES epoch, position INTEGER NOT NULL,
  gateway_id INTEGER NOT NULL REFERENCES gateway, board_id INTEGER NOT NULL REFERENCES board, device TEXT NOT NULL,
  claims INTEGER NOT NULL, useful_mwh INTEGER NOT NULL, value INTEGER NOT NULL, carried_in INTEGER NOT NULL,
  amount INTEGER NOT NULL, carried_out INTEGER NOT NULL, leaf BLOB NOT NULL,
  PRIMARY KEY (epoch, position), UNIQUE (gateway_id, board_id, device, epoch)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS payment (
  claim_id INTEGER NOT NULL REFERENCES claim, epoch INTEGER NOT NULL, position INTEGER NOT NULL,
  PRIMARY KEY (claim_id, epoch, position), FOREIGN KEY (epoch, position) REFERENCES payout (epoch, position)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS payee (
  gateway_id INTEGER PRIMARY KEY REFERENCES gateway, account BLOB NOT NULL, named_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS settlement (
  epoch INTEGER PRIMARY KEY REFERENCES epoch, root BLOB NOT NULL, points INTEGER NOT NULL, posted TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS share (
  epoch INTEGER NOT NULL REFERENCES settlement, account BLOB NOT NULL, points INTEGER NOT NULL,
  PRIMARY KEY (epoch, account)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS share_account ON share (account, epoch);
CREATE TABLE IF NOT EXISTS credit (
  epoch INTEGER NOT NULL, position INTEGER NOT NULL, settled INTEGER NOT NULL, account BLOB NOT NULL,
  PRIMARY KEY (epoch, position), FOREIGN KEY (epoch, position) REFERENCES payout (epoch, position)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS credit_settled ON credit (settled);
CREATE TABLE IF NOT EXISTS contract (
  id INTEGER PRIMARY KEY CHECK (id = 1), chain_id INTEGER NOT NULL, address TEXT NOT NULL, wei_per_point TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS refused (reason TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
"""

# Paid twice: a claim in two payments, or two paid claims of one stream that share time. Counted from what was paid.
TWICE_PAID = """
SELECT (SELECT count(*) FROM (SELECT 1 FROM payment GROUP BY claim_id HAVING count(*) > 1))
     + (SELECT count(*) FROM claim AS one JOIN claim AS other
          ON other.board_id = one.board_id AND other.device = one.device AND other.id <> one.id
         AND other.a >= one.a AND other.a < one.b
        WHERE one.status = 'paid' AND other.status = 'paid')
"""
