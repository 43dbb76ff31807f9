"""The board's radio: the emulated chip's `bluetooth` in JSON lines on one side, bumble's central on the other."""

import asyncio
import contextlib
import json
from collections.abc import Callable, Coroutine
from typing import Any

from bumble import att
from bumble.core import ProtocolError
from bumble.device import Advertisement, Connection, Device, Peer
from bumble.gatt_client import CharacteristicProxy, ServiceProxy
from bumble.hci import Address

from emulator.radio.air import Air

SCAN_RESULT, SCAN_DONE, CONNECTED, DISCONNECTED = 5, 6, 7, 8
SERVICE, CHARACTERISTIC, DESCRIPTOR = 9, 11, 13  # one more is the end of each
WRITE_DONE, NOTIFY = 17, 18
Command = Callable[..., Coroutine[Any, Any, None]]


class Bridge:
    """Listens for one board; `address` is what the board is told. `async with` opens and closes it."""

    def __init__(self, air: Air) -> None:
        """Give the board a radio on this air."""
        self._air = air
        self._server: asyncio.Server | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._central: Device | None = None
        self._peers: dict[int, Peer] = {}
        self._found: dict[int, list[ServiceProxy]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._scanning = False

    async def __aenter__(self) -> "tuple[str, int]":
        self._central = await self._air.device("board")
        self._central.on("advertisement", self._advert)
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()[:2]
        return str(host), int(port)

    async def __aexit__(self, *_: object) -> None:
        if self._server:
            self._server.close()
        await self._hang_up()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        commands: dict[str, Command] = {
            "scan": self._scan, "connect": self._connect, "disconnect": self._disconnect, "services": self._services,
            "characteristics": self._characteristics, "descriptors": self._descriptors, "write": self._write,
        }  # fmt: skip
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                word, *arguments = json.loads(line)
                task = asyncio.create_task(commands[word](*arguments), name=f"radio {word}")
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        await self._hang_up()

    async def _hang_up(self) -> None:
        """The board is gone: a radio without power keeps no connection."""
        writer, self._writer = self._writer, None
        if writer:
            writer.close()
        for task in list(self._tasks):
            task.cancel()
        if self._scanning:
            await self._scan(None)
        for peer in list(self._peers.values()):
            with contextlib.suppress(Exception):
                await peer.connection.disconnect()
        self._peers.clear()

    def _tell(self, event: int, *data: int | bytes) -> None:
        if self._writer and not self._writer.is_closing():
            shown = [each if isinstance(each, int) else "x" + each.hex() for each in data]
            self._writer.write(json.dumps([event, shown]).encode() + b"\n")

    @property
    def _device(self) -> Device:
        assert self._central is not None  # noqa: S101  (used inside `async with`)
        return self._central

    def _advert(self, advert: Advertisement) -> None:
        address = bytes(advert.address)[::-1]
        kind = 0 if advert.is_connectable else 3
        self._tell(SCAN_RESULT, 1, address, kind, -60, bytes(advert.data_bytes))

    async def _scan(self, duration_ms: int | None) -> None:
        if duration_ms is None:
            if self._scanning:
                self._scanning = False
                await self._device.stop_scanning()
            self._tell(SCAN_DONE)
        elif not self._scanning:
            self._scanning = True
            await self._device.start_scanning(filter_duplicates=False)

    async def _connect(self, address: str | None, duration_ms: int) -> None:
        if address is None:
            return
        wanted = Address(bytes.fromhex(address)[::-1], Address.RANDOM_DEVICE_ADDRESS)
        try:
            connection = await self._device.connect(wanted, timeout=duration_ms / 1000)
        except Exception:  # noqa: BLE001 - whatever hindered it, the chip only says that it failed
            self._tell(DISCONNECTED, 0xFFFF, 0xFF, bytes(6))
            return
        peer = self._peers[connection.handle] = Peer(connection)
        connection.on("disconnection", lambda _reason: self._lost(connection))
        handle = connection.handle

        def notified(notification: att.ATT_Handle_Value_Notification) -> None:
            self._tell(NOTIFY, handle, notification.attribute_handle, notification.attribute_value)

        peer.gatt_client.on_att_handle_value_notification = notified  # type: ignore[method-assign]
        self._tell(CONNECTED, connection.handle, 1, bytes.fromhex(address))

    def _lost(self, connection: Connection) -> None:
        if self._peers.pop(connection.handle, None):
            self._tell(DISCONNECTED, connection.handle, 1, bytes(connection.peer_address)[::-1])

    async def _disconnect(self, handle: int) -> None:
        if handle in self._peers:
            with contextlib.suppress(Exception):
                await self._peers[handle].connection.disconnect()

    async def _services(self, handle: int) -> None:
        with contextlib.suppress(Exception):
            self._found[handle] = await self._peers[handle].discover_services()
            for service in self._found[handle]:
                self._tell(SERVICE, handle, service.handle, service.end_group_handle, bytes(service.uuid))
        self._tell(SERVICE + 1, handle, 0)

    async def _characteristics(self, handle: int, start: int, end: int) -> None:
        for each in await self._own(handle, start, end):
            self._tell(
                CHARACTERISTIC, handle, each.end_group_handle, each.handle, int(each.properties), bytes(each.uuid)
            )
        self._tell(CHARACTERISTIC + 1, handle, 0)

    async def _own(self, handle: int, start: int, end: int) -> list[CharacteristicProxy[bytes]]:
        for service in self._found.get(handle, []):
            if (service.handle, service.end_group_handle) == (start, end):
                with contextlib.suppress(Exception):
                    return await service.discover_characteristics()
        return []

    async def _descriptors(self, handle: int, start: int, end: int) -> None:
        with contextlib.suppress(Exception):
            for each in await self._peers[handle].discover_descriptors(start_handle=start, end_handle=end):
                self._tell(DESCRIPTOR, handle, each.handle, bytes(each.type))
        self._tell(DESCRIPTOR + 1, handle, 0)

    async def _write(self, handle: int, value_handle: int, data: str, mode: int) -> None:
        status = 0
        try:
            await self._peers[handle].gatt_client.write_value(value_handle, bytes.fromhex(data), bool(mode))
        except (ProtocolError, KeyError, TimeoutError):
            status = 1
        if mode:
            self._tell(WRITE_DONE, handle, value_handle, status)
