"""Challenges: who is asked must show the raw frames behind a claim, or loses it."""

import asyncio
import base64
import binascii
import hashlib
import logging
from typing import Any

from aiohttp import web

from wattwire import cbor, cose
from wattwire.errors import WireError

from .access import Access, only
from .audit import FRAMES_MAX, AuditError, audit
from .guard import PROOF_BYTES_MAX, answer, read_body
from .ledger import Ledger
from .public import hexed
from .refusal import RefusalError
from .report import read

CHALLENGES_PER_ANSWER = 64
AUDITS_AT_ONCE = 2  # a proof may be large
PROOF_HEADER = "Wattnet-Proof"  # base64 of a COSE_Sign1 over {"challenge": id, "digest": SHA-256 of the body}

LOG = logging.getLogger(__name__)


class Challenges:
    """Lists them, takes the answers and judges."""

    def __init__(self, ledger: Ledger, access: Access) -> None:
        self.ledger = ledger
        self.access = access
        self.audits = asyncio.Semaphore(AUDITS_AT_ONCE)

    async def list_challenges(self, request: web.Request) -> web.Response:
        """Return the open challenges of a gateway, with the report that each is about."""
        claims = self.ledger.rows(
            "SELECT challenge.id, body AS report, deadline_ms FROM challenge JOIN claim ON claim.id = claim_id "
            "JOIN gateway ON gateway.id = gateway_id WHERE kid = ? AND state = 'open' ORDER BY claim_id LIMIT ?",
            *(hexed(request, "gateway", cose.KID_SIZE), CHALLENGES_PER_ANSWER),
        )
        return answer({"challenges": claims})

    async def answer_challenge(self, request: web.Request) -> web.Response:
        """Take the raw frames of a claim, check them, and say whether the claim stands."""
        claim = self.ledger.challenged(request.match_info["id"])
        if claim is None:
            raise RefusalError(404, "unknown_challenge")
        async with self.audits:
            body = await read_body(request, PROOF_BYTES_MAX)
            self._check_proof(request, claim, body)
            if claim["challenge_state"] == "open":
                reason = await self._judge(claim, body)
                self.ledger.resolve(claim["challenge"], reason, self.access.clock.real_ms_now())
        judged = self.ledger.challenged(claim["challenge"]) or claim
        return answer({"result": judged["challenge_state"], "reason": judged["challenge_reason"]})

    def _check_proof(self, request: web.Request, claim: dict[str, Any], body: bytes) -> None:
        """Only the gateway itself may answer: anybody's junk must not cost it the claim."""
        try:
            proof = base64.b64decode(request.headers.get(PROOF_HEADER, ""), validate=True)
        except (binascii.Error, ValueError):
            raise RefusalError(401, "unsigned", f"{PROOF_HEADER} is not base64") from None
        if not proof:
            raise RefusalError(401, "unsigned", f"the gateway's {PROOF_HEADER} is missing")
        gateway, value = self.access.open(proof)
        only(value, {"challenge", "digest"})
        expected = {"challenge": claim["challenge"], "digest": hashlib.sha256(body).digest()}
        if gateway.kid != claim["gateway_kid"] or value != expected:
            raise RefusalError(401, "unsigned", f"{PROOF_HEADER} is not this gateway's for these bytes")

    async def _judge(self, claim: dict[str, Any], body: bytes) -> str:
        """Return why the claim is lost, or nothing."""
        if claim["deadline_ms"] < self.access.clock.real_ms_now():
            return "deadline"
        try:
            await asyncio.to_thread(_audit, claim, body)
        except AuditError as error:
            LOG.warning("claim lost reason=%s detail=%s", error.reason, error.detail)
            return error.reason
        return ""


def _audit(claim: dict[str, Any], body: bytes) -> None:
    try:
        frames = cbor.decode(body)
    except WireError as error:
        raise AuditError("bad_form", str(error)) from None
    if not isinstance(frames, list) or len(frames) > FRAMES_MAX or not all(isinstance(raw, bytes) for raw in frames):
        raise AuditError("bad_form", f"expected an array of at most {FRAMES_MAX} byte strings")
    report, figures = read(cbor.decode(cose.parse(claim["body"])[1]))
    audit(report, figures, claim["board_public_key"], claim["gateway"], frames)
