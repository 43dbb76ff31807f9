"""A gateway for tests of the network: says exactly what it is told to, true or not, over real HTTP."""

import base64
import hashlib
from collections.abc import Sequence
from typing import Any

import aiohttp

from wattwire import cbor

from .challenges import PROOF_HEADER
from .simulated import SimulatedBoard, SimulatedKey, sealed

Answered = tuple[int, dict[str, Any]]


class SimulatedGateway(SimulatedKey):
    """A key with a session to one network."""

    def __init__(self, seed: int, session: aiohttp.ClientSession, url: str) -> None:
        super().__init__(seed)
        self.session = session
        self.url = url
        self.kid = self.hash[:8].hex()

    async def get(self, path: str) -> Answered:
        """Return the status and the JSON at `path`."""
        async with self.session.get(self.url + path) as response:
            return response.status, await response.json()

    async def post(self, path: str, body: bytes, headers: dict[str, str] | None = None) -> Answered:
        """Send bytes and return the status and the JSON."""
        async with self.session.post(self.url + path, data=body, headers=headers) as response:
            return response.status, await response.json()

    async def register(self) -> Answered:
        """Introduce this gateway."""
        return await self.post("/v1/gateways", sealed(self, {"public_key": self.public_key}))

    async def introduce(self, board: SimulatedBoard) -> Answered:
        """Introduce a board by its first frame."""
        value = {"board": board.public_key, "name": "simulated", "streams": board.frames[0]}
        return await self.post("/v1/boards", sealed(self, value))

    async def claim(self, report: dict[str, Any]) -> Answered:
        """Send a report."""
        return await self.post("/v1/reports", sealed(self, report))

    async def challenges(self) -> list[dict[str, Any]]:
        """Return the open challenges."""
        return list((await self.get(f"/v1/challenges?gateway={self.kid}"))[1]["challenges"])

    async def show(self, challenge: str, frames: Sequence[bytes]) -> Answered:
        """Answer a challenge."""
        body = cbor.encode(list(frames))
        proof = sealed(self, {"challenge": challenge, "digest": hashlib.sha256(body).digest()})
        headers = {PROOF_HEADER: base64.b64encode(proof).decode()}
        return await self.post(f"/v1/challenges/{challenge}", body, headers)
