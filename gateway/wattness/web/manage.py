"""What changes something: boards that are enrolled and removed, and the settings."""

import asyncio

import msgspec

from wattness.errors import ConfigError
from wattness.model import Board

from . import settings
from .answers import Enrolled, SettingsNow, SettingsVerdict
from .queries import BoardQuery, Enrolment, NewSettings, Nothing, SettingsQuery
from .routes import NotFoundError, RefusalError, Route
from .sources import Sources


class Manage:
    """The handlers; `routes` is all there is."""

    def __init__(self, sources: Sources) -> None:
        """`sources` is read at each request."""
        self._from = sources
        self._settings = asyncio.Lock()  # one writes at a time
        boards, config = "/api/v1/boards", "/api/v1/settings"
        one, tried = boards + "/{kid}", "Try new settings, or write them."
        self.routes = (
            Route("POST", boards, "Enrol a board.", Enrolled, self.enrol, body=Enrolment, status=201),
            Route("DELETE", one, "Remove a board; its frames stay.", None, self.remove, BoardQuery, status=204),
            Route("POST", one + "/release", "End a quarantine.", None, self.release, BoardQuery, status=204),
            Route("GET", config, "The settings, without secrets.", SettingsNow, self.settings),
            Route("POST", config, tried, SettingsVerdict, self.set, SettingsQuery, NewSettings),
        )

    async def enrol(self, _: Nothing, body: Enrolment) -> Enrolled:
        """Enrol a board; its secrets are answered this once."""
        public_key = bytes.fromhex(body.public_key)
        if any(board.public_key == public_key for board in await self._from.store.boards()):
            raise RefusalError(409, "This board is enrolled already; remove it first, or run `wattness board enrol`.")
        try:
            board = await self._from.store.enrol(public_key, body.name)
            parts = self._from.board_settings(board, body.host)
        except ConfigError as error:
            raise RefusalError(400, str(error)) from None
        return msgspec.convert({"kid": board.kid.hex(), "name": board.name, **parts}, Enrolled)

    async def remove(self, query: BoardQuery) -> None:
        """Remove a board."""
        await self._from.store.remove(await self._board(query))

    async def release(self, query: BoardQuery) -> None:
        """Take a board out of quarantine, by the owner's word."""
        board = await self._board(query)
        try:
            await self._from.store.release(board)
        except ConfigError as error:
            raise RefusalError(409, str(error)) from None

    async def _board(self, query: BoardQuery) -> Board:
        kid = bytes.fromhex(query.kid)
        board = next((board for board in await self._from.store.boards() if board.kid == kid), None)
        if board is None:
            raise NotFoundError(f"No board has the key id {query.kid}.")
        return board

    async def settings(self, _: Nothing) -> SettingsNow:
        """Return the settings."""
        return await asyncio.to_thread(settings.show, self._from.config)

    async def set(self, query: SettingsQuery, body: NewSettings) -> SettingsVerdict:
        """Try new settings, and write them unless it is a dry run."""
        act = settings.judge if query.dry_run else settings.write
        async with self._settings:
            return await asyncio.to_thread(act, self._from.config, body.toml)
