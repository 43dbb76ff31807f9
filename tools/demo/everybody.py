"""The demo with every network at once: the gateway joins all sandboxes, and each is asked what it has taken."""

import asyncio
import json
from collections import defaultdict
from typing import Any

from rich.console import Console
from rich.table import Table

from demo.home import Home

STREAMS_S = 60.0
DONE_S = 45.0
POLL_S = 0.5
WIDTH = 110
WINDOW_S = 900  # of networks that want hours or days
PV, LOAD, CHARGER = "pv", "load", "charger"

NETWORKS: dict[
    str, dict[str, Any]
] = {  # by kind: what is configured apart from address, key and the sandbox's settings
    "arkreen": {"one": PV},  # of an hour, which the demo's time holds
    "arkreen_consumption": {"one": LOAD},
    "arweave": {"window_s": WINDOW_S},
    "dimo": {},
    "dimo_attestation": {"window_s": WINDOW_S, "one": CHARGER},
    "filecoin": {"window_s": WINDOW_S},
    "glow": {"one": PV},
    "iotex": {"window_s": WINDOW_S},
    "m3tering": {"window_s": WINDOW_S, "one": PV},
    "peaq": {"window_s": WINDOW_S},
    "sourceful": {},
    "streamr": {},
}


class Everybody:
    """All networks that the demo can feed, as sandboxes beside wattnet."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.good = False

    async def join(self) -> None:
        """Let the running gateway, which knows its streams, report to all."""
        await self.configure(await self._devices())
        await self.home.restart_gateway()

    async def configure(self, devices: dict[str, list[str]]) -> None:
        """Make the keys, start the sandboxes and name them to the gateway; `devices` are the streams of each role."""
        entries: dict[str, dict[str, Any]] = {
            kind: {"name": kind, "kind": kind, "url": "http://127.0.0.1:9"} for kind in NETWORKS
        }
        file = self.home.home / "gateway.toml"
        plain = file.read_text()
        file.write_text(plain + _toml(entries))
        keys = await self._make_keys()
        sandboxes = await self.home.start_sandboxes(keys)
        for kind, chosen in NETWORKS.items():
            entries[kind].update({name: sandboxes[kind][name] for name in ("url", "settings")})
            if "window_s" in chosen:
                entries[kind]["window_s"] = chosen["window_s"]
            if "one" in chosen:
                entries[kind]["devices"] = [devices[chosen["one"]].pop()]
        file.write_text(plain + _toml(entries))

    async def settle(self) -> None:
        """Wait until every sandbox is satisfied, but not for ever."""
        try:
            async with asyncio.timeout(DONE_S):
                while not all(map(_is_satisfied, (await self.home.sandbox_counts()).values())):
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            return  # the table says what is missing

    async def show(self, console: Console) -> None:
        """Print what each has taken, and judge it."""
        counts = await self.home.sandbox_counts()
        networks = {one["name"]: one for one in await self.home.get("networks")}
        table = Table(title="Every network's sandbox", title_justify="left", box=None)
        for name in ("network", "taken", "again", "conflicts", "refused", "completed", "discarded", "waiting", ""):
            table.add_column(name, justify="left" if name in {"network", "refused", ""} else "right")
        for kind, found in counts.items():
            now = networks[kind]
            refused = ", ".join(f"{n}× {reason}" for reason, n in found["refused"].items()) or "0"
            states = [str(now["jobs"].get(state, 0)) for state in ("completed", "discarded")]
            numbers = [str(found[name]) for name in ("taken", "again", "conflicts")]
            verdict = "satisfied" if _is_satisfied(found) else "MISSING"
            table.add_row(kind, *numbers, refused, *states, str(now["depth"]), verdict)
        Console(width=WIDTH, file=console.file, highlight=False).print(table)  # whole, whatever the terminal
        self.good = all(map(_is_satisfied, counts.values()))

    async def _devices(self) -> dict[str, list[str]]:
        """Return the streams of each role as `devices` names them, once the boards have told of them all."""
        wanted = [chosen["one"] for chosen in NETWORKS.values() if "one" in chosen]
        async with asyncio.timeout(STREAMS_S):
            while True:
                kids = {board["id"]: board["kid"] for board in await self.home.get("boards")}
                found: defaultdict[str, list[str]] = defaultdict(list)
                for stream in await self.home.get("streams"):
                    found[stream["role"]].append(f"{kids[stream['board_id']]}/{stream['device']}")
                if all(len(found[role]) >= wanted.count(role) for role in wanted):
                    return found
                await asyncio.sleep(POLL_S)

    async def _make_keys(self) -> dict[str, str]:
        """Make the keys that are missing; returns the public ones by kind, the gateway's own where a kind has none."""
        known = await self._keys()
        for kind in NETWORKS:
            if known.get(f"network {kind}", "made") is None:
                await self.home.wattness("key", "new", "--network", kind)
        known = await self._keys()
        return {kind: known.get(f"network {kind}") or str(known["gateway"]) for kind in NETWORKS}

    async def _keys(self) -> dict[str, str | None]:
        """Return the public keys by use; None for one that is not made yet."""
        listed = json.loads(await self.home.wattness("key", "list", "--json"))
        return {use["what"]: use["public_key"] for use in listed}


def _is_satisfied(found: dict[str, Any]) -> bool:
    return found["taken"] > 0 and found["conflicts"] == 0 and not found["refused"]


def _toml(entries: dict[str, dict[str, Any]]) -> str:
    return "".join(
        "\n[[network]]\n" + "".join(f"{name} = {_value(value)}\n" for name, value in entry.items())
        for entry in entries.values()
    )


def _value(value: Any) -> str:
    """Return a value as TOML has it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)} = {_value(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value)
