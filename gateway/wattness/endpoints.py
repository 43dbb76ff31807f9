"""MQTT brokers that are somebody else's: their address, our login, their certificate."""

import ssl
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import aiomqtt

from .config import Config, RemoteBroker
from .errors import ConfigError
from .model import Endpoint
from .private import read_private


def remote(config: Config, broker: RemoteBroker, path: str) -> Endpoint:
    """Return the broker that the section at `path` of the configuration names; raises ConfigError."""
    url = urlsplit(broker.url)
    tls = url.scheme == "mqtts"
    try:
        port = url.port or (8883 if tls else 1883)
    except ValueError:
        raise ConfigError(f"{path}.url: {broker.url!r} has a bad port") from None
    if not url.hostname:
        raise ConfigError(f"{path}.url: {broker.url!r} names no host")
    if url.password:
        raise ConfigError(f"{path}.url: must not hold a password; put it in a file and name it in password_file")
    password = read_private(config.path(broker.password_file)).strip() if broker.password_file else ""
    ca_file = str(config.path(broker.ca_file)) if broker.ca_file else ""
    if ca_file and not Path(ca_file).is_file():
        raise ConfigError(f"{path}.ca_file: there is no {ca_file}")
    return Endpoint(url.hostname, port, unquote(url.username or ""), password, tls, ca_file)


def tls_context(endpoint: Endpoint) -> ssl.SSLContext | None:
    """Return what checks the broker's certificate; None without TLS. Raises ConfigError."""
    if not endpoint.tls:
        return None
    try:
        return ssl.create_default_context(cafile=endpoint.ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"{endpoint.ca_file} holds no certificates ({error}); name the broker's CA.") from None


def connection(endpoint: Endpoint, tls: ssl.SSLContext | None, **options: Any) -> aiomqtt.Client:
    """Return a connection to be opened with `async with`; `tls` is `tls_context` of the endpoint, which takes a while.

    The options are aiomqtt's own.
    """
    return aiomqtt.Client(
        endpoint.host,
        endpoint.port,
        username=endpoint.user or None,
        password=endpoint.password or None,
        tls_context=tls,
        **options,
    )
