"""The end of the demo: were all frames kept, all intervals taken once, challenges answered, something paid?"""

import asyncio
from dataclasses import asdict, dataclass
from typing import Any

from demo.field import Site
from demo.home import Home
from demo.processes import DemoError

QUIET_S = 2.5
POLL_S = 0.5
DRAIN_S = 30.0


@dataclass(frozen=True)
class Outcome:
    """The counts that the demo is judged by."""

    frames: int  # made, counted on the boards' own flash
    acknowledged: int
    lost: int
    intervals: int  # final at the gateway
    accepted: int
    twice: int  # slots that were paid twice
    refused: int
    challenges: int
    answered: int
    paid: int  # points

    @property
    def good(self) -> bool:
        """Whether the demo may end with 0."""
        complete = self.frames == self.acknowledged > 0 and self.lost == 0
        once = self.intervals == self.accepted > 0 and self.twice == 0 and self.refused == 0
        return complete and once and self.challenges == self.answered > 0 and self.paid > 0

    def counts(self) -> dict[str, int]:
        """Return the counts by name."""
        return asdict(self)


async def settle(home: Home, sites: list[Site]) -> Outcome:
    """Unplug the meters, wait until everything has arrived and is paid, switch the boards off, count."""
    for site in sites:
        await site.unplug()
    await _quiet(home)
    for site in sites:
        await site.board.power_cut()
    made = {site.kid: site.made() for site in sites}
    await _bring_home(home, sites, made)
    await _network_done(home)
    return await _count(home, made)


async def _heads(home: Home) -> dict[str, dict[int, int]]:
    boards = await home.get("boards")
    return {board["kid"]: {board["log"]["log"]: board["log"]["head"]} for board in boards if board["log"]}


async def _quiet(home: Home) -> None:
    """Return when no board has delivered a frame for a while."""
    last, since = await _heads(home), 0.0
    async with asyncio.timeout(DRAIN_S):
        while since < QUIET_S:
            await asyncio.sleep(POLL_S)
            heads = await _heads(home)
            last, since = heads, since + POLL_S if heads == last else 0.0


async def _bring_home(home: Home, sites: list[Site], made: dict[str, dict[int, int]]) -> None:
    """A board that was cut between sealing and delivering gets the power back until its flash and the gateway agree."""
    for site in sites:
        while made[site.kid] != (await _heads(home)).get(site.kid):
            await site.board.power_on()
            await _quiet(home)
            await site.board.power_cut()
            made[site.kid] = site.made()


async def _network_done(home: Home) -> None:
    """Return when the outbox is empty, the challenges are answered and the epochs that can be settled are."""
    try:
        async with asyncio.timeout(DRAIN_S):
            while True:
                summary = await home.summary()
                networks = await home.get("networks")
                depth = sum(network["depth"] for network in networks if network["kind"] == "wattnet")
                if depth == 0 and summary["challenges"]["open"] == 0 and summary["paid_points"] > 0:
                    return
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        return  # the counts say what is missing


async def _count(home: Home, made: dict[str, dict[int, int]]) -> Outcome:
    heads = await _heads(home)
    frames = sum(seq for logs in made.values() for seq in logs.values())
    acknowledged = sum(heads.get(kid, {}).get(log, 0) for kid, logs in made.items() for log in logs)
    summary = await home.summary()
    return Outcome(
        frames=frames,
        acknowledged=acknowledged,
        lost=frames - acknowledged,
        intervals=len(await home.intervals()),
        **_network_counts(summary),
    )


def _network_counts(summary: dict[str, Any]) -> dict[str, int]:
    try:
        challenges = summary["challenges"]
        return {
            "accepted": summary["accepted"],
            "twice": summary["twice_paid"],
            "refused": sum(summary["refused"].values()),
            "challenges": sum(challenges.values()),
            "answered": challenges["passed"],
            "paid": summary["paid_points"],
        }
    except KeyError as error:
        raise DemoError(f"The network's summary lacks {error}.") from None
