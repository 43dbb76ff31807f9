"""What everybody may read: payouts with proofs, epochs, claims, counts, and a page for people."""

from typing import Any

from aiohttp import web

from wattwire import cose

from . import accounts, books
from .guard import answer
from .ledger import Ledger
from .page import render
from .refusal import RefusalError
from .settings import Settings
from .shares import ACCOUNT_SIZE

CLAIMS_PER_ANSWER = 500
_FILTERS = (("gateway", cose.KID_SIZE), ("board", 32))


class Public:
    """The reading side of the API."""

    def __init__(self, ledger: Ledger, settings: Settings) -> None:
        self.ledger = ledger
        self.settings = settings

    async def list_payouts(self, request: web.Request) -> web.Response:
        """Return what a gateway was paid after an epoch, with proofs."""
        kid, after = hexed(request, "gateway", cose.KID_SIZE), number(request, "after", -1)
        return answer({"payouts": books.payouts(self.ledger, kid, after)})

    async def list_settlements(self, request: web.Request) -> web.Response:
        """Return what an account can claim of the epochs after one, with proofs, and the contract that pays it."""
        account, after = hexed(request, "account", ACCOUNT_SIZE), number(request, "after", -1)
        made = accounts.contract(self.ledger)
        found = accounts.settlements(self.ledger, account, after)
        return answer({"contract": made._asdict() if made else None, "settlements": found})

    async def show_epoch(self, request: web.Request) -> web.Response:
        """Return a settled epoch."""
        text = request.match_info["number"]
        found = books.epoch(self.ledger, int(text)) if text.isascii() and text.isdigit() and len(text) < 16 else None
        if found is None:
            raise RefusalError(404, "unknown_epoch", "not settled, or nothing was claimed in it")
        return answer(found)

    async def list_claims(self, request: web.Request) -> web.Response:
        """Return what was claimed, paid and lost, and why."""
        keys = {name: hexed(request, name, size) for name, size in _FILTERS if name in request.query}
        chosen = books.Chosen(
            **keys,
            device=request.query.get("device"),
            status=request.query.get("status"),
            a=number(request, "a", 0) if "a" in request.query else None,
        )
        found = books.claims(self.ledger, chosen, number(request, "after", 0), CLAIMS_PER_ANSWER)
        return answer({"claims": [_shown(claim) for claim in found]})

    async def show_summary(self, _: web.Request) -> web.Response:
        """Return the counts."""
        return answer(books.summary(self.ledger))

    async def show_page(self, _: web.Request) -> web.Response:
        """Return the page for people."""
        return web.Response(text=render(self.ledger, self.settings.epoch_ms), content_type="text/html")


def _shown(claim: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is long, and the names of challenges."""
    hidden = {"challenge", "board_public_key", "body", "digest"}
    return {name: value for name, value in claim.items() if name not in hidden} | {
        "receipt": claim["digest"].hex()[:32]
    }


def hexed(request: web.Request, name: str, size: int) -> bytes:
    """Return a query's bytes from hex; raises RefusalError."""
    try:
        found = bytes.fromhex(request.query.get(name, ""))
    except ValueError:
        found = b""
    if len(found) != size:
        raise RefusalError(400, "bad_query", f"{name} must be {2 * size} hex digits")
    return found


def number(request: web.Request, name: str, default: int) -> int:
    """Return a query's integer; raises RefusalError."""
    text = request.query.get(name, str(default))
    if not text.removeprefix("-").isdecimal() or not text.isascii() or len(text) > 16:
        raise RefusalError(400, "bad_query", f"{name} must be an integer")
    return int(text)
