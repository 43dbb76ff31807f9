"""A sandbox of IoTeX's w3bstream: writes each task again as Go does, and asks who signed that."""

import hashlib
import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import web
from eth_keys.datatypes import Signature
from eth_keys.exceptions import BadSignature
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError

from civilclock import Clock
from wattnet.faults import Faults, inject

from .base import Ledger, Served
from .cloudevents import SPACES, BadEventError, raw_members
from .serving import listening

PROJECTS = {"923": ["timestamp"], "7": ["timestamp", "energyImportMilliWh"], "8": []}  # the keys that are signed
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
MEMBERS = {"nonce", "projectID", "projectVersion", "payload", "signature"}
ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
SIGNATURE = re.compile(r"^0x[0-9a-f]{128}$")
U64_MAX = (1 << 64) - 1


class BadTaskError(Exception):
    """Why a task is not taken: a snake_case reason."""


def compacted(raw: str) -> str:
    """Return JSON without spaces between its parts, and with what Go escapes in its texts escaped."""
    out, quoted, escaped = [], False, False
    for char in raw:
        if not quoted and char in SPACES:
            continue
        if char == '"' and not escaped:
            quoted = not quoted
        escaped = quoted and char == "\\" and not escaped
        out.append(ESCAPES.get(char, char))
    return "".join(out)


def request_digest(members: dict[str, str], signed_keys: Sequence[str]) -> tuple[bytes, bytes]:
    """Return the hash of the request as Go writes it, and the hash that is signed; raises BadTaskError."""
    order = [name for name in ("nonce", "projectID", "projectVersion", "payload") if name in members]
    if members.get("projectVersion") == '""':
        order.remove("projectVersion")
    text = "{" + ",".join(f'"{name}":{compacted(members[name])}' for name in order) + "}"
    first = hashlib.sha256(text.encode()).digest()
    if not signed_keys:
        return first, first
    payload = json.loads(members["payload"])
    whole = hashlib.sha256(first)
    for key in signed_keys:
        value = payload.get(key) if isinstance(payload, dict) else None
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= U64_MAX:
            raise BadTaskError("missing_signed_key")
        whole.update(value.to_bytes(8, "little"))
    return first, whole.digest()


def recovery(digest: bytes, signature: bytes, public_key: bytes) -> int:
    """Return which of two points the signature stands for; raises BadTaskError when it is not of this key."""
    if int.from_bytes(signature[32:], "big") * 2 > ORDER:
        raise BadTaskError("high_s")
    for bit in (0, 1):
        try:
            found = Signature(signature + bytes((bit,))).recover_public_key_from_msg_hash(digest)
        except (BadSignature, ValidationError):
            continue
        if found.to_bytes() == public_key[1:]:
            return bit
    raise BadTaskError("bad_signature")


class Tasks:
    """The API's two calls."""

    def __init__(self, ledger: Ledger, public_key: bytes) -> None:
        self.ledger, self.public_key = ledger, public_key
        self.tasks: dict[str, str] = {}  # id: state

    async def take(self, request: web.Request) -> web.Response:
        """Answer one task: 200 and its id, 400 and why, or 403 for a device that is not approved."""
        body = await request.read()
        try:
            task = self._take(body)
        except (BadTaskError, BadEventError) as error:
            self.ledger.refuse(str(error))
            status = 403 if str(error) == "not_approved" else 400
            return web.json_response({"error": str(error)}, status=status)
        self.tasks[task] = "packed"
        return web.json_response({"taskID": task})

    def _take(self, body: bytes) -> str:
        members = raw_members(body)
        if not members.keys() <= MEMBERS or not {"nonce", "projectID", "payload", "signature"} <= members.keys():
            raise BadTaskError("bad_request")
        value: dict[str, Any] = {name: json.loads(raw) for name, raw in members.items()}
        if not isinstance(value["nonce"], int) or not isinstance(value["projectID"], str):
            raise BadTaskError("bad_request")
        if value["projectID"] not in PROJECTS:
            raise BadTaskError("not_approved")
        text = str(value["signature"])
        if not SIGNATURE.match(text):
            raise BadTaskError("bad_signature")
        signature = bytes.fromhex(text[2:])
        _, digest = request_digest(members, PROJECTS[value["projectID"]])
        bit = recovery(digest, signature, self.public_key)
        if not self.ledger.take(f"{value['projectID']}/{value['nonce']}", body):
            raise BadTaskError("nonce_taken")
        return "0x" + keccak(signature + bytes((bit,))).hex()

    async def state(self, request: web.Request) -> web.Response:
        """Tell how far a task is."""
        task = request.match_info["task"]
        if task not in self.tasks:
            return web.json_response({"error": "no such task"}, status=404)
        return web.json_response({"projectID": "", "taskID": task, "states": [{"state": self.tasks[task]}]})


@asynccontextmanager
async def serving(public_key: bytes, clock: Clock, faults: Faults) -> AsyncIterator[Served]:  # noqa: ARG001 - undated
    """Serve the API on this machine; the device of `public_key` is approved."""
    ledger = Ledger()
    tasks = Tasks(ledger, public_key)
    app = web.Application(middlewares=[inject(msgspec.structs.replace(faults, paths=("/v1/task",)))])
    app.router.add_post("/v1/task", tasks.take)
    app.router.add_get("/v1/task/{task}", tasks.state)
    async with listening(app) as url:
        yield Served(url, ledger, {"project_id": "923", "signed_keys": PROJECTS["923"]})
