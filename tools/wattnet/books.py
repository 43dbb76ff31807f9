"""Settlement in the ledger: closes epochs in order, and answers what was paid and why."""

from itertools import groupby
from typing import Any, NamedTuple

from wattwire import merkle

from .accounts import share_out
from .ledger import Ledger
from .schema import TWICE_PAID
from .settle import Payout, Stream, payout

EPOCHS_PER_ANSWER = 20


def settle_due(ledger: Ledger, before_epoch: int, now_ms: int) -> list[int]:
    """Settle, in order, the epochs before `before_epoch` whose challenges are resolved; return their numbers."""
    settled: list[int] = []
    while True:
        number = ledger.db.execute("SELECT min(epoch) FROM claim WHERE status = 'accepted'").get
        if number is None or number >= before_epoch or _open_challenges(ledger, number):
            return settled
        with ledger.transaction():
            _settle(ledger, number, now_ms)
            share_out(ledger, number)
        settled.append(number)


def payouts(ledger: Ledger, gateway_kid: bytes, after: int) -> list[dict[str, Any]]:
    """Return a gateway's payouts of the next epochs after `after`, each with its claims and its Merkle proof."""
    rows = ledger.rows(
        "SELECT payout.*, key_hash AS gateway, board_key AS board FROM payout JOIN gateway ON gateway.id = gateway_id "
        "JOIN board ON board.id = board_id WHERE kid = ?1 AND epoch IN (SELECT DISTINCT epoch FROM payout JOIN gateway "
        "ON gateway.id = gateway_id WHERE kid = ?1 AND epoch > ?2 ORDER BY epoch LIMIT ?3) ORDER BY epoch, position",
        *(gateway_kid, after, EPOCHS_PER_ANSWER),
    )
    return [entry for _, group in groupby(rows, lambda row: row["epoch"]) for entry in _with_proofs(ledger, [*group])]


def epoch(ledger: Ledger, number: int) -> dict[str, Any] | None:
    """Return a settled epoch's root and totals."""
    found = ledger.rows("SELECT * FROM epoch WHERE number = ?", number)
    return found[0] if found else None


def epochs(ledger: Ledger, limit: int) -> list[dict[str, Any]]:
    """Return the newest settled epochs."""
    return ledger.rows("SELECT * FROM epoch ORDER BY number DESC LIMIT ?", limit)


class Chosen(NamedTuple):
    """Which claims are asked for; None is any."""

    gateway: bytes | None = None  # key id
    board: bytes | None = None
    device: str | None = None
    a: int | None = None
    status: str | None = None


def claims(ledger: Ledger, chosen: Chosen, after: int, limit: int) -> list[dict[str, Any]]:
    """Return claims with id > `after`; a whole slot (board, device, a) is found without a search."""
    if None not in {chosen.board, chosen.device, chosen.a}:
        return ledger.rows(
            "SELECT * FROM claimed WHERE board = ?2 AND device = ?3 AND a = ?4 AND (?1 IS NULL OR gateway_kid = ?1) "
            "AND (?5 IS NULL OR status = ?5) AND id > ?6 LIMIT ?7",
            *(*chosen, after, limit),
        )
    return ledger.rows(
        "SELECT * FROM claimed WHERE (?1 IS NULL OR gateway_kid = ?1) AND (?2 IS NULL OR board = ?2) "
        "AND (?3 IS NULL OR device = ?3) AND (?4 IS NULL OR a = ?4) AND (?5 IS NULL OR status = ?5) AND id > ?6 "
        "ORDER BY id LIMIT ?7",
        *(*chosen, after, limit),
    )


