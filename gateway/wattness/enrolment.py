"""What a board has to be told of its gateway: the gateway's part of the board's configuration."""

import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .config import Config, split_address
from .model import Board
from .releases import pinned_key
from .signing import key_hash

WILDCARDS = {"0.0.0.0", "::"}  # noqa: S104 - compared, not bound


def board_settings(config: Config, gateway_public_key: bytes, board: Board, host: str = "") -> dict[str, Any]:
    """Return the settings as JSON values; they hold the board's secrets. `host` overrides the broker's address."""
    if config.mqtt.url:
        url = urlsplit(config.mqtt.url)
        tls = url.scheme == "mqtts"
        found, port = url.hostname or "", url.port or (8883 if tls else 1883)
    else:
        tls = False
        found, port = split_address(config.mqtt.listen, "$.mqtt.listen")
        found = own_address() if found in WILDCARDS else found
    mqtt = {"host": host or found, "port": port, "user": board.kid.hex(), "password": board.password, "tls": tls}
    settings = {"gateway": key_hash(gateway_public_key).hex(), "link_key": board.link_key.hex(), "mqtt": mqtt}
    release_key = pinned_key(Path(config.home))
    return settings if release_key is None else {**settings, "release_key": release_key.hex()}


def own_address() -> str:
    """Return the address by which this machine leaves for the network; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return socket.gethostname()
        return str(probe.getsockname()[0])
