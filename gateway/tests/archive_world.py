"""A simulated board's day, as an archive's adapter is given it; loaded by `runpy`."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from wattness.clock import Clock
from wattness.config import NetworkConfig
from wattness.keys.held import HeldP256, HeldSecp256k1
from wattness.model import Board, Report
from wattness.networks import Sources, open_network
from wattnet.simulated import SimulatedBoard, SimulatedKey

DAY_MS = 86_400_000
START = 1_790_035_200_000  # a midnight, UTC
LENGTH = 300_000
SECP256K1 = ec.derive_private_key(4662, ec.SECP256K1())
GATEWAY = SimulatedKey(1)


class Day:
    """Frames and reports of a board from START on; what is asked for is counted."""

    def __init__(self, minutes: int = 30) -> None:
        self.board = SimulatedBoard(2, GATEWAY.hash, START)
        self.board.run(START + minutes * 60_000)
        self.held = dict(enumerate(self.board.frames, 1))
        self.asked_max = 0
        self.reports = [self.report(number) for number in range(minutes * 60_000 // LENGTH)]

    def report(self, number: int, **changes) -> Report:
        a = START + number * LENGTH
        frames = [self.board.frames[0], *self.board.frames[1 + number * 5 : 8 + number * 5]]
        value = self.board.report(a, a + LENGTH, frames)
        return Report(**({"board_key": value.pop("board")} | value | changes))

    def sources(self, home: Path) -> Sources:
        return Sources(self.find, self.frames, self.nothing, Clock(), home)

    async def find(self, board_key: bytes) -> Board | None:
        board = self.board
        known = board_key == board.hash
        return Board(1, "roof", board.public_key, board.hash[:8], board.hash, bytes(32), "") if known else None

    async def frames(self, board_key: bytes, ranges) -> list[bytes]:
        assert board_key == self.board.hash
        wanted = [seq for log, first, last in ranges for seq in range(first, last + 1)]
        self.asked_max = max(self.asked_max, len(wanted))
        return [self.held[seq] for seq in wanted if seq in self.held]

    async def nothing(self, *_) -> list:
        return []


def opened(kind: str, day: Day, home: Path, url: str = "", **settings):
    """Return the adapter of a kind, to be entered."""
    config = NetworkConfig(name="test", kind=kind, url=url, settings=settings)
    signer = HeldSecp256k1(SECP256K1) if kind == "arweave" else HeldP256(GATEWAY.secret)
    return open_network(config, signer, day.sources(home))


async def made(network, reports) -> bytes:
    """Return the signed bytes of a report."""
    return await network.sign((await network.validate(reports, {})).body)
