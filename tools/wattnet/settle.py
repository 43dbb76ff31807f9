"""What a claim is worth and what an epoch pays: pure functions, integers only.

A claim's value in millipoints is `floor(Σ energy_mwh × weight × coverage_ppm × quality_ppm × provenance_ppm / 10^18)`:
one division, rounded down once. A stream's payout in points is the sum of its values and what was carried in, divided
by 1,000; the remainder of fewer than 1,000 millipoints is carried to the same stream's next payout, so nothing is lost
or made.
The price per Wh is fixed and no epoch has a budget: what one site earns does not depend on what others claim, and
anyone who holds a report can tell its value without knowing the rest.
"""

from collections.abc import Mapping
from typing import NamedTuple

from wattwire import cbor

PPM = 1_000_000
MILLIPOINTS = 1_000  # of one point, the smallest unit that is paid

# Points per Wh of useful energy: role → (which of the interval's energies, points). An energy that is not named earns
# nothing. Where two roles see the same energy (what a pv stream generates passes the grid meter as export), the
# source carries the weight and the second witness a small one, for what it adds is corroboration.
WEIGHTS: dict[str, tuple[tuple[str, int], ...]] = {
    "pv": (("energy_export", 100),),  # generation: what the network is for
    "battery": (("energy_export", 30),),  # discharge moved generation to when it is needed; charging is not paid twice
    "grid": (("energy_export", 10), ("energy_import", 2)),  # the balance that generation is checked against
    "charger": (("energy_import", 5),),  # a metered load that can be shifted
    "vehicle": (("energy_import", 5),),  # the same seen from the car
    "load": (("energy_import", 2),),  # consumption: completes a site's balance
}
QUALITY_PPM = {"accepted": PPM, "flagged": PPM // 2}  # flagged: honest but with a doubt, half
# What a gateway read itself has no witness between the meter and whoever claims: a quarter.
PROVENANCE_PPM = {"board": PPM, "gateway": PPM // 4}


class Stream(NamedTuple):
    """Who is paid for what: one stream of one board, through one gateway."""

    gateway: bytes  # SHA-256 of the gateway's public key
    board: bytes
    device: str


class Payout(NamedTuple):
    """What one epoch pays for one stream; `value + carried_in = amount × 1,000 + carried_out`."""

    epoch: int
    stream: Stream
    claims: int
    useful_mwh: int
    value: int
    carried_in: int
    amount: int
    carried_out: int

    def leaf(self) -> bytes:
        """The bytes that the epoch's Merkle tree holds for this payout: deterministic CBOR of its fields."""
        return bytes(cbor.encode([self.epoch, *self.stream, *self[2:]]))


def useful_mwh(role: str, energy: Mapping[str, int]) -> int:
    """Return the energy that counts for `role`, unweighted."""
    return sum(energy.get(name, 0) for name, _ in WEIGHTS[role])


def value_millipoints(  # noqa: PLR0913, PLR0917 - what a value depends on
    role: str, energy: Mapping[str, int], covered_ms: int, length_ms: int, verdict: str, provenance: str = "board"
) -> int:
    """Return what a claim is worth."""
    weighted = sum(energy.get(name, 0) * weight for name, weight in WEIGHTS[role])
    coverage_ppm = covered_ms * PPM // length_ms
    return weighted * coverage_ppm * QUALITY_PPM[verdict] * PROVENANCE_PPM[provenance] // PPM**3


def payout(epoch: int, stream: Stream, values: list[tuple[int, int]], carried_in: int) -> Payout:
    """Return what `epoch` pays for the (useful_mwh, value) of a stream's claims."""
    value = sum(value for _, value in values)
    amount, carried_out = divmod(value + carried_in, MILLIPOINTS)
    return Payout(
        epoch, stream, len(values), sum(useful for useful, _ in values), value, carried_in, amount, carried_out
    )
