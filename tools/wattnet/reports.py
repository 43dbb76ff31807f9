"""Reports: taken once per slot, answered with a receipt, some of them challenged."""

import hashlib
import hmac
from typing import Any

from aiohttp import web

from .access import Access
from .guard import REPORT_BYTES_MAX, answer, read_body
from .ledger import Gateway, Ledger
from .refusal import RefusalError
from .report import check_time, read
from .settings import Settings


class Reports:
    """Decides on reports as they arrive."""

    def __init__(self, ledger: Ledger, access: Access, settings: Settings) -> None:
        self.ledger = ledger
        self.access = access
        self.settings = settings

    async def take_report(self, request: web.Request) -> web.Response:
        """Take a claim once per slot; the same bytes get the same receipt."""
        try:
            body = await read_body(request, REPORT_BYTES_MAX)
            gateway, value = self.access.open(body)
            return answer(self._accept(gateway, value, body))
        except RefusalError as error:
            self.ledger.count_refused(error.reason)
            raise

    def _accept(self, gateway: Gateway, value: dict[Any, Any], body: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(body).digest()
        if (claim := self.ledger.claim(digest)) is not None:
            self.ledger.count_resent(digest)
            return _receipt(claim)
        settings, clock = self.settings, self.settings.clock
        report, _ = read(value)
        if settings.boards_only and report.provenance != "board":
            raise RefusalError(422, "provenance", "this network takes only what a board has signed")
        now_ms = clock.now_ms()
        check_time(report, now_ms, settings.age_ms_max, settings.future_ms)
        with self.ledger.transaction():
            drawn = self._drawn(gateway, report.board, digest)
            claim_id = self.ledger.add_claim(gateway, report, body, now_ms, settings.epoch(now_ms))
            if drawn:
                real_ms = clock.real_ms_now()
                challenge = self._keyed(b"challenge", digest).hex()[:32]
                self.ledger.add_challenge(claim_id, challenge, real_ms, real_ms + settings.challenge_deadline_ms)
        return _receipt(self.ledger.taken(digest))

    def _drawn(self, gateway: Gateway, board_key: bytes, digest: bytes) -> bool:
        """Decide on a challenge: a secret share, and everything of whoever has not yet passed or failed last."""
        percent = self.settings.challenge_percent
        draw = int.from_bytes(self._keyed(b"draw", digest)[:8], "big") * 100 >> 64
        return draw < percent or (percent > 0 and not self.ledger.trusted(gateway, board_key))

    def _keyed(self, purpose: bytes, digest: bytes) -> bytes:
        return hmac.digest(self.ledger.secret, purpose + b"\0" + digest, "sha256")


def _receipt(claim: dict[str, Any]) -> dict[str, Any]:
    return {
        "receipt": claim["digest"].hex()[:32],
        "report": claim["digest"],
        "slot": f"{claim['board'].hex()}/{claim['device']}/{claim['a']}",
        "status": "accepted",
        "challenge": claim["challenge"],
    }
