"""What the network knows, in its own SQLite file: gateways, boards, claims, challenges."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from .envelope import key_hash
from .refusal import RefusalError
from .report import LENGTH_MS_MAX, Report
from .schema import SCHEMA
from .settle import useful_mwh, value_millipoints


class Gateway(NamedTuple):
    """A registered gateway."""

    id: int
    kid: bytes
    public_key: bytes
    key_hash: bytes


class Ledger:
    """One connection, used from one thread; every method is one transaction or one question."""

    def __init__(self, file: Path | str, secret: bytes | None = None) -> None:
        """`secret` decides what is challenged; without one the database keeps a random one."""
        self.db = apsw.Connection(str(file))
        self.db.set_busy_timeout(5000)
        self.db.pragma("journal_mode", "wal")
        self.db.pragma("synchronous", "full")
        self.db.pragma("foreign_keys", "on")
        self.db.execute(SCHEMA)
        self.secret = secret or self._kept_secret()

    def close(self) -> None:
        """Close the file."""
        self.db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside happens, or nothing."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")

    def rows(self, sql: str, *bindings: Any) -> list[dict[str, Any]]:
        """Return the rows of a question as dictionaries."""
        cursor = self.db.execute(sql, bindings)
        names: list[str] | None = None
        found = []
        for row in cursor:
            names = names or [column[0] for column in cursor.description]
            found.append(dict(zip(names, row, strict=True)))
        return found

    def number(self, sql: str, *bindings: Any) -> int:
        """Return the one number that a question asks for."""
        return int(self.db.execute(sql, bindings).get or 0)

    def gateway(self, kid: bytes) -> Gateway | None:
        """Return the gateway with this key id."""
        row = self.db.execute("SELECT id, kid, public_key, key_hash FROM gateway WHERE kid = ?", (kid,)).fetchone()
        return Gateway(*row) if row else None

    def add_gateway(self, public_key: bytes, now_ms: int) -> bool:
        """Register a gateway; false when it was known."""
        digest = key_hash(public_key)
        known = self.gateway(digest[:8])
        if known and known.public_key != public_key:
            raise RefusalError(409, "kid_taken", "another key has this key id")
        if not known:
            self.db.execute(
                "INSERT INTO gateway (kid, public_key, key_hash, registered_ms) VALUES (?, ?, ?, ?)",
                (digest[:8], public_key, digest, now_ms),
            )
        return not known

    def bind(self, gateway: Gateway, public_key: bytes, name: str, now_ms: int) -> bool:
        """Let `gateway` claim for a board; false when it already could."""
        with self.transaction():
            self.db.execute(
                "INSERT INTO board (board_key, public_key) VALUES (?, ?) ON CONFLICT DO NOTHING",
                (key_hash(public_key), public_key),
            )
            self.db.execute(
                "INSERT INTO binding SELECT ?, id, ?, ? FROM board WHERE board_key = ? ON CONFLICT DO NOTHING",
                (gateway.id, name, now_ms, key_hash(public_key)),
            )
            return self.db.changes() == 1

    def claim(self, digest: bytes) -> dict[str, Any] | None:
        """Return the claim with these very bytes."""
        found = self.rows("SELECT * FROM claimed WHERE digest = ?", digest)
        return found[0] if found else None

    def taken(self, digest: bytes) -> dict[str, Any]:
        """Return the claim with these bytes, which is known to be there."""
        return self.rows("SELECT * FROM claimed WHERE digest = ?", digest)[0]

    def count_resent(self, digest: bytes) -> None:
        """Note that the same bytes came again."""
        self.db.execute("UPDATE claim SET resent = resent + 1 WHERE digest = ?", (digest,))

    def count_refused(self, reason: str) -> None:
        """Count a refused report by its reason."""
        self.db.execute(
            "INSERT INTO refused VALUES (?, 1) ON CONFLICT DO UPDATE SET count = count + 1",
            (reason,),
        )

    def add_claim(self, gateway: Gateway, report: Report, body: bytes, now_ms: int, epoch: int) -> int:
        """Take the slot and return the claim's id; raises RefusalError when any of its time is taken."""
        board_id = self._bound_board(gateway, report.board)
        self._check_slot(board_id, report)
        energy, length_ms = report.figures.energy, report.b - report.a
        value = value_millipoints(
            report.role, energy, report.figures.covered_ms, length_ms, report.verdict, report.provenance
        )
        self.db.execute(
            "INSERT INTO claim (digest, body, gateway_id, board_id, device, role, a, b, useful_mwh, value, verdict, "
            "provenance, received_ms, epoch) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(hashlib.sha256(body).digest(), body, gateway.id, board_id, report.device, report.role),
                *(report.a, report.b, useful_mwh(report.role, energy), value, report.verdict),
                *(report.provenance, now_ms, epoch),
            ),
        )
        return self.db.last_insert_rowid()

    def add_challenge(self, claim_id: int, challenge: str, real_ms: int, deadline_ms: int) -> None:
        """Ask the gateway for the frames of a claim."""
        self.db.execute(
            "INSERT INTO challenge (id, claim_id, opened_ms, deadline_ms) VALUES (?, ?, ?, ?)",
            (challenge, claim_id, real_ms, deadline_ms),
        )

    def trusted(self, gateway: Gateway, board_key: bytes) -> bool:
        """Whether this gateway passed its newest resolved challenge about this board."""
        return bool(
            self.number(
                "SELECT challenge_state = 'passed' FROM claimed WHERE gateway_id = ? AND board = ? "
                "AND challenge_state <> 'open' ORDER BY resolved_ms DESC, id DESC LIMIT 1",
                gateway.id,
                board_key,
            )
        )

    def challenged(self, challenge: str) -> dict[str, Any] | None:
        """Return the claim that a challenge is about."""
        found = self.rows("SELECT * FROM claimed WHERE challenge = ?", challenge)
        return found[0] if found else None

    def resolve(self, challenge: str, reason: str, real_ms: int) -> None:
        """Close an open challenge: passed without a `reason`, else the claim is lost by it."""
        with self.transaction():
            self.db.execute(
                "UPDATE challenge SET state = ?, reason = ?, resolved_ms = ? WHERE id = ? AND state = 'open'",
                ("failed" if reason else "passed", reason, real_ms, challenge),
            )
            if reason and self.db.changes() == 1:
                self.db.execute(
                    "UPDATE claim SET status = 'lost', reason = ? WHERE status = 'accepted' "
                    "AND id = (SELECT claim_id FROM challenge WHERE id = ?)",
                    (reason, challenge),
                )

    def expire(self, real_ms: int) -> None:
        """Claims whose challenge was not answered in time are lost."""
        late = self.db.execute("SELECT id FROM challenge WHERE state = 'open' AND deadline_ms < ?", (real_ms,))
        for (challenge,) in late.fetchall():
            self.resolve(str(challenge), "deadline", real_ms)

    def _bound_board(self, gateway: Gateway, board_key: bytes) -> int:
        board_id = self.number(
            "SELECT id FROM board JOIN binding ON board_id = id WHERE board_key = ? AND gateway_id = ?",
            board_key,
            gateway.id,
        )
        if not board_id:
            raise RefusalError(422, "unknown_board", "register the board first")
        return board_id

    def _check_slot(self, board_id: int, report: Report) -> None:
        taken = self.db.execute(
            "SELECT a FROM claim WHERE board_id = ? AND device = ? AND a > ? AND a < ? AND b > ? LIMIT 1",
            (board_id, report.device, report.a - LENGTH_MS_MAX, report.b, report.a),
        ).fetchone()
        if taken:
            raise RefusalError(409, "slot_taken" if taken[0] == report.a else "slot_overlaps")

    def _kept_secret(self) -> bytes:
        self.db.execute("INSERT INTO setting VALUES ('secret', ?) ON CONFLICT DO NOTHING", (os.urandom(32),))
        return bytes(self.db.execute("SELECT value FROM setting WHERE name = 'secret'").get)
