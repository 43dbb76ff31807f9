"""`db`: is the database whole, and what can be saved of one that is not."""

from typing import Annotated

import typer

from .operating import echo_json

app = typer.Typer(help="The database: is it whole, and what can be saved of it.", no_args_is_help=True)


@app.command()
def check(
    context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False
) -> None:
    """Read the store and its history from end to end; exit 1 if either is damaged."""
    from wattness.config import DATABASE_NAME, load
    from wattness.store.salvage import check as check_files

    found = check_files(load(context.obj).path(DATABASE_NAME))
    if as_json:
        echo_json(found)
    else:
        for file, problem in found.items():
            typer.echo(f"{file}: {problem or 'whole'}")
        if any(found.values()):
            typer.echo("Stop the gateway and run `wattness db repair`.")
    if any(found.values()):
        raise typer.Exit(1)


@app.command()
def repair(
    context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False
) -> None:
    """Save what can be read of a damaged database into a new one; the damaged file is kept beside it."""
    import msgspec

    from wattness.config import DATABASE_NAME, load
    from wattness.lock import HomeLock
    from wattness.store.salvage import repair as repair_files

    config = load(context.obj)
    with HomeLock(context.obj):
        done = repair_files(config.path(DATABASE_NAME), config.make_clock().real_ms_now())
    if as_json:
        echo_json([msgspec.to_builtins(one) for one in done])
        return
    for one in done:
        if not one.problem:
            typer.echo(f"{one.path}: whole, nothing is done")
            continue
        typer.echo(f"{one.path}: {one.problem}")
        typer.echo(f"  the damaged file is now {one.aside}")
        saved = ", ".join(f"{n} {table}" for table, n in one.rows.items() if n)
        typer.echo(f"  saved: {saved or 'nothing'}")
        if one.lost:
            typer.echo(f"  not all could be read of: {', '.join(one.lost)}")
        if one.is_anew:
            typer.echo("  the store begins anew; boards send again what they still have.")
        if one.is_anew and ("everything" in one.lost or "board" in one.lost):
            typer.echo("  look at `wattness board list`: boards that are missing have to be enrolled again.")
