"""A sandbox of Arkreen's API: recovers who signed a report, and holds it against all that came before it."""

import json
import re
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from aiohttp import web
from eth_keys.datatypes import PublicKey, Signature
from eth_keys.exceptions import BadSignature
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError

from civilclock import Clock
from wattnet.faults import Faults, inject
from wattnet.guard import Handler

from .base import Ledger, Served
from .serving import listening

PATH = "/v1"
SAMPLES_MAX = 12
FUTURE_S_MAX = 60
MEMBERS = {"version", "address", "dataList", "signature"}
BITCOIN = {letter: at for at, letter in enumerate("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz")}
INVALID_SIGNATURE, INVALID_CONTENT, NO_MINER = 12201, 12207, 12208
BAD_TOKEN, BAD_CLIENT, ENERGY_SMALLER = 1000, 4002, 4003


class ApiError(Exception):
    """An answer with an error; `reason` is for the ledger."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class Sample(NamedTuple):
    """What a miner measured by an instant."""

    unix_s: int
    power_mw: int
    energy_mwh: int


def samples_of(value: object) -> list[Sample]:
    """Read a data list; raises ApiError."""
    if not isinstance(value, list) or not 1 <= len(value) <= SAMPLES_MAX:
        raise ApiError(INVALID_CONTENT, "bad_count")
    found = []
    for text in value:
        if not isinstance(text, str) or not re.fullmatch("01[0-9a-f]{38}", text):
            raise ApiError(INVALID_CONTENT, "bad_sample")
        found.append(Sample(int(text[2:12], 16), int(text[12:24], 16), int(text[24:], 16)))
    return found


def signer_of(params: dict[str, Any]) -> str:
    """Return the address that signed a report's compact JSON; raises ApiError."""
    text = params["signature"]
    if not isinstance(text, str) or not text or not set(text) <= BITCOIN.keys():
        raise ApiError(INVALID_SIGNATURE, "bad_signature")
    number = 0
    for letter in text:
        number = number * 58 + BITCOIN[letter]
    if number >> 8 * 65:
        raise ApiError(INVALID_SIGNATURE, "bad_signature")
    told = {name: params[name] for name in ("version", "address", "dataList")}
    digest = keccak(json.dumps(told, separators=(",", ":")).encode())
    try:
        found = Signature(number.to_bytes(65, "big")).recover_public_key_from_msg_hash(digest)
    except (BadSignature, ValidationError):
        raise ApiError(INVALID_SIGNATURE, "bad_signature") from None
    return found.to_checksum_address()


class Miners:
    """The calls about generation; one miner is registered."""

    def __init__(self, ledger: Ledger, public_key: bytes, clock: Clock) -> None:
        self.ledger, self.clock = ledger, clock
        self.address = PublicKey(public_key[1:]).to_checksum_address()
        self.last: Sample | None = None

    def report(self, params: dict[str, Any], body: bytes) -> str:
        """Take an hour's samples; what was taken before is taken again only in the same bytes."""
        if params.keys() != MEMBERS or params["version"] != 1:
            raise ApiError(INVALID_CONTENT, "bad_form")
        self._find(params)
        samples = samples_of(params["dataList"])
        if signer_of(params) != self.address:
            raise ApiError(INVALID_SIGNATURE, "bad_signature")
        if body in self.ledger.taken.values():
            self.ledger.again += 1
            return "200"
        self._judge(samples)
        self.ledger.take(str(samples[-1].unix_s), body)
        self.last = samples[-1]
        return "200"

    def miner(self, params: dict[str, Any], _: bytes) -> dict[str, Any]:
        """Tell what is known of the miner."""
        self._find(params)
        total = str(self.last.energy_mwh if self.last else 0)
        owner = "0x" + "11" * 20
        return {"address": self.address, "ownerAddress": owner, "capacity": 10_000, "totalEnergyGeneration": total}

    def _find(self, params: dict[str, Any]) -> None:
        if str(params.get("address", "")).lower() != self.address.lower():
            raise ApiError(NO_MINER, "no_miner")

    def _judge(self, samples: list[Sample]) -> None:
        if self.last is None and (len(samples) != 1 or samples[0][1:] != (0, 0)):
            raise ApiError(INVALID_CONTENT, "first_not_zero")
        if samples[-1].unix_s > self.clock.now_ms() // 1000 + FUTURE_S_MAX:
            raise ApiError(INVALID_CONTENT, "in_future")
        before = self.last or Sample(0, 0, 0)
        for sample in samples:
            if sample.unix_s <= before.unix_s:
                self.ledger.conflicts.append(str(sample.unix_s))
                raise ApiError(INVALID_CONTENT, "not_ascending")
            if sample.energy_mwh < before.energy_mwh:
                raise ApiError(INVALID_CONTENT, "energy_smaller")
            before = sample


