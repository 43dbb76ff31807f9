"""An ESP32's boot loader on a TCP port, for esptool: the ROM's serial protocol, and its stub's once that is uploaded.

Protocol: Espressif's "Serial Protocol" page. What esptool writes lands in `flash`; none of it runs. Once something was
flashed, the port is the REPL of the board at `repl`, as a chip's port is after the reset.
"""

import asyncio
import contextlib
import hashlib
import os
import struct
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Self

END, ESCAPE = 0xC0, 0xDB
ESCAPED = {0xDC: END, 0xDD: ESCAPE}
FLASH_BEGIN, FLASH_DATA, FLASH_END, MEM_BEGIN, MEM_END, MEM_DATA, SYNC, WRITE_REG, READ_REG = range(2, 11)
SPI_SET_PARAMS, SPI_ATTACH, CHANGE_BAUD, DEFL_BEGIN, DEFL_DATA, DEFL_END, MD5 = 0x0B, 0x0D, 0x0F, 0x10, 0x11, 0x12, 0x13
SECURITY, ERASE_FLASH = 0x14, 0xD0
PLAIN = {MEM_BEGIN, MEM_DATA, MEM_END, SPI_SET_PARAMS, SPI_ATTACH, CHANGE_BAUD, FLASH_END, DEFL_END}
UNKNOWN = 5  # the ROM's word for a command it does not have
SYNCS = 8
ESP32_S3 = 9
# SPI flash controller registers of the ESP32-S3, by which esptool asks for the flash's id.
SPI_CMD, SPI_USR, SPI_W0 = 0x6000_2000, 1 << 18, 0x6000_2058
FLASH_ID = 0x16_40EF  # Winbond, 4 MB


def unslip(data: bytes) -> bytes:
    """Return the packet between two end marks."""
    found = bytearray()
    rest = iter(data)
    for byte in rest:
        found.append(ESCAPED.get(next(rest, 0), 0) if byte == ESCAPE else byte)
    return bytes(found)


def slip(packet: bytes) -> bytes:
    """Return a packet as it goes over the wire."""
    return b"\xc0" + packet.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc") + b"\xc0"


class Bootloader:
    """A chip that waits for a download; `async with` opens its port, `url` is for esptool."""

    def __init__(self, chip_id: int = ESP32_S3, flash_bytes: int = 4 << 20, hangs_up_after: int | None = None) -> None:
        """`hangs_up_after` so many blocks of flash data, as a cable that is pulled."""
        self.flash = bytearray(b"\xff" * flash_bytes)
        self.repl: Path | None = None
        self.erased = False
        self.stub = False
        self.blocks = 0
        self._chip_id, self._hangs_up_after = chip_id, hangs_up_after
        self._registers: dict[int, int] = {}
        self._at = 0
        self._inflate = zlib.decompressobj()
        self._server: asyncio.Server | None = None
        self._acts: dict[int, Callable[[tuple[int, ...], bytes], None]] = {
            WRITE_REG: self._write_register,
            FLASH_BEGIN: self._begin,
            DEFL_BEGIN: self._begin,
            FLASH_DATA: self._plain_data,
            DEFL_DATA: self._packed_data,
            ERASE_FLASH: self._erase,
        }

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server:
            self._server.close()
            await self._server.wait_closed()

    @property
    def url(self) -> str:
        """The port."""
        assert self._server is not None  # noqa: S101  (open)
        return f"socket://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.repl is not None and self.blocks:
            await _bridge(self.repl, reader, writer)
            return

        async def send(packet: bytes) -> None:
            writer.write(slip(packet))
            await writer.drain()

        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                packet = unslip((await reader.readuntil(b"\xc0"))[:-1])
                if len(packet) >= 8 and packet[0] == 0:
                    await self._take(packet, send)
        writer.close()

    async def _take(self, packet: bytes, send: Callable[[bytes], Awaitable[None]]) -> None:
        _, op, size, _ = struct.unpack("<BBHI", packet[:8])
        data = packet[8 : 8 + size]
        if op in {FLASH_DATA, DEFL_DATA}:
            self.blocks += 1
            if self._hangs_up_after is not None and self.blocks > self._hangs_up_after:
                raise ConnectionError
        value, answer, code = self._answer(op, data)
        status = struct.pack("<BB", code != 0, code) + (b"" if self.stub else b"\0\0")
        body = answer + status
        for _ in range(SYNCS if op == SYNC else 1):
            await send(struct.pack("<BBHI", 1, op, len(body), value) + body)
        if op == MEM_END:
            self.stub = True
            await send(b"OHAI")

    def _answer(self, op: int, data: bytes) -> tuple[int, bytes, int]:
        """Return (value, data, error code)."""
        count = min(len(data) // 4, 4)
        words = struct.unpack(f"<{count}I", data[: 4 * count])
        value, answer = 0, b""
        if op == SECURITY:
            answer = struct.pack("<I8BII", 0, *bytes(8), self._chip_id, 0)
        elif op == READ_REG:
            value = self._registers.get(words[0], 0)
        elif op == SYNC:
            value = 0 if self.stub else 0x20120707  # by which esptool tells the stub from the ROM
        elif op == MD5:
            digest = hashlib.md5(self.flash[words[0] : words[0] + words[1]], usedforsecurity=False)
            answer = digest.digest() if self.stub else digest.hexdigest().encode()
        elif op in self._acts:
            self._acts[op](words, data)
        elif op not in PLAIN:
            return 0, b"", UNKNOWN
        return value, answer, 0

    def _begin(self, words: tuple[int, ...], _: bytes) -> None:
        self._at, self._inflate = words[3], zlib.decompressobj()

    def _erase(self, *_: object) -> None:
        self.flash[:] = b"\xff" * len(self.flash)
        self.erased = True

    def _write_register(self, words: tuple[int, ...], _: bytes) -> None:
        self._registers[words[0]] = words[1]
        if words[0] == SPI_CMD and words[1] & SPI_USR:
            self._registers[SPI_CMD] = 0  # done at once
            self._registers[SPI_W0] = FLASH_ID

    def _plain_data(self, _: tuple[int, ...], data: bytes) -> None:
        self._store(data[16:])

    def _packed_data(self, _: tuple[int, ...], data: bytes) -> None:
        self._store(self._inflate.decompress(data[16:]))

    def _store(self, data: bytes) -> None:
        self.flash[self._at : self._at + len(data)] = data
        self._at += len(data)


async def _bridge(port: Path, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry bytes between a client and a serial port until the client goes."""
    line = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    loop = asyncio.get_running_loop()
    loop.add_reader(line, lambda: writer.write(os.read(line, 4096)))
    try:
        while data := await reader.read(256):
            os.write(line, data)
    except ConnectionError:
        pass  # the client went without a word
    finally:
        loop.remove_reader(line)
        os.close(line)
        writer.close()
