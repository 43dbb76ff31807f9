"""A sandbox of Glow's server: takes one packet for a slot, bans the slot when another one comes, tells what arrived."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from eth_keys.datatypes import PrivateKey
from eth_utils.crypto import keccak

from civilclock import Clock
from wattnet.faults import Faults, drawing

from .base import Ledger, Served
from .serving import listening

GENESIS_S, SLOT_S, WEEK_SLOTS, HISTORY_SLOTS = 1_700_352_000, 300, 2016, 4032
AWAY_MAX = 432
NONE, BANNED = 0, 1
SHORT_ID = 7
CAPACITY_MWH = 10_000_000  # in five minutes: 120 kW
HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
HELD_MAX = 10_000  # slots


class Farm:
    """What a server holds of the one device that is authorised."""

    def __init__(self, ledger: Ledger, public_key: bytes, clock: Clock) -> None:
        if public_key[-1] % 2:
            raise ValueError("the compressed key must begin with 02")
        self.ledger, self.clock = ledger, clock
        self.x = public_key[1:33]
        self.key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), b"\x02" + self.x)
        self.held: dict[int, int] = {}  # output, or BANNED, by slot

    @property
    def now_slot(self) -> int:
        """The slot that it is."""
        return (self.clock.now_ms() // 1000 - GENESIS_S) // SLOT_S

    def take(self, packet: bytes) -> None:
        """Take a packet, or say to the ledger only why not: by UDP nobody is told."""
        reason = self._fault(packet)
        if reason:
            self.ledger.refuse(reason)
            return
        _, slot, output = struct.unpack_from("<IIQ", packet)
        if self.held.get(slot) == BANNED:
            self.ledger.refuse("banned")
        elif abs(_signed(output)) * 100 > CAPACITY_MWH * 135:
            self._ban(slot, "over_capacity")
        elif not self.ledger.take(str(slot), packet):
            self._ban(slot, "equivocation")
        elif len(self.held) < HELD_MAX:
            self.held[slot] = output

    def _ban(self, slot: int, reason: str) -> None:
        self.held[slot] = BANNED
        self.ledger.refuse(reason)

    def _fault(self, packet: bytes) -> str:
        """Return what is wrong with a packet by itself, if anything is."""
        if len(packet) != 80:
            return "bad_size"
        short_id, slot, output = struct.unpack_from("<IIQ", packet)
        if short_id != SHORT_ID:
            return "unknown_device"
        if abs(slot - self.now_slot) > AWAY_MAX:
            return "too_far"
        r, s = int.from_bytes(packet[16:48], "big"), int.from_bytes(packet[48:], "big")
        try:
            digest = keccak(b"EquipmentReport" + packet[:16])
            self.key.verify(encode_dss_signature(r, s), digest, ec.ECDSA(Prehashed(SHA256())))
        except InvalidSignature:
            return "bad_signature"
        if s > HALF_ORDER:
            return "high_s"
        return "sentinel" if output in {NONE, BANNED} else ""

    def first_slot(self) -> int:
        """Return where the history begins: with the week before this one."""
        return max(0, self.now_slot // WEEK_SLOTS - 1) * WEEK_SLOTS

    def sync(self, server: PrivateKey) -> bytes:
        """Return the signed answer that tells which slots arrived."""
        first = self.first_slot()
        bits = bytearray(HISTORY_SLOTS // 8)
        for slot in self.held:
            if 0 <= slot - first < HISTORY_SLOTS:
                bits[(slot - first) // 8] |= 1 << (slot - first) % 8
        host = b"127.0.0.1"
        peer = bytes(32) + bytes((0, len(host))) + host + struct.pack("<HHH", 35015, 35030, 35045) + bytes(64)
        told = self.x + struct.pack("<I", first) + bits + bytes(32) + bytes(4) + peer + bytes(64)
        told += struct.pack("<Q", self.clock.now_ms() // 1000)
        answer: bytes = told + server.sign_msg_hash(keccak(told)).to_bytes()[:64]
        return struct.pack("<H", len(answer)) + answer

    async def recent(self, request: web.Request) -> web.Response:
        """Answer with the last two weeks, slot by slot, as Go writes them."""
        if request.query.get("publicKey") != self.x.hex():
            return web.Response(status=400, text="unknown key")
        first = self.first_slot()
        reports = [self._entry(slot) for slot in range(first, first + HISTORY_SLOTS)]
        return web.json_response({"Reports": reports, "TimeslotOffset": first, "Signature": [0] * 64})

    def _entry(self, slot: int) -> dict[str, Any]:
        output = self.held.get(slot, NONE)
        if output in {NONE, BANNED}:
            return {"ShortID": 0, "Timeslot": 0, "PowerOutput": output, "Signature": [0] * 64}
        signature = list(self.ledger.taken[str(slot)][16:])
        return {"ShortID": SHORT_ID, "Timeslot": slot, "PowerOutput": output, "Signature": signature}


class Ears(asyncio.DatagramProtocol):
    """The UDP port; each packet has its fate."""

    def __init__(self, farm: Farm, faults: Faults) -> None:
        self.farm, self.faults = farm, faults
        self.draw: Callable[[], str] = drawing(faults)
        self.silent = 0  # questions that will not be answered

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:  # noqa: ARG002 - nobody is answered
        """Take a packet, lose it, or take it and lose the answer to the question about it."""
        fate = self.draw()
        if fate in {"timeout", "error", "busy"}:
            return
        if fate == "slow":
            asyncio.get_running_loop().call_later(self.faults.slow_s, self.farm.take, data)
            return
        for _ in range(2 if fate == "twice" else 1):
            self.farm.take(data)
        if fate in {"lost", "late_error"}:
            self.silent += 1


def _answering(farm: Farm, ears: Ears, server: PrivateKey) -> Any:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            short_id = int.from_bytes(await reader.readexactly(4), "little")
            if ears.silent:
                ears.silent -= 1
            else:
                writer.write(farm.sync(server) if short_id == SHORT_ID else b"\0")
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    return answer


def _signed(output: int) -> int:
    return output - (1 << 64) if output >> 63 else output


@asynccontextmanager
async def serving(public_key: bytes, clock: Clock, faults: Faults) -> AsyncIterator[Served]:
    """Serve the three ports on this machine; the device of `public_key` is authorised."""
    ledger = Ledger()
    farm = Farm(ledger, public_key, clock)
    server = PrivateKey(keccak(public_key))
    if server.public_key.to_compressed_bytes()[0] != 2:
        server = PrivateKey((2 * HALF_ORDER + 1 - int.from_bytes(server.to_bytes(), "big")).to_bytes(32, "big"))
    loop = asyncio.get_running_loop()
    transport, ears = await loop.create_datagram_endpoint(lambda: Ears(farm, faults), local_addr=("127.0.0.1", 0))
    try:
        app = web.Application()
        app.router.add_get("/api/v1/recent-reports", farm.recent)
        async with (
            await asyncio.start_server(_answering(farm, ears, server), "127.0.0.1", 0) as tcp,
            listening(app) as url,
        ):
            settings = {
                "short_id": SHORT_ID,
                "capacity_mwh": CAPACITY_MWH,
                "server_key": server.public_key.to_compressed_bytes()[1:].hex(),
                "tcp_port": tcp.sockets[0].getsockname()[1],
                "http_port": int(url.rpartition(":")[2]),
                "gap_ms": 5,
            }
            udp_port = transport.get_extra_info("sockname")[1]
            yield Served(f"udp://127.0.0.1:{udp_port}", ledger, settings)
    finally:
        transport.close()
