"""Battery monitors of JBD, Daly and JK: their bytes from plain figures, an own implementation of each."""

import asyncio
from abc import ABC, abstractmethod
from dataclasses import dataclass

from emulator.radio.air import Air
from emulator.radio.peripheral import Gatt, Peripheral

JBD_INFO, JBD_CELLS = 3, 4
DALY_ASK = bytes.fromhex("d2030000003ed7b9")
JK_CELLS, JK_INFO = 0x96, 0x97


@dataclass
class Pack:
    """A battery: amperes are positive while charging."""

    millivolts: int = 52_480
    milliamperes: int = -12_500
    soc: int = 81
    cells: int = 16
    charge_mah: int = 81_000
    capacity_mah: int = 100_000
    cycles: int = 42
    degrees: int = 25


class Monitor(ABC):
    """What the families share: requests come in, frames go out, the next may be damaged."""

    gatt: Gatt

    def __init__(self, pack: Pack) -> None:
        """Watch `pack`."""
        self.pack = pack
        self.damage_next = 0  # frames of which a byte will be wrong
        self.silent = False
        self._said: asyncio.Queue[bytes] = asyncio.Queue()

    async def hear(self, data: bytes) -> None:
        """Take a request."""
        answer = self.answer(data)
        if answer and not self.silent:
            if self.damage_next:
                self.damage_next -= 1
                answer = answer[:10] + bytes([answer[10] ^ 0x10]) + answer[11:]
            await self._said.put(answer)

    async def say(self) -> bytes:
        """Return the next frame."""
        return await self._said.get()

    @abstractmethod
    def answer(self, request: bytes) -> bytes:
        """Return the frame that answers a request; nothing to what is none."""


class Jbd(Monitor):
    """JBD, also sold as Xiaoxiang and Overkill."""

    gatt = Gatt("FF00", "FF01", "FF02")

    def answer(self, request: bytes) -> bytes:
        """Answer info or cells."""
        if len(request) != 7 or request[:2] != b"\xdd\xa5" or request[6] != 0x77:
            return b""
        pack = self.pack
        if request[2] == JBD_INFO:
            body = (pack.millivolts // 10).to_bytes(2, "big") + (pack.milliamperes // 10).to_bytes(
                2, "big", signed=True
            )
            body += (pack.charge_mah // 10).to_bytes(2, "big") + (pack.capacity_mah // 10).to_bytes(2, "big")
            body += pack.cycles.to_bytes(2, "big") + bytes(8) + bytes([0x21, pack.soc, 3, pack.cells, 1])
            body += (2731 + 10 * pack.degrees).to_bytes(2, "big")
        elif request[2] == JBD_CELLS:
            body = (pack.millivolts // pack.cells).to_bytes(2, "big") * pack.cells
        else:
            return bytes([0xDD, request[2], 0x80, 0, 0xFF, 0x80, 0x77])
        checksum = 0x10000 - len(body) - sum(body)
        return bytes([0xDD, request[2], 0, len(body)]) + body + checksum.to_bytes(2, "big") + b"\x77"


class Daly(Monitor):
    """Daly's Modbus in notifications."""

    gatt = Gatt("FFF0", "FFF1", "FFF2")

    def answer(self, request: bytes) -> bytes:
        """Answer the one request that is known."""
        if request != DALY_ASK:
            return b""
        pack = self.pack
        words = [pack.millivolts // pack.cells] * pack.cells + [0] * (62 - pack.cells)
        words[32] = 40 + pack.degrees
        words[40:43] = [pack.millivolts // 100, 30000 + pack.milliamperes // 100, 10 * pack.soc]
        words[48:52] = [pack.charge_mah // 100, pack.cells, 1, pack.cycles]
        body = b"\xd2\x03\x7c" + b"".join(word.to_bytes(2, "big") for word in words)
        return body + crc16(body).to_bytes(2, "little")


class Jk(Monitor):
    """JK of the newer layout; asked once, it streams until the link is gone."""

    gatt = Gatt("FFE0", "FFE1", "FFE1")
    period_s = 0.2

    def __init__(self, pack: Pack) -> None:
        """Watch `pack`."""
        super().__init__(pack)
        self._streams = False

    def begin(self) -> None:
        """A new link: nothing was asked for yet."""
        self._streams = False

    async def hear(self, data: bytes) -> None:
        """Take a request; the module's own chatter comes first."""
        await self._said.put(b"AT\r\n")
        self._streams |= len(data) == 20 and data[:5] == b"\xaa\x55\x90\xeb\x96"
        await super().hear(data)

    async def say(self) -> bytes:
        """Return the next frame, asked for or not."""
        while True:
            try:
                async with asyncio.timeout(self.period_s):
                    return await self._said.get()
            except TimeoutError:
                if self._streams and not self.silent:
                    return self.frame(2)

    def answer(self, request: bytes) -> bytes:
        """Answer a request for cells or info."""
        if len(request) != 20 or request[:4] != b"\xaa\x55\x90\xeb" or sum(request[:19]) & 0xFF != request[19]:
            return b""
        return self.frame({JK_CELLS: 2, JK_INFO: 3}.get(request[4], 1))

    def frame(self, kind: int) -> bytes:
        """Return a frame of that kind, in the layout for 32 cells."""
        pack = self.pack
        frame = bytearray(300)
        frame[:6] = b"\x55\xaa\xeb\x90" + bytes([kind, 0])
        if kind == 2:
            frame[6 : 6 + 2 * pack.cells] = (pack.millivolts // pack.cells).to_bytes(2, "little") * pack.cells
            frame[70:74] = ((1 << pack.cells) - 1).to_bytes(4, "little")
            frame[150:154] = pack.millivolts.to_bytes(4, "little")
            frame[154:158] = (pack.millivolts * abs(pack.milliamperes) // 1000).to_bytes(4, "little")
            frame[158:162] = pack.milliamperes.to_bytes(4, "little", signed=True)
            frame[173] = pack.soc
            frame[174:178] = pack.charge_mah.to_bytes(4, "little")
            frame[178:182] = pack.capacity_mah.to_bytes(4, "little")
            frame[182:186] = pack.cycles.to_bytes(4, "little")
            frame[190] = 99
        frame[299] = sum(frame[:299]) & 0xFF
        return bytes(frame)


def crc16(data: bytes) -> int:
    """Return Modbus's CRC."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return crc


KINDS: dict[str, type[Monitor]] = {"jbd": Jbd, "daly": Daly, "jk": Jk}


def monitor(air: Air, device: Monitor, name: str) -> Peripheral:
    """Return a monitor on the air."""
    return Peripheral(air, name, device.gatt, device)
