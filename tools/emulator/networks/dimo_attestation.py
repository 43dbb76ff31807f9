"""A sandbox of DIMO's attestations: recovers the signer from the data's bytes as they stand in the body."""

import base64
import functools
import json
import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_keys.datatypes import PublicKey
from eth_keys.exceptions import BadSignature
from eth_utils.exceptions import ValidationError

from civilclock import Clock
from wattnet.faults import Faults, inject

from .base import Ledger, Served
from .cloudevents import DID, FUTURE_S_MAX, BadEventError, Event, parse
from .serving import listening

ISSUER = "https://auth.dimo.zone"
CHAIN = 80002
TYPES = ("dimo.attestation", "dimo.tombstone", "dimo.raw.", "dimo.document.")
TOKEN_S = 3600
SIGNATURE = re.compile(r"^0x[0-9a-f]{128}(1b|1c)$")


class Issuer:
    """Gives bearer tokens, and knows its own again."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.key = _issuer_key()

    def token(self, address: str, seconds: int = TOKEN_S) -> str:
        """Return a token for an address."""
        claims = {"iss": ISSUER, "exp": self.clock.real_ms_now() // 1000 + seconds, "ethereum_address": address}
        signed = ".".join(_text(json.dumps(part).encode()) for part in ({"alg": "RS256", "typ": "JWT"}, claims))
        return f"{signed}.{_text(self.key.sign(signed.encode(), padding.PKCS1v15(), SHA256()))}"

    def address(self, token: str) -> str | None:
        """Return whom a token is for, None when it is not ours or has ended."""
        signed, _, signature = token.rpartition(".")
        try:
            self.key.public_key().verify(_bytes(signature), signed.encode(), padding.PKCS1v15(), SHA256())
        except (ValueError, InvalidSignature):
            return None
        claims = json.loads(_bytes(signed.split(".")[1]))
        in_time = claims["exp"] > self.clock.real_ms_now() / 1000
        return str(claims["ethereum_address"]) if in_time and claims["iss"] == ISSUER else None


@functools.cache
def _issuer_key() -> rsa.RSAPrivateKey:
    """Make one key for all issuers of this process: it takes a while."""
    return rsa.generate_private_key(65_537, 2048)


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Attestations:
    """Reads statements as the server does."""

    def __init__(self, ledger: Ledger, clock: Clock, issuer: Issuer) -> None:
        self.ledger, self.clock, self.issuer = ledger, clock, issuer

    async def take(self, request: web.Request) -> web.Response:
        """Answer one statement: 200, or 400 and why; 401 without a token."""
        address = self.issuer.address(request.headers.get("Authorization", "").removeprefix("Bearer "))
        if address is None:
            self.ledger.refuse("bad_token")
            return web.Response(status=401, text="invalid or expired jwt")
        body = await request.read()
        try:
            self._take(body, address)
        except BadEventError as error:
            self.ledger.refuse(str(error))
            return web.Response(status=400, text=str(error))
        return web.Response()

    def _take(self, body: bytes, address: str) -> None:
        now_s = self.clock.now_ms() / 1000
        event = parse(body, now_s)
        header = event.header
        header.setdefault("type", TYPES[0])
        header.setdefault("source", address)
        if not header["type"].startswith(TYPES):
            raise BadEventError("unknown_type")
        if not DID.match(header["subject"]) and not header["subject"].startswith("did:ethr:"):
            raise BadEventError("bad_subject")
        if event.at_s > now_s + FUTURE_S_MAX:
            raise BadEventError("future")
        if signer(event) != header["source"]:
            raise BadEventError("bad_signature")
        if not self.ledger.take(event.key(header["type"]), body):
            raise BadEventError("other_statement")


def signer(event: Event) -> str:
    """Return who signed the event's data; raises BadEventError."""
    text = event.header.get("signature", "")
    if not SIGNATURE.match(text):
        raise BadEventError("bad_signature")
    try:
        return str(Account.recover_message(encode_defunct(primitive=event.raw), signature=text))
    except (BadSignature, ValidationError, ValueError):
        raise BadEventError("bad_signature") from None


@asynccontextmanager
async def serving(public_key: bytes, clock: Clock, faults: Faults) -> AsyncIterator[Served]:
    """Serve attestations on this machine, with a token for the owner of `public_key`."""
    ledger, issuer = Ledger(), Issuer(clock)
    app = web.Application(middlewares=[inject(msgspec.structs.replace(faults, paths=("/",)))])
    app.router.add_post("/", Attestations(ledger, clock, issuer).take)
    with tempfile.TemporaryDirectory() as folder:
        token = Path(folder) / "dimo.jwt"
        token.touch(0o600)
        token.write_text(issuer.token(PublicKey(public_key[1:]).to_checksum_address()))
        async with listening(app) as url:
            yield Served(
                url, ledger, {"token_file": str(token), "chain_id": CHAIN, "vehicles": {"vehicle": 554, "charger": 555}}
            )
