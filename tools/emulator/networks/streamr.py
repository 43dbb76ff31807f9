"""A local Streamr node's HTTP interface: it knows one API key, and may publish to one stream."""

import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
from aiohttp import web
from msgspec import Meta

from civilclock import Clock
from wattnet.faults import Faults, inject

from .base import Ledger, Served
from .serving import listening

API_KEY = "a key of the sandbox"
STREAM = "0x499f455fed78a78fd462a617974fa494fa31d000/home/meter"
MESSAGE_BYTES_MAX = 512 * 1024

Natural = Annotated[int, Meta(ge=0)]
Hash = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]


class Message(msgspec.Struct, forbid_unknown_fields=True):
    """What subscribers of our streams are promised."""

    id: str
    board: Hash
    device: str
    role: str
    a: Natural
    b: Natural
    covered_ms: Annotated[int, Meta(gt=0)]
    energy_mwh: dict[str, Natural]
    flagged: list[str]
    provenance: str
    roots: Annotated[list[Hash], Meta(min_length=1)]
    rules: Natural
    power_mw: dict[str, int] = {}


class Node:
    """The node: what it published, in order."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.published: list[Message] = []

    async def publish(self, request: web.Request) -> web.Response:
        """Take one message."""
        if request.headers.get("Authorization") != f"Bearer {API_KEY}":
            return self._refuse(401, "bad_api_key")
        if request.match_info["stream"] != STREAM:
            return self._refuse(403, "no_publish_grant")
        body = await request.read()
        try:
            message = read_message(request.content_type, body)
        except ValueError as error:
            return self._refuse(400, str(error))
        is_new = message.id not in self.ledger.taken
        if not self.ledger.take(message.id, body):
            return web.Response()  # a node publishes it all the same
        if is_new:
            self.published.append(message)
        return web.Response()

    def _refuse(self, status: int, reason: str) -> web.Response:
        self.ledger.refuse(reason)
        return web.Response(status=status, text=reason)


def read_message(content_type: str, body: bytes) -> Message:
    """Return the message; raises ValueError whose text is the reason."""
    if content_type != "application/json":
        raise ValueError("bad_content_type")
    try:
        value: Any = json.loads(body)
    except ValueError:
        raise ValueError("bad_json") from None
    try:
        message = msgspec.convert(value, Message)
    except msgspec.ValidationError:
        raise ValueError("bad_message") from None
    if message.b <= message.a or message.covered_ms > message.b - message.a:
        raise ValueError("bad_times")
    if message.id != f"{message.board}/{message.device}/{message.a}":
        raise ValueError("bad_id")
    return message


@asynccontextmanager
async def serving(public_key: bytes, clock: Clock, faults: Faults) -> AsyncIterator[Served]:  # noqa: ARG001 - the node signs
    """Serve a node with its API key in a file."""
    async with serving_node(Node(), faults) as served:
        yield served


@asynccontextmanager
async def serving_node(node: Node, faults: Faults) -> AsyncIterator[Served]:
    """Serve this node."""
    faults = msgspec.structs.replace(faults, paths=("/streams/",))
    app = web.Application(middlewares=[inject(faults)], client_max_size=MESSAGE_BYTES_MAX)
    app.router.add_post("/streams/{stream}", node.publish)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "api_key"
        file.touch(mode=0o600)
        file.write_text(API_KEY + "\n")
        async with listening(app) as url:
            yield Served(url, node.ledger, {"stream": STREAM, "api_key_file": str(file)})
