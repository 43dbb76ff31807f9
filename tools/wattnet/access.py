"""Who speaks: opens what gateways sign, and holds each of them to its rate."""

from typing import Any

from .envelope import open_envelope
from .guard import Rates
from .ledger import Gateway, Ledger
from .refusal import RefusalError
from .settings import Settings


class Access:
    """Opens envelopes of registered gateways."""

    def __init__(self, ledger: Ledger, settings: Settings) -> None:
        self.ledger = ledger
        self.clock = settings.clock
        self.rates = Rates(settings.per_minute)

    def open(self, body: bytes) -> tuple[Gateway, dict[Any, Any]]:
        """Return who signed this, and what it says; raises RefusalError."""
        found: list[Gateway] = []

        def key_of(kid: bytes, _: dict[Any, Any]) -> bytes:
            gateway = self.ledger.gateway(kid)
            if gateway is None:
                raise RefusalError(422, "unknown_gateway", "register the gateway first")
            found.append(gateway)
            return gateway.public_key

        value = open_envelope(body, key_of)
        self.rates.take(found[0].kid, self.clock.real_ms_now())
        return found[0], value


def octets(value: dict[Any, Any], name: str) -> bytes:
    """Return the byte string `name`; raises RefusalError."""
    found = value.get(name)
    if not isinstance(found, bytes):
        raise RefusalError(422, "bad_type", f"$.{name} must be a byte string")
    return found


def only(value: dict[Any, Any], names: set[str]) -> None:
    """Refuse a map that has other keys than `names`."""
    if value.keys() != names:
        raise RefusalError(422, "unknown_key" if value.keys() - names else "missing_key", ", ".join(sorted(names)))
