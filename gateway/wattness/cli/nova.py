"""`network claim`: what an operator of Sourceful's posts to claim this gateway."""

from pathlib import Path
from typing import Annotated

import typer

from wattness.errors import ConfigError

from .asking import ask
from .operating import echo_json


def claim(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The network of kind sourceful, as gateway.toml names it.")],
    claimer: Annotated[str, typer.Option(help="The operator's identity at Sourceful: idt-…")],
    org: Annotated[str, typer.Option(help="The operator's organisation at Sourceful: org-…")],
) -> None:
    """Print the JSON that the operator posts to Sourceful's /gateways/claim, signed by this network's key."""
    import asyncio

    from wattness.config import load
    from wattness.keys import open_signer
    from wattness.networks.base import settings_of
    from wattness.networks.sourceful import Claimer, Settings, serial_of
    from wattness.networks.sourceful import claim as make
    from wattness.preview import configured

    for text, option in ((claimer, "--claimer"), (org, "--org")):
        if not text or "|" in text:
            raise ConfigError(f"{option} {text!r} is no id: it must not be empty, nor hold a |.")
    config = load(context.obj)
    network = configured(config, name)
    if network.kind != "sourceful":
        raise ConfigError(f"{name} is of kind {network.kind}; only gateways of Sourceful are claimed so.")
    signer = open_signer(network.key, Path(config.home), "P-256", ask)
    serial = serial_of(settings_of(network, Settings), signer)
    now_s = config.make_clock().now_ms() // 1000
    echo_json(asyncio.run(make(signer, serial, Claimer(claimer, org), now_s)))