def summary(ledger: Ledger) -> dict[str, Any]:
    """Return the counts, all computed from the data."""
    one = ledger.rows(
        "SELECT count(*) AS accepted, coalesce(sum(resent), 0) AS duplicates, "
        "count(*) FILTER (WHERE status = 'paid') AS paid, count(*) FILTER (WHERE status = 'lost') AS lost, "
        "count(*) FILTER (WHERE status = 'accepted') AS pending FROM claim"
    )[0]
    states = _tally(ledger, "SELECT state, count(*) FROM challenge GROUP BY state")
    refused = _tally(ledger, "SELECT reason, count FROM refused ORDER BY reason")
    return {
        "reports": one["accepted"] + one["duplicates"] + sum(refused.values()),
        **one,
        "refused": refused,
        "challenges": {state: states.get(state, 0) for state in ("open", "passed", "failed")},
        "lost_by": _tally(ledger, "SELECT reason, count(*) FROM claim WHERE status = 'lost' GROUP BY reason"),
        "twice_paid": ledger.number(TWICE_PAID),
        "epochs": ledger.number("SELECT count(*) FROM epoch"),
        "paid_points": ledger.number("SELECT coalesce(sum(amount), 0) FROM payout"),
        "gateways": ledger.number("SELECT count(*) FROM gateway"),
        "boards": ledger.number("SELECT count(*) FROM board"),
    }


def _tally(ledger: Ledger, sql: str) -> dict[str, Any]:
    return {str(name): count for name, count in ledger.db.execute(sql)}


def _open_challenges(ledger: Ledger, number: int) -> int:
    return ledger.number(
        "SELECT count(*) FROM claim JOIN challenge ON claim_id = claim.id WHERE epoch = ? AND status = 'accepted' "
        "AND state = 'open'",
        number,
    )


def _settle(ledger: Ledger, number: int, now_ms: int) -> None:
    rows = ledger.rows(
        "SELECT claim.id, gateway_id, board_id, device, key_hash, board_key, useful_mwh, value FROM claim "
        "JOIN gateway ON gateway.id = gateway_id JOIN board ON board.id = board_id "
        "WHERE epoch = ? AND status = 'accepted' ORDER BY key_hash, board_key, device, claim.id",
        number,
    )
    paid: list[tuple[Payout, list[dict[str, Any]]]] = []
    for (key, board, device), group in groupby(rows, lambda row: (row["key_hash"], row["board_key"], row["device"])):
        claimed = list(group)
        values = [(row["useful_mwh"], row["value"]) for row in claimed]
        paid.append((payout(number, Stream(key, board, device), values, _carried(ledger, claimed[0])), claimed))
    root = merkle.root([entry.leaf() for entry, _ in paid])
    ledger.db.execute(
        "INSERT INTO epoch VALUES (?, ?, ?, ?, ?)",
        (number, root, len(paid), sum(entry.amount for entry, _ in paid), now_ms),
    )
    for position, (entry, claimed) in enumerate(paid):
        _book(ledger, position, entry, claimed)


def _book(ledger: Ledger, position: int, entry: Payout, claimed: list[dict[str, Any]]) -> None:
    first = claimed[0]
    ledger.db.execute(
        "INSERT INTO payout VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (entry.epoch, position, first["gateway_id"], first["board_id"], first["device"], *entry[2:], entry.leaf()),
    )
    ledger.db.executemany(
        "INSERT INTO payment VALUES (?, ?, ?)", [(row["id"], entry.epoch, position) for row in claimed]
    )
    ledger.db.executemany("UPDATE claim SET status = 'paid' WHERE id = ?", [(row["id"],) for row in claimed])


def _carried(ledger: Ledger, claim: dict[str, Any]) -> int:
    return ledger.number(
        "SELECT carried_out FROM payout WHERE gateway_id = ? AND board_id = ? AND device = ? "
        "ORDER BY epoch DESC LIMIT 1",
        *(claim["gateway_id"], claim["board_id"], claim["device"]),
    )


def _with_proofs(ledger: Ledger, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add to one epoch's payouts what anyone needs to check them."""
    number = rows[0]["epoch"]
    leaves = [
        leaf for (leaf,) in ledger.db.execute("SELECT leaf FROM payout WHERE epoch = ? ORDER BY position", (number,))
    ]
    root = merkle.root(leaves)
    for row in rows:
        row["why"] = ledger.rows(
            "SELECT a, b, role, verdict, claim.useful_mwh, claim.value FROM payment JOIN claim ON claim.id = claim_id "
            "WHERE payment.epoch = ? AND payment.position = ? ORDER BY a",
            *(number, row["position"]),
        )
        row |= {"size": len(leaves), "root": root, "proof": merkle.proof(leaves, row["position"])}
    return rows
