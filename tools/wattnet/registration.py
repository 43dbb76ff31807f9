"""Registration of gateways and boards."""

from aiohttp import web

from wattwire import cose, frame
from wattwire.errors import WireError

from .access import Access, octets, only
from .accounts import name_account
from .envelope import key_hash, load_key, open_envelope, signed_by
from .guard import REPORT_BYTES_MAX, answer, read_body
from .ledger import Gateway, Ledger
from .refusal import RefusalError
from .shares import ACCOUNT_SIZE

NAME_MAX = 64


class Registration:
    """A gateway vouches for itself; a board's own streams record vouches for the gateway that it reports to."""

    def __init__(self, ledger: Ledger, access: Access) -> None:
        self.ledger = ledger
        self.access = access

    async def register_gateway(self, request: web.Request) -> web.Response:
        """Take `{"public_key": …}` signed by that very key."""
        body = await read_body(request, REPORT_BYTES_MAX)
        value = open_envelope(body, lambda _, value: octets(value, "public_key"))
        only(value, {"public_key"})
        created = self.ledger.add_gateway(value["public_key"], self.access.clock.now_ms())
        return answer({"gateway": key_hash(value["public_key"])}, 201 if created else 200)

    async def register_board(self, request: web.Request) -> web.Response:
        """Take a board whose own streams record says that it reports to this gateway."""
        gateway, value = self.access.open(await read_body(request, 2 * REPORT_BYTES_MAX))
        only(value, {"board", "name", "streams"})
        name = value["name"]
        if not isinstance(name, str) or len(name) > NAME_MAX:
            raise RefusalError(422, "bad_type", f"$.name must be text of at most {NAME_MAX} characters")
        public_key = octets(value, "board")
        _check_binding(gateway, public_key, octets(value, "streams"))
        created = self.ledger.bind(gateway, public_key, name, self.access.clock.now_ms())
        return answer({"board": key_hash(public_key)}, 201 if created else 200)

    async def name_account(self, request: web.Request) -> web.Response:
        """Take `{"account": …}`: where this gateway wants to be paid from the next epoch on."""
        gateway, value = self.access.open(await read_body(request, REPORT_BYTES_MAX))
        only(value, {"account"})
        account = octets(value, "account")
        if len(account) != ACCOUNT_SIZE or not any(account):
            raise RefusalError(422, "bad_account", "expected the 20 bytes of an account that somebody holds")
        changed = name_account(self.ledger, gateway, account, self.access.clock.now_ms())
        return answer({"gateway": gateway.key_hash, "account": account, "changed": changed}, 201 if changed else 200)


def _check_binding(gateway: Gateway, public_key: bytes, raw: bytes) -> None:
    load_key(public_key)
    try:
        kid, payload, signature = cose.parse(raw)
        record = frame.decode(payload)
    except WireError as error:
        raise RefusalError(422, error.reason, f"$.streams: {error.detail}") from None
    if kid != key_hash(public_key)[: cose.KID_SIZE] or not signed_by(public_key, kid, payload, signature, cose.AAD):
        raise RefusalError(422, "bad_signature", "$.streams must be signed by the board")
    if record.kind != frame.KIND_STREAMS or record.body.gateway != gateway.key_hash:
        raise RefusalError(422, "wrong_gateway", "$.streams must be a streams record that names this gateway")
