"""`replay`: reads rows once more with what was wrong in a profile put right."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wattness.errors import ConfigError

from .operating import echo_json

if TYPE_CHECKING:
    from wattness.store.corrections import Fix
    from wattness.store.replay import Replay

FIX_BYTES_MAX = 1 << 20
KEPT = "intervals that are final keep their figures: these follow from signed frames, and what is claimed is claimed"


def replay(  # noqa: PLR0913, PLR0917 - an option each
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(
            help='A correction: {"profile": "<hash>", "points": {"power": {"exponent": -1, "sign": -1, "name": …,'
            ' "unit": …, "modulus": …}}, "inverted": true}; without one the profiles in use are listed.'
        ),
    ] = None,
    profile: Annotated[str, typer.Option(help="Or: the profile (id or file) whose points are right …")] = "",
    of: Annotated[str, typer.Option(help="… for streams that were signed with the profile of this hash.")] = "",
    apply: Annotated[bool, typer.Option("--apply", help="Apply it; otherwise only the difference is shown.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Show what a correction of a profile changes in the history, and apply it with --apply."""
    import msgspec

    from wattness.config import DATABASE_NAME, load
    from wattness.store.replay import open_replay

    config = load(context.obj)
    with open_replay(config.path(DATABASE_NAME), config.interval.future_s * 1000) as found:
        if file is None and not profile:
            _list(found, as_json=as_json)
            return
        fix = _fix(found, file, profile, of)
        changes = [msgspec.to_builtins(change) for change in found.compare(fix)]
        if apply and changes:
            found.apply(fix, config.make_clock().now_ms())
    if as_json:
        correction = msgspec.to_builtins(fix)
        echo_json({"correction": correction, "streams": changes, "applied": apply and bool(changes), "note": KEPT})
    else:
        _show(changes, applied=apply)


def _fix(found: "Replay", file: Path | None, profile: str, of: str) -> "Fix":
    from wattness.profiles import find_profile
    from wattness.store.corrections import PointFix, parse

    if file is not None and (profile or of):
        raise ConfigError("Give a file with a correction, or --profile and --of, not both.")
    if file is not None:
        try:
            with file.open("rb") as stream:
                data = stream.read(FIX_BYTES_MAX + 1)
        except OSError as error:
            raise ConfigError(f"{file} cannot be read: {error.strerror}.") from None
        return parse(data, str(file))
    if not of:
        raise ConfigError("--profile needs --of HASH; `wattness replay` lists the profiles in use with their hashes.")
    points = find_profile(profile).points
    right = {
        point.name: PointFix(unit=point.unit, exponent=point.exponent, modulus=point.modulus)
        for point in points
        if point.sf is None
    }
    return found.fix_from(of, right)


def _list(found: "Replay", *, as_json: bool) -> None:
    import msgspec

    profiles = [msgspec.to_builtins(described) for described in found.profiles()]
    if as_json:
        echo_json(profiles)
        return
    for described in profiles:
        points = ", ".join(f"{name} 10^{exponent} {unit}" for name, unit, exponent, _ in described["points"])
        typer.echo(f"{described['hash']}  {described['profile']}: {points}; {len(described['streams'])} streams")


def _show(changes: list[dict[str, Any]], *, applied: bool) -> None:
    for change in changes:
        typer.echo(f"{change['board_key'][:16]} {change['device']} ({change['role']})")
        for point in change["points"]:
            name = point["point"] if point["point"] == point["read_as"] else f"{point['point']} → {point['read_as']}"
            example = f"{point['old']} → {point['new']} {point['unit']}"
            typer.echo(f"  {name}: {point['values']} values, for example {example}")
        for name in ("import_wh", "export_wh"):
            old, new = change[name]
            if old != new:
                typer.echo(f"  {name[:6]}: {old} → {new} Wh")
        typer.echo(f"  {change['intervals_kept']} {KEPT} ({change['intervals_claimed']} are claimed)")
    if not changes:
        typer.echo("No row that is held changes.")
    else:
        typer.echo("It is applied." if applied else "Nothing is changed yet; apply it with --apply.")
