"""`network verify`: checks what gateways of others recorded for a network."""

from typing import Annotated

import typer

from .decoding import opened
from .operating import echo_json


def verify(
    kind: Annotated[str, typer.Argument(help="sourceful (archived tokens) or m3tering (V2 in hex, genesis in JSON).")],
    file: Annotated[str, typer.Argument(help="One message per line; - is standard input.")],
    key: Annotated[str, typer.Option(help="The public key that must have signed, in hex.")] = "",
) -> None:
    """Verify recorded messages and print one JSON object for each; exit 1 if any is refused."""
    from wattness.networks.verified import verify_lines

    refused = False
    with opened(file) as stream:
        for found in verify_lines(kind, key, stream):
            refused |= not found["ok"]
            echo_json(found)
    if refused:
        raise typer.Exit(1)
