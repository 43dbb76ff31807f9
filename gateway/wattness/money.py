"""The owner's money: the currency in which rewards are worth something, and what energy costs and is worth."""

import datetime as dt
from decimal import Decimal
from typing import Annotated

import msgspec

from .errors import ConfigError

CURRENCY = r"^[A-Z]{3}$"
PRICE_MAX = Decimal(1_000_000)  # of a kWh, in any currency


class Tariff(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a kWh costs from a day on."""

    grid_per_kwh: Decimal  # bought
    own_per_kwh: Decimal = Decimal(0)  # of one's own: what it would have brought, had it been sold
    since: dt.date = dt.date(1970, 1, 1)


class Money(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Without a currency nothing is worth anything."""

    currency: Annotated[str, msgspec.Meta(pattern=CURRENCY)]
    tariff: list[Tariff] = []

    def tariff_of(self, day: dt.date) -> Tariff | None:
        """Return the tariff in force on a day."""
        return max((one for one in self.tariff if one.since <= day), key=lambda one: one.since, default=None)


class Operates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A metered load that works for a compute network."""

    device: str  # of the load's stream, as `wattness status` shows it; <board's kid>/<device> where that is not enough
    operator: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=64)]  # render | akash | …
    account: Annotated[str, msgspec.Meta(max_length=200)] = ""  # there, for the owner's eyes


def check_money(money: Money | None, operates: list[Operates]) -> None:
    """Raise ConfigError naming the key for what cannot be meant."""
    for index, tariff in enumerate(money.tariff if money else ()):
        for name in ("grid_per_kwh", "own_per_kwh"):
            price: Decimal = getattr(tariff, name)
            if not price.is_finite() or abs(price) > PRICE_MAX:
                raise ConfigError(f"$.money.tariff[{index}].{name}: must be a price of at most {PRICE_MAX}")
    devices = [one.device for one in operates]
    for index, device in enumerate(devices):
        if device in devices[:index]:
            raise ConfigError(f"$.operates[{index}].device: {device!r} works for two operators; name it once")
