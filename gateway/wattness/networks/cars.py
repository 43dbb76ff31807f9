"""Which car a stream is, to a network that knows cars by their tokens."""

from collections.abc import Mapping
from typing import Generic, TypeVar

from wattness.config import NetworkConfig
from wattness.errors import ConfigError, RefusedError
from wattness.model import Report

POLYGON, AMOY = 137, 80002  # chains: DIMO's own, and its test chain
VEHICLES = {
    POLYGON: "0xbA5738a18d83D41847dfFbDC6101d37C69c9B0cF",
    AMOY: "0x45fbCD3ef7361d156e8b16F5538AE36DEdf61Da8",
}
SYNTHETICS = {POLYGON: "0x4804e8D1661cd1a1e5dDdE1ff458A7f878c0aC6D"}
ANY = "*"  # the only car

T = TypeVar("T")


class Cars(Generic[T]):
    """The cars of the settings by their streams' devices."""

    def __init__(self, cars: Mapping[str, T]) -> None:
        self.cars = cars
        self._only: tuple[bytes, str] | None = None  # the stream that "*" means

    def of(self, report: Report) -> T:
        """Return the car that a report is about; raises RefusedError."""
        if report.device in self.cars:
            return self.cars[report.device]
        stream = (report.board_key, report.device)
        if ANY in self.cars and self._only in {None, stream}:
            self._only = stream
            return self.cars[ANY]
        raise RefusedError(
            "unknown_vehicle", f"name the stream {report.device} in settings.vehicles, or not in devices"
        )


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
    if ANY in tokens and len(tokens) > 1:
        raise ConfigError(f'{path}: "*" is for the only car; name each stream instead')
    if len(set(tokens.values())) < len(tokens):
        raise ConfigError(f"{path}: one token stands for two streams; a car is reported once")
