"""Arweave: a board's day as an ANS-104 data item, signed by the gateway's own key, given to a bundler or a folder."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Literal

import aiohttp
import msgspec

from wattness.config import NetworkConfig, check_url
from wattness.errors import UnavailableError
from wattness.model import Receipt, Report
from wattness.signing import DigestSigner

from . import ans104, car, ethereum
from .archive import Archive, root_block
from .base import Check, Draft, Memory, Reconciled, Sources, settings_of
from .folder import Folder, folder_of
from .http import Answer, HttpClient, new_session
from .upload import Uploader, bearer

TIMEOUT_S = 600.0
REACH_S = 10.0
ITEM_SUFFIX = ".ans104"
ROOT_TYPE = "application/vnd.ipld.dag-cbor"
FRAMES_TYPE = "application/vnd.ipld.car"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What only this kind of network has."""

    content: Literal["root", "frames"] = "root"  # what everybody can read for ever: proofs only, or what was measured
    path: str = "/tx"  # where the bundler takes data items
    folder_bytes_max: Annotated[int, msgspec.Meta(ge=1 << 20)] = 1 << 30  # of all files in a folder
    token_file: str = ""  # in the home, mode 0600: what the bundler wants as a bearer


class Bundler:
    """A service that puts data items into Arweave's blocks."""

    def __init__(self, session: aiohttp.ClientSession, url: str, path: str) -> None:
        self.uploader = Uploader(session, url, TIMEOUT_S)
        self.client = HttpClient(session, url, REACH_S)
        self.path = path

    async def take(self, name: str, size: int, pieces: AsyncIterator[bytes]) -> None:
        """Give the bundler an item; raises NetworkError."""
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        answer = await self.uploader.post(self.path, pieces, headers)
        if answer.status == 200 and _told_id(answer) != name:
            raise UnavailableError(f"{self.uploader.url} did not say that it took {name}")


class ArweaveNetwork:
    """The adapter. What is kept of a report is its head and the root block; frames are added whenever it is sent."""

    def __init__(self, config: NetworkConfig, signer: DigestSigner, sources: Sources, place: Folder | Bundler) -> None:
        self.name = config.name
        self.signer = signer
        self.sources = sources
        self.place = place
        self.content = settings_of(config, Settings).content

    async def validate(self, reports: Sequence[Report], memory: Memory) -> Draft:  # noqa: ARG002 - nothing to remember
        """Return the day's root block, which promises every frame; raises RefusedError."""
        return Draft(await root_block(reports, self.sources))

    async def sign(self, body: bytes) -> bytes:
        """Return the head of the data item, which signs all of its data, and the root block."""
        archive = Archive(body, self.sources)
        is_root = self.content == "root"
        data = ans104.Blob()
        async for piece in _data(body, archive, is_root=is_root):
            data.update(piece)
        tags = (
            ("Content-Type", ROOT_TYPE if is_root else FRAMES_TYPE),
            ("App-Name", "wattness"),
            ("Day", str(archive.value["day"])),
            ("Root-CID", car.cid_text(archive.cid)),
        )
        item = ans104.Item(self.signer.public_key, tags)
        signature = await self.signer.sign_digest(ethereum.personal_digest(item.message(data)))
        return item.head(signature[:64] + bytes((27 + signature[64],))) + body

    async def send(self, signed: bytes) -> Receipt:
        """Deliver the data item."""
        head, root = ans104.split(signed)
        archive = Archive(root, self.sources)
        is_root = ROOT_TYPE.encode() in head
        size = len(signed) if is_root else len(head) + archive.size
        item = ans104.item_id(ans104.signature_of(head))
        pieces = _pieces(head, _data(root, archive, is_root=is_root))
        detail = {"root": car.cid_text(archive.cid), "content": "root" if is_root else "frames", "bytes": size}
        if isinstance(self.place, Folder):
            name = archive.name + ITEM_SUFFIX
            await self.place.keep(name, size, pieces)
            return Receipt(item, detail | {"where": str(self.place.path / name)})
        await self.place.take(item, size, pieces)
        return Receipt(item, detail | {"where": self.place.uploader.url})

    async def find(self, reports: Sequence[Report]) -> Receipt | None:  # noqa: ARG002 - asked for nothing
        """Return None: a day makes the same item again, whose id is the same."""
        return None

    async def reconcile(self, after_epoch: int) -> Reconciled:  # noqa: ARG002 - pays nothing
        """Return nothing: an archive pays nothing."""
        return Reconciled([])

    async def check(self) -> list[Check]:
        """Tell whether the bundler answers, or the folder takes files."""
        key = Check("key", ok=True, text=f"Items are signed by {ethereum.address(self.signer.public_key)}.")
        gate = Check("gate", ok=True, text="Anybody may store who has credit at the bundler; nobody can remove it.")
        if isinstance(self.place, Folder):
            trouble = self.place.trouble()
            place = [
                Check("endpoint", ok=not trouble, text=trouble or f"Files go to {self.place.path}."),
                Check("clock", ok=True, text="No time of this gateway is in an item."),
            ]
        else:
            place = await self.place.client.reach("/", self.sources.clock)
        return [key, *place, gate]


async def _data(root: bytes, archive: Archive, *, is_root: bool) -> AsyncIterator[bytes]:
    if is_root:
        yield root
        return
    async for piece in archive.pieces():
        yield piece


async def _pieces(head: bytes, data: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield head
    async for piece in data:
        yield piece


def _told_id(answer: Answer) -> str | None:
    try:
        value = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    found = value.get("id") if isinstance(value, dict) else None
    return found if isinstance(found, str) else None


@asynccontextmanager
async def open_network(config: NetworkConfig, signer: DigestSigner, sources: Sources) -> AsyncIterator[ArweaveNetwork]:
    """Open the adapter of one configured network; raises ConfigError."""
    settings = settings_of(config, Settings)
    path = f"$.network[{config.name}].url"
    folder = folder_of(config.url, sources.home, path)
    if folder is not None:
        yield ArweaveNetwork(config, signer, sources, Folder(folder, settings.folder_bytes_max))
        return
    check_url(config.url, ("http", "https"), path)
    headers = bearer(settings.token_file, sources)
    async with new_session(headers=headers) as session:
        yield ArweaveNetwork(config, signer, sources, Bundler(session, config.url, settings.path))
