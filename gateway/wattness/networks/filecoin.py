"""Filecoin and IPFS: a board's day of signed frames as a CARv1 file, given to an IPFS node or kept in a folder."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any
from urllib.parse import quote

import msgspec

from wattness.config import NetworkConfig, check_url
from wattness.errors import NetworkError, UnavailableError
from wattness.model import Receipt, Report
from wattness.signing import Signer

from . import car
from .archive import Archive, root_block
from .base import Check, Draft, Memory, Reconciled, Sources, settings_of
from .folder import Folder, folder_of
from .http import new_session
from .upload import Uploader, bearer

TIMEOUT_S = 600.0
CAR_SUFFIX = ".car"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What only this kind of network has."""

    folder_bytes_max: Annotated[int, msgspec.Meta(ge=1 << 20)] = 1 << 30  # of all files in a folder
    service: str = ""  # a remote pinning service that the node knows by this name: it is asked to keep the day, too
    token_file: str = ""  # in the home, mode 0600: what the node's API wants as a bearer


class FilecoinNetwork:
    """The adapter. A report is a day's root block; the file around it is made anew whenever it is sent."""

    def __init__(self, name: str, sources: Sources, place: "Folder | Node") -> None:
        self.name = name
        self.sources = sources
        self.place = place

    async def validate(self, reports: Sequence[Report], memory: Memory) -> Draft:  # noqa: ARG002 - nothing to remember
        """Return the day's root block, which promises every frame; raises RefusedError."""
        return Draft(await root_block(reports, self.sources))

    async def sign(self, body: bytes) -> bytes:
        """Return the root block as it is: the frames in it are signed, by the board."""
        return body

    async def send(self, signed: bytes) -> Receipt:
        """Deliver the day's file."""
        archive = Archive(signed, self.sources)
        root = car.cid_text(archive.cid)
        if isinstance(self.place, Folder):
            await self.place.keep(archive.name + CAR_SUFFIX, archive.size, archive.pieces())
            where = str(self.place.path / (archive.name + CAR_SUFFIX))
        else:
            await self.place.take(archive, root)
            where = self.place.uploader.url
        return Receipt(root, {"root": root, "blocks": archive.count, "bytes": archive.size, "where": where})

    async def find(self, reports: Sequence[Report]) -> Receipt | None:  # noqa: ARG002 - asked for nothing
        """Return None: a day makes the same root again, and a node takes it again without a second copy."""
        return None

    async def reconcile(self, after_epoch: int) -> Reconciled:  # noqa: ARG002 - pays nothing
        """Return nothing: an archive pays nothing."""
        return Reconciled([])

    async def check(self) -> list[Check]:
        """Tell whether the node answers, or the folder takes files."""
        key = Check("key", ok=True, text="No key is needed: boards have signed every frame.")
        clock = Check("clock", ok=True, text="No time of this gateway is in an archive.")
        gate = Check("gate", ok=True, text="Anybody may keep files; what a node has, anybody can ask it for.")
        return [key, clock, await self._reached(), gate]

    async def _reached(self) -> Check:
        if isinstance(self.place, Folder):
            trouble = self.place.trouble()
            return Check("endpoint", ok=not trouble, text=trouble or f"Files go to {self.place.path}.")
        try:
            return Check("endpoint", ok=True, text=f"{self.place.uploader.url} is Kubo {await self.place.version()}.")
        except NetworkError as error:
            return Check("endpoint", ok=False, text=f"{error}; start the node, or put its API's address into `url`.")


class Node:
    """An IPFS node, by the RPC API of Kubo."""

    def __init__(self, uploader: Uploader, service: str) -> None:
        self.uploader = uploader
        self.service = service

    async def version(self) -> str:
        """Return the node's version; raises NetworkError."""
        answer = _lines((await self.uploader.ask("POST", "/api/v0/version")).body)[0]
        return str(answer.get("Version", "of no version"))

    async def take(self, archive: Archive, root: str) -> None:
        """Give the node a file, and see that it holds the root and keeps it; raises NetworkError."""
        path = "/api/v0/dag/import?pin-roots=true"
        answer = await self.uploader.post_file(path, archive.name + CAR_SUFFIX, archive.pieces())
        roots = [line["Root"] for line in _lines(answer.body) if isinstance(line.get("Root"), dict)]
        mine = next((one for one in roots if one.get("Cid") == {"/": root}), None)
        if mine is None:
            raise UnavailableError(f"{self.uploader.url} did not say that it holds {root}")
        if mine.get("PinErrorMsg"):
            raise UnavailableError(f"{self.uploader.url} does not pin {root}: {mine['PinErrorMsg']}")
        if self.service:
            query = f"arg={root}&service={quote(self.service, safe='')}&name={archive.name}&background=true"
            await self.uploader.ask("POST", f"/api/v0/pin/remote/add?{query}")


def _lines(body: bytes) -> list[dict[str, Any]]:
    """Return the JSON objects of an answer, one a line; raises UnavailableError when there is anything else."""
    try:
        found = [json.loads(line) for line in body.splitlines() if line.strip()]
    except (ValueError, RecursionError):
        found = []
    if not found or not all(isinstance(line, dict) for line in found):
        raise UnavailableError("what answered is not the RPC API of an IPFS node")
    return found


@asynccontextmanager
async def open_network(config: NetworkConfig, _signer: Signer, sources: Sources) -> AsyncIterator[FilecoinNetwork]:
    """Open the adapter of one configured network; raises ConfigError."""
    settings = settings_of(config, Settings)
    path = f"$.network[{config.name}].url"
    folder = folder_of(config.url, sources.home, path)
    if folder is not None:
        yield FilecoinNetwork(config.name, sources, Folder(folder, settings.folder_bytes_max))
        return
    check_url(config.url, ("http", "https"), path)
    headers = bearer(settings.token_file, sources)
    async with new_session(headers=headers) as session:
        node = Node(Uploader(session, config.url, TIMEOUT_S), settings.service)
        yield FilecoinNetwork(config.name, sources, node)