class Consumers:
    """The call about consumption; one client has a token."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.token, self.client_id = "0x" + secrets.token_hex(32), "0x" + secrets.token_hex(32)
        self.energy_mwh = 0

    def report(self, params: dict[str, Any], body: bytes) -> str:
        """Take a counter that did not go back; the call's number stands for the time, of which nothing is told."""
        if params.get("clientId") != self.client_id:
            raise ApiError(BAD_CLIENT, "bad_client")
        figures = (params.get("power"), params.get("energy"))
        if params.keys() != {"clientId", "power", "energy"} or not all(type(n) is int and n >= 0 for n in figures):
            raise ApiError(-32602, "bad_form")
        if params["energy"] < self.energy_mwh:
            raise ApiError(ENERGY_SMALLER, "energy_smaller")
        if not self.ledger.take(str(json.loads(body)["id"]), body):
            raise ApiError(-32602, "other_bytes")
        self.energy_mwh = params["energy"]
        return "OK"


Call = Callable[[dict[str, Any], bytes], Any]


class Api:
    """Answers JSON-RPC 2.0."""

    def __init__(self, ledger: Ledger, calls: dict[str, Call], token: str = "") -> None:
        self.ledger, self.calls, self.token = ledger, calls, token

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one call; errors are answers as well."""
        body = await request.read()
        number = None
        try:
            call = _call(body)
            number = call["id"]
            result = self._result(call, body, request.headers.get("authorization", ""))
        except ApiError as error:
            self.ledger.refuse(error.reason)
            told = {"code": error.code, "message": error.reason}
            return web.json_response({"jsonrpc": "2.0", "id": number, "error": told})
        return web.json_response({"jsonrpc": "2.0", "id": number, "result": result})

    def _result(self, call: dict[str, Any], body: bytes, authorization: str) -> Any:
        if self.token and authorization != f"Bearer {self.token}":
            raise ApiError(BAD_TOKEN, "bad_token")
        if call["method"] not in self.calls:
            raise ApiError(-32601, "no_method")
        return self.calls[call["method"]](call["params"], body)


def _call(body: bytes) -> dict[str, Any]:
    try:
        call = json.loads(body)
    except (ValueError, RecursionError):
        raise ApiError(-32700, "bad_json") from None
    good = isinstance(call, dict) and call.get("jsonrpc") == "2.0" and isinstance(call.get("params"), dict)
    if not good or "id" not in call or not isinstance(call.get("method"), str):
        raise ApiError(-32600, "bad_request")
    return dict(call)


def _app(api: Api, faults: Faults) -> web.Application:
    """Return the API, whose reports suffer `faults`."""
    suffering = inject(msgspec.structs.replace(faults, paths=(PATH,)))

    @web.middleware
    async def fate(request: web.Request, handler: Handler) -> web.StreamResponse:
        is_report = b"report" in await request.read()
        return await (suffering(request, handler) if is_report else handler(request))

    app = web.Application(middlewares=[fate])
    app.router.add_post(PATH, api.answer)
    return app


@asynccontextmanager
async def serving(public_key: bytes, clock: Clock, faults: Faults) -> AsyncIterator[Served]:
    """Serve the calls about generation; the miner with `public_key` is registered."""
    ledger = Ledger()
    miners = Miners(ledger, public_key, clock)
    calls: dict[str, Call] = {"tx_reportMinerPoGG": miners.report, "net_getMinerByAddress": miners.miner}
    async with listening(_app(Api(ledger, calls), faults)) as url:
        yield Served(url + PATH, ledger, {})


@asynccontextmanager
async def serving_consumption(
    public_key: bytes,  # noqa: ARG001 - a token tells who reports
    clock: Clock,  # noqa: ARG001 - nothing is dated
    faults: Faults,
) -> AsyncIterator[Served]:
    """Serve the call about consumption, with a token in a file; a slow pace is agreed to, and nothing is too late."""
    ledger = Ledger()
    consumers = Consumers(ledger)
    api = Api(ledger, {"edr_reportConsumeData": consumers.report}, consumers.token)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "arkreen.token")
        file.touch(0o600)
        file.write_text(consumers.token)
        settings = {"client_id": consumers.client_id, "token_file": str(file)}
        async with listening(_app(api, faults)) as url:
            yield Served(url + PATH, ledger, settings | {"cadence_s": 300, "late_max_s": 31 * 86_400})
