"""Which car a stream is, to a network that knows cars by their tokens."""

from collections.abc import Mapping
from typing import Generic, TypeVar

from wattness.config import NetworkConfig
from wattness.errors import ConfigError, RefusedError
from wattness.model import Report

from .base import Memory

POLYGON, AMOY = 137, 80002  # chains: DIMO's own, and its test chain
VEHICLES = {
    POLYGON: "0xbA5738a18d83D41847dfFbDC6101d37C69c9B0cF",
    AMOY: "0x45fbCD3ef7361d156e8b16F5538AE36DEdf61Da8",
}
SYNTHETICS = {POLYGON: "0x4804e8D1661cd1a1e5dDdE1ff458A7f878c0aC6D"}

T = TypeVar("T")


class Cars(Generic[T]):
    """The cars of the settings, each under its stream's name, its device, or the role of which it is the only one."""

    def __init__(self, cars: Mapping[str, T]) -> None:
        self.cars = cars

    def of(self, report: Report, memory: Memory) -> tuple[T, str]:
        """Return the car that a report is about and the name it has in the settings; raises RefusedError.

        Whoever asks must remember the name with the stream: a device or a role stands for one stream, for ever.
        """
        stream = stream_name(report)
        name = next((name for name in (stream, report.device, report.role) if name in self.cars), None)
        if name is None or (name != stream and memory.get(name, stream) != stream):
            raise RefusedError("unknown_vehicle", f'name the stream "{stream}" in settings.vehicles, or leave it out')
        return self.cars[name], name


def stream_name(report: Report) -> str:
    """Return what a stream is called in the settings, whatever other boards there are."""
    return f"{report.board_key[:8].hex()}/{report.device}"


def contract(config: NetworkConfig, key: str, known: Mapping[int, str], chain_id: int) -> str:
    """Return the contract that the settings name, or DIMO's on that chain; raises ConfigError where neither is."""
    setting = str(config.settings.get(key, ""))
    if not setting and chain_id not in known:
        raise ConfigError(f"$.network[{config.name}].settings.{key}: must be set, for it is not known on {chain_id}")
    return setting or known[chain_id]


def check_cars(config: NetworkConfig, tokens: Mapping[str, int]) -> None:
    """Raise ConfigError unless each stream is a car of its own."""
    path = f"$.network[{config.name}].settings.vehicles"
    if not tokens:
        raise ConfigError(f"{path}: must name at least one car")
    if len(set(tokens.values())) < len(tokens):
        raise ConfigError(f"{path}: one token stands for two streams; a car is reported once")
