"""`homeassistant`: what to type into Home Assistant."""

import typer

from wattness.errors import ConfigError


def homeassistant(context: typer.Context) -> None:
    """Show the broker and the login for Home Assistant's MQTT integration, as JSON."""
    from wattness.broker import home_login
    from wattness.config import load, split_address

    from .operating import echo_json

    config = load(context.obj)
    home = config.homeassistant
    if not home.enabled:
        raise ConfigError("Home Assistant is not told anything yet: set `enabled = true` in [homeassistant].")
    if home.url or config.mqtt.url:
        raise ConfigError(f"Home Assistant uses {home.url or config.mqtt.url}, which has logins of its own.")
    if not config.path("broker").is_dir():
        raise ConfigError("The broker was never started: run `wattness run` first.")
    host, port = split_address(config.mqtt.listen, "$.mqtt.listen")
    user, password = home_login(config.path("broker"))
    echo_json({"broker": host, "port": port, "username": user, "password": password, "prefix": home.prefix})
