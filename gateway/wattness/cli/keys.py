"""`key`: the keys that boards and networks know this gateway by."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wattness.errors import ConfigError

from .asking import PassphraseFile, ask, new_passphrase, passphrase
from .jsonanyway import json_anyway
from .operating import echo_json

if TYPE_CHECKING:
    from wattness.config import Config
    from wattness.keyuses import Use

app = typer.Typer(help="The gateway's own key, and those that networks know it by.", no_args_is_help=True)

Network = Annotated[str, typer.Option(help="The key of this network, as gateway.toml names it; else the gateway's.")]
NeededNetwork = Annotated[str, typer.Option(help="The network, as gateway.toml names it.")]


@app.command()
@json_anyway
def new(
    context: typer.Context,
    network: Network = "",
    encrypt: Annotated[bool, typer.Option("--encrypt", help="Seal it by a passphrase.")] = False,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Make a key; never overwrites one."""
    from wattness.config import load
    from wattness.keys import new_key
    from wattness.keyuses import of

    use = of(load(context.obj), network)
    sealing = new_passphrase(passphrase_file, use.uri) if encrypt or passphrase_file is not None else None
    _show(use, new_key(use.uri, context.obj, use.curve, sealing).public_key)
    if sealing is not None:
        _tell_sealed(use)


@app.command()
@json_anyway
def show(context: typer.Context, network: Network = "") -> None:
    """Show a key's public part, and what boards and networks know it by; needs no passphrase."""
    from wattness.config import load
    from wattness.keys.looking import public_key
    from wattness.keyuses import of

    use = of(load(context.obj), network)
    _show(use, public_key(use.uri, context.obj, use.curve, ask))


@app.command("list")
def list_keys(
    context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False
) -> None:
    """List every key that the configuration names, and how it is kept; no secrets."""
    from wattness.config import load
    from wattness.keys.looking import look
    from wattness.keyuses import uses

    found = []
    for use in uses(load(context.obj)):
        seen = look(use.uri, context.obj, use.curve)
        public_key = None if seen.public_key is None else seen.public_key.hex()
        found.append({**use._asdict(), "kept": seen.kept, "public_key": public_key, "problem": seen.problem})
    if as_json:
        echo_json(found)
        return
    for each in found:
        known = each["problem"] or _known(each["curve"], bytes.fromhex(each["public_key"] or ""))
        typer.echo(f"{each['what']:<20}  {each['curve']:<9}  {each['kept']:<10}  {each['uri']:<28}  {known}")


@app.command()
def encrypt(context: typer.Context, network: Network = "", passphrase_file: PassphraseFile = None) -> None:
    """Seal a key by a passphrase where it lies."""
    from wattness.config import load
    from wattness.keys.rotation import seal_in_place
    from wattness.keyuses import of

    use = of(load(context.obj), network)
    seal_in_place(use.uri, context.obj, use.curve, new_passphrase(passphrase_file, use.uri))
    _tell_sealed(use)
    typer.echo("What a disk or a card once held can often be brought back: rotate the key if that matters.", err=True)


@app.command()
def backup(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="Where to, on another disk; never overwritten.")],
    passphrase_file: PassphraseFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Write all keys of the home to one file, sealed by a passphrase of its own."""
    from wattness.config import load
    from wattness.keys.backup import keys_of, write_backup

    config = load(context.obj)
    inside, elsewhere = _places(config)
    keys = keys_of(context.obj, inside)
    write_backup(file.expanduser(), keys, new_passphrase(passphrase_file, str(file)))
    if as_json:
        echo_json({"keys": list(keys), "elsewhere": elsewhere})
    else:
        for name in keys:
            typer.echo(name)
    for uri in elsewhere:
        typer.echo(f"{uri} is kept elsewhere and is not in the backup.", err=True)
    typer.echo(
        f"{file} holds {len(keys)} keys; keys that are sealed need their own passphrase as well. Bring it back with: "
        f"wattness key restore {file}",
        err=True,
    )


@app.command()
def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="What `key backup` wrote.")],
    passphrase_file: PassphraseFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Bring back the keys that are missing; changes none that are there."""
    from wattness.keys.backup import read_backup
    from wattness.keys.backup import restore as bring_back

    if not context.obj.is_dir():
        raise ConfigError(f"There is no {context.obj}; run `wattness init` first.")
    keys = read_backup(file.expanduser(), lambda: passphrase(passphrase_file, f"Passphrase of {file}: "))
    restored = bring_back(context.obj, keys)
    if as_json:
        echo_json([{"file": name, "restored": name in restored} for name in keys])
        return
    for name in keys:
        typer.echo(f"{name}: {'restored' if name in restored else 'was there already'}")


