"""An IPFS node as far as Kubo's RPC API takes archives, which also reads what it is given."""

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from aiohttp import BodyPartReader, web

from civilclock import Clock
from wattnet import faults as trouble

from .base import Ledger, Served
from .day import DayError, check_archive, text
from .serving import listening

IMPORT = "/api/v0/dag/import"
BYTES_MAX = 64 << 20


class Node:
    """Holds days by their root."""

    def __init__(self, gateway: bytes) -> None:
        """`gateway` is the hash of the key that boards must report to."""
        self.gateway = gateway
        self.ledger = Ledger()

    async def version(self, _: web.Request) -> web.Response:
        """Answer as Kubo does."""
        return web.json_response({"Version": "0.30.0", "Commit": "", "Repo": "16", "System": "sandbox", "Golang": ""})

    async def take(self, request: web.Request) -> web.Response:
        """Import an archive. Kubo answers 500 to a bad one; here it is 400, as what is wrong is the archive."""
        if request.query.get("pin-roots") != "true":
            return self._refused("not_pinned", "nothing would keep it")
        part = await (await request.multipart()).next()
        if not isinstance(part, BodyPartReader) or part.name != "file":
            return self._refused("no_file", "a part named file")
        data = bytes(await part.read(decode=False))
        try:
            day = check_archive(data, self.gateway)
        except DayError as error:
            return self._refused(error.reason, str(error))
        root = text(day.root)
        if not self.ledger.take(root, data):
            return self._refused("conflict", root)
        return web.Response(text=json.dumps({"Root": {"Cid": {"/": root}, "PinErrorMsg": ""}}) + "\n")

    async def pin_remotely(self, request: web.Request) -> web.Response:
        """Ask a service to keep what is held here."""
        root = request.query.get("arg", "")
        if root not in self.ledger.taken:
            return self._refused("unknown_root", root)
        self.ledger.take(f"{request.query.get('service')}: {root}", root.encode())
        return web.json_response({"Status": "queued", "Cid": root, "Name": request.query.get("name", "")})

    def _refused(self, reason: str, detail: str) -> web.Response:
        self.ledger.refuse(reason)
        return web.json_response({"Message": f"{reason}: {detail}", "Code": 0, "Type": "error"}, status=400)


@asynccontextmanager
async def serving(public_key: bytes, clock: Clock, faults: trouble.Faults) -> AsyncIterator[Served]:
    """Serve a node for the boards of one gateway, whose key this is."""
    del clock  # nothing in an archive is newer than a frame
    node = Node(hashlib.sha256(public_key).digest())
    middleware = trouble.inject(msgspec.structs.replace(faults, paths=(IMPORT,)))
    app = web.Application(client_max_size=BYTES_MAX, middlewares=[middleware])
    app.router.add_post("/api/v0/version", node.version)
    app.router.add_post(IMPORT, node.take)
    app.router.add_post("/api/v0/pin/remote/add", node.pin_remotely)
    async with listening(app) as url:
        yield Served(url, node.ledger, {})
