"""The paths of the HTTP API."""

from aiohttp import web

from .access import Access
from .challenges import Challenges
from .ledger import Ledger
from .public import Public
from .registration import Registration
from .reports import Reports
from .settings import Settings


def routes(ledger: Ledger, settings: Settings) -> list[web.RouteDef]:
    """Return every path and who answers it."""
    access = Access(ledger, settings)
    registration, reports = Registration(ledger, access), Reports(ledger, access, settings)
    challenges, public = Challenges(ledger, access), Public(ledger, settings)
    return [
        web.post("/v1/gateways", registration.register_gateway),
        web.post("/v1/boards", registration.register_board),
        web.post("/v1/payees", registration.name_account),
        web.post("/v1/reports", reports.take_report),
        web.get("/v1/challenges", challenges.list_challenges),
        web.post("/v1/challenges/{id}", challenges.answer_challenge),
        web.get("/v1/payouts", public.list_payouts),
        web.get("/v1/settlements", public.list_settlements),
        web.get("/v1/epochs/{number}", public.show_epoch),
        web.get("/v1/claims", public.list_claims),
        web.get("/v1/summary", public.show_summary),
        web.get("/", public.show_page),
    ]
