"""`rewards account` and `rewards claim`: the owner's account on a chain, and what a contract pays to it."""

from typing import TYPE_CHECKING, Annotated

import typer

from wattness.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from wattness.config import Config, NetworkConfig
    from wattness.networks.claims import Outcome
    from wattness.signing import DigestSigner

GOOD = ("claimed", "already claimed")


Network = Annotated[str, typer.Option(help="The network's name in the configuration.")]


def account(
    context: typer.Context,
    network: Network = "wattnet",
    new: Annotated[bool, typer.Option("--new", help="Make its key first; never overwrites one.")] = False,
) -> None:
    """Show the account that a wattnet's points are claimed to."""
    from wattness.config import load
    from wattness.keys import new_key
    from wattness.networks.base import settings_of
    from wattness.networks.claims import Settings
    from wattness.networks.ethereum import address

    uri = settings_of(_chosen(load(context.obj), network), Settings).account_key
    owner = new_key(uri, context.obj, "secp256k1") if new else _owner(uri, context.obj)
    typer.echo(address(owner.public_key))


def claim(
    context: typer.Context,
    network: Network = "wattnet",
    epoch: Annotated[int | None, typer.Option(min=0, help="Only this epoch; all when left out.")] = None,
) -> None:
    """Claim what a wattnet settled from its contract; what was claimed already is left alone."""
    import asyncio

    from wattness.config import load

    config = load(context.obj)
    states = asyncio.run(_show(config, _chosen(config, network), epoch))
    if epoch is not None and not states:
        raise ConfigError(f"{network} owes nothing for epoch {epoch}, or has not settled it yet.")
    if any(state not in GOOD for state in states):
        raise typer.Exit(1)


def _owner(uri: str, home: "Path") -> "DigestSigner":
    from wattness.keys import open_signer
    from wattness.keyuses import Use

    from .asking import ask

    file = Use("account", uri, "secp256k1").file(home)
    if file is not None and not file.exists():
        raise ConfigError(f"There is no key {file} of the owner's account; `wattness rewards account --new` makes one.")
    return open_signer(uri, home, "secp256k1", ask)


def _chosen(config: "Config", name: str) -> "NetworkConfig":
    found = next((one for one in config.network if one.name == name), None)
    if found is None or found.kind != "wattnet":
        raise ConfigError(f"$.network: there is no wattnet named {name!r}; name another with --network.")
    return found


async def _show(config: "Config", network: "NetworkConfig", epoch: int | None) -> list[str]:
    states = []
    async for outcome in _claims(config, network, epoch):
        detail = f" by {outcome.transaction}" if outcome.transaction else ""
        typer.echo(f"epoch {outcome.epoch}: {outcome.points} points {outcome.state}{detail}")
        states.append(outcome.state)
    if not states and epoch is None:
        typer.echo("Nothing to claim yet.")
    return states


async def _claims(config: "Config", network: "NetworkConfig", epoch: int | None) -> "AsyncIterator[Outcome]":
    """Tell the network the account, ask what it owes, and claim it."""
    from pathlib import Path

    from wattness.keys import open_signer
    from wattness.networks import claims, settled
    from wattness.networks.base import settings_of
    from wattness.networks.ethereum import address
    from wattness.networks.wattnet_account import open_account

    from .asking import ask

    network, home = settled(network), Path(config.home)
    settings = settings_of(network, claims.Settings)
    owner, gateway = _owner(settings.account_key, home), open_signer(config.key, home, "P-256", ask)
    account = bytes.fromhex(address(owner.public_key)[2:])
    async with open_account(network, gateway, account) as known:
        if await known.name():
            typer.echo(f"{network.name} pays {address(owner.public_key)} from now on.")
        told = await known.owed(epoch)
    if told.contract is None or not told.settlements:
        return
    async with claims.open_claimer(network, owner, told.contract) as claimer:
        async for outcome in claims.claim_all(claimer, told.settlements):
            yield outcome