@app.command()
@json_anyway
def rotate(context: typer.Context, network: NeededNetwork) -> None:
    """Give a network another key; the old one stays beside it. Only while the gateway stands still."""
    from wattness.config import DATABASE_NAME, load
    from wattness.keys.rotation import rotate as put_new
    from wattness.keyuses import of, uses
    from wattness.lock import HomeLock
    from wattness.store.outgoing import open_outgoing

    config = load(context.obj)
    use = of(config, network)
    file = use.file(context.obj)
    for other in uses(config):
        if other.what != use.what and file is not None and other.file(context.obj) == file:
            raise ConfigError(
                f"{other.what} has the same key; give {network} a `key` of its own in gateway.toml first."
            )
    with HomeLock(context.obj):
        path = config.path(DATABASE_NAME)
        if path.exists():
            with open_outgoing(path) as outgoing:
                unsent = outgoing.signed_unsent(network)
            if unsent:
                raise ConfigError(
                    f"{unsent} reports to {network} are signed by the old key and not yet sent: run the gateway until "
                    f"`wattness network list` shows none waiting, then rotate."
                )
        done = put_new(use.uri, context.obj, use.curve, ask)
    typer.echo(f"The old key is kept as {done.kept}.", err=True)
    _tell_network(config, network, use, done.old, done.new)


def _tell_network(config: "Config", name: str, use: "Use", old: bytes, new: bytes) -> None:
    from wattness.networks import kind_of

    kind = kind_of(next(network for network in config.network if network.name == name))
    typer.echo(
        f"{kind.title} still knows {_known(use.curve, old)}. Register {_known(use.curve, new)} there in its place "
        f"before the gateway runs again, or it refuses what comes. {kind.gate}",
        err=True,
    )
    _show(use, new)


def _tell_sealed(use: "Use") -> None:
    if "passphrase-" not in use.uri:
        typer.echo(
            "The key is sealed. So that the gateway can open it, let systemd give it the passphrase as the credential "
            f'wattness.passphrase (LoadCredential=), or set key = "{use.uri}?passphrase-file=FILE" in gateway.toml.',
            err=True,
        )


def _places(config: "Config") -> tuple[list[Path], list[str]]:
    """Return the key files in the home, and the URIs of what is elsewhere."""
    from wattness.keyuses import uses

    home = Path(config.home)
    inside, elsewhere = [], []
    for use in uses(config):
        file = use.file(home)
        if file is not None and file.is_relative_to(home.resolve()):
            inside.append(file)
        else:
            elsewhere.append(use.uri)
    return inside, list(dict.fromkeys(elsewhere))


def _known(curve: str, public_key: bytes) -> str:
    from wattness.networks.ethereum import address

    return address(public_key) if curve == "secp256k1" else public_key.hex()


def _show(use: "Use", public_key: bytes) -> None:
    from wattness.networks.ethereum import address
    from wattness.signing import key_hash

    shown: dict[str, Any] = {"public_key": public_key.hex()}
    if use.what == "gateway":
        shown["gateway"] = key_hash(public_key).hex()
    elif use.curve == "secp256k1":
        shown["address"] = address(public_key)
    echo_json(shown)
