"""`profile`: what the gateway knows of devices."""

from pathlib import Path
from typing import Annotated

import typer

from .jsonanyway import json_anyway
from .operating import echo_json

app = typer.Typer(help="Device profiles.", no_args_is_help=True)


@app.command("list")
def list_profiles(as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False) -> None:
    """List the profiles that come with the gateway."""
    from wattness.profiles import bundled_profile, profile_ids

    found = [(name, bundled_profile(name).title) for name in profile_ids()]
    if as_json:
        echo_json([{"id": name, "title": title} for name, title in found])
        return
    for name, title in found:
        typer.echo(f"{name:<24}  {title}")


@app.command()
def check(
    files: Annotated[list[Path] | None, typer.Argument(help="Profiles; otherwise our own.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Check profiles against the schema and against the frames recorded beside them; exit 1 if one is wrong."""
    from wattness.profile_check import check_profile
    from wattness.profiles import profile_ids, profiles_dir

    paths = files or [profiles_dir() / f"{name}.json" for name in profile_ids()]
    found = [(path, check_profile(path)) for path in paths]
    wrong = sum(bool(problems) for _, problems in found)
    if as_json:
        echo_json([{"file": str(path), "problems": problems} for path, problems in found])
    else:
        for path, problems in found:
            for problem in problems:
                typer.echo(f"{path.name}: {problem}", err=True)
        typer.echo(f"{len(paths) - wrong} of {len(paths)} profiles are in order.")
    if wrong:
        raise typer.Exit(1)


@app.command()
@json_anyway
def plan(
    profile: Annotated[str, typer.Argument(help="A profile's id or file.")],
    role: Annotated[str | None, typer.Option(help="As a stream of this role reads it.")] = None,
    baud: Annotated[int, typer.Option(min=1200, max=460_800, help="Speed of the bus.")] = 9600,
    turnaround_ms: Annotated[int, typer.Option(min=0, max=60_000, help="How long the device thinks.")] = 25,
) -> None:
    """Show the reads that fetch a device's default points, and what they cost on the bus, as JSON."""
    from wattness.profiles import find_profile
    from wattness.reading_plan import reading_plan

    echo_json(reading_plan(find_profile(profile, role), baud, 1000 * turnaround_ms))
