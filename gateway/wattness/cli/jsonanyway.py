"""Commands that print JSON whatever is asked, and take `--json` like all others."""

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

Anyway = Annotated[bool, typer.Option("--json", help="It is JSON anyway.")]


def json_anyway(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command a `--json` that changes nothing, so that nobody has to remember where it is needed."""

    @functools.wraps(command)
    def run(*args: Any, as_json: bool = False, **kwargs: Any) -> None:  # noqa: ARG001 - what it prints is JSON
        command(*args, **kwargs)

    flag = inspect.Parameter("as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Anyway)
    signature = inspect.signature(command)
    run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), flag])  # type: ignore[attr-defined]
    run.__annotations__ = {**command.__annotations__, "as_json": Anyway}
    return run
