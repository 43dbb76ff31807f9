"""Which account a gateway wants to be paid on, and what settled epochs owe to accounts; the contract that pays them.

An epoch's shares hold every payout that no earlier one held and whose gateway has named an account: what was earned
before an account was named comes with the next epoch after that.
"""

from typing import Any, NamedTuple

from .ledger import Gateway, Ledger
from .shares import Share, proof, root

EPOCHS_PER_ANSWER = 20

_OPEN = (
    "FROM payout JOIN payee USING (gateway_id) WHERE payout.epoch <= ?1 AND NOT EXISTS "
    "(SELECT 1 FROM credit WHERE credit.epoch = payout.epoch AND credit.position = payout.position)"
)


class Contract(NamedTuple):
    """Where shares are claimed."""

    chain_id: int
    address: str
    wei_per_point: int


def name_account(ledger: Ledger, gateway: Gateway, account: bytes, now_ms: int) -> bool:
    """Pay a gateway's later settlements to `account`; false when it was so already."""
    ledger.db.execute(
        "INSERT INTO payee VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET account = excluded.account, "
        "named_ms = excluded.named_ms WHERE account <> excluded.account",
        (gateway.id, account, now_ms),
    )
    return ledger.db.changes() == 1


def share_out(ledger: Ledger, epoch: int) -> None:
    """Draw the shares of a settled epoch; nothing is drawn when nobody is owed a point."""
    owed = ledger.rows(f"SELECT account, sum(amount) AS points {_OPEN} GROUP BY account ORDER BY account", epoch)
    shares = [Share(epoch, row["account"], row["points"]) for row in owed if row["points"]]
    if not shares:
        return
    ledger.db.execute(f"INSERT INTO credit SELECT payout.epoch, position, ?1, account {_OPEN}", (epoch,))
    ledger.db.execute(
        "INSERT INTO settlement VALUES (?, ?, ?, '')", (epoch, root(shares), sum(share.points for share in shares))
    )
    ledger.db.executemany("INSERT INTO share VALUES (?, ?, ?)", shares)


def settlements(ledger: Ledger, account: bytes, after: int) -> list[dict[str, Any]]:
    """Return an account's shares of the next epochs after `after`, each with its proof and what it is made of."""
    found = ledger.rows(
        "SELECT share.epoch, account, share.points, root, settlement.points AS total, posted FROM share "
        "JOIN settlement USING (epoch) WHERE account = ? AND share.epoch > ? ORDER BY epoch LIMIT ?",
        *(account, after, EPOCHS_PER_ANSWER),
    )
    for row in found:
        rows = ledger.rows("SELECT epoch, account, points FROM share WHERE epoch = ? ORDER BY account", row["epoch"])
        shares = [Share(**one) for one in rows]
        row["proof"] = proof(shares, next(at for at, share in enumerate(shares) if share.account == account))
        row["payouts"] = ledger.rows(
            "SELECT epoch, position, key_hash AS gateway, amount FROM credit JOIN payout USING (epoch, position) "
            "JOIN gateway ON gateway.id = gateway_id "
            "WHERE settled = ? AND account = ? ORDER BY epoch, position",
            *(row["epoch"], account),
        )
    return found


def unposted(ledger: Ledger) -> list[dict[str, Any]]:
    """Return the epochs whose shares the contract does not know yet."""
    return ledger.rows("SELECT epoch, root, points FROM settlement WHERE posted = '' ORDER BY epoch")


def note_posted(ledger: Ledger, epoch: int, transaction: str) -> None:
    """Note that the contract holds an epoch's root."""
    ledger.db.execute("UPDATE settlement SET posted = ? WHERE epoch = ?", (transaction, epoch))


def contract(ledger: Ledger) -> Contract | None:
    """Return the contract that pays this network's points, if there is one."""
    rows = ledger.rows("SELECT chain_id, address, wei_per_point FROM contract")
    return Contract(rows[0]["chain_id"], rows[0]["address"], int(rows[0]["wei_per_point"])) if rows else None


def begin_contract(ledger: Ledger, maker: str) -> None:
    """Keep which account's transaction is about to make the contract: its address follows from the two."""
    ledger.db.execute("INSERT INTO setting VALUES ('contract', ?) ON CONFLICT DO UPDATE SET value = ?", (maker, maker))


def begun_contract(ledger: Ledger) -> str:
    """Return what `begin_contract` kept, empty when nothing was begun."""
    return str(ledger.db.execute("SELECT value FROM setting WHERE name = 'contract'").get or "")


def note_contract(ledger: Ledger, made: Contract) -> None:
    """Keep the contract; there is one, for ever, as what it owes cannot move to another."""
    ledger.db.execute(
        "INSERT INTO contract VALUES (1, ?, ?, ?)", (made.chain_id, made.address, str(made.wei_per_point))
    )
