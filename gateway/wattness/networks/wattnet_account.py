"""What a gateway and wattnet say to each other about the owner's account: where to pay, and what is owed there."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from wattness.config import NetworkConfig, check_url
from wattness.errors import RefusedError
from wattness.signing import Signer
from wattwire import cbor, cose

from .claims import PAGES_MAX, Told
from .http import HttpClient, new_session, shaped
from .wattnet import AAD, TIMEOUT_S


class Account:
    """The owner's account, as this gateway speaks of it."""

    def __init__(self, client: HttpClient, gateway: Signer, account: bytes) -> None:
        self.client, self.gateway, self.account = client, gateway, account

    async def name(self) -> bool:
        """Say that this account is to be paid; false when the network knew."""
        try:
            return await self._name()
        except RefusedError as error:
            if error.reason != "unknown_gateway":
                raise
        await self._post("/v1/gateways", {"public_key": self.gateway.public_key})
        return await self._name()

    async def owed(self, epoch: int | None = None) -> Told:
        """Return what was settled to the account, of one epoch or of all."""
        after, told = -1 if epoch is None else epoch - 1, Told(None, [])
        for _ in range(PAGES_MAX):
            value = await self.client.get("/v1/settlements", account=self.account.hex(), after=after)
            page = shaped(value, Told)
            found = [one for one in page.settlements if one.epoch > after and epoch in {None, one.epoch}]
            told = Told(page.contract, told.settlements + found)
            if not found or epoch is not None:
                break
            after = found[-1].epoch
        return told

    async def _name(self) -> bool:
        value = await self._post("/v1/payees", {"account": self.account})
        return value.get("changed") is True

    async def _post(self, path: str, value: dict[str, bytes]) -> dict[str, object]:
        kid, payload = cose.kid(self.gateway.public_key), bytes(cbor.encode(value))
        signature = await self.gateway.sign(cose.to_be_signed(kid, payload, AAD))
        return await self.client.post(path, bytes(cose.join(kid, payload, signature)))


@asynccontextmanager
async def open_account(config: NetworkConfig, gateway: Signer, account: bytes) -> AsyncIterator[Account]:
    """Open what is said of an account at one network; raises ConfigError."""
    check_url(config.url, ("http", "https"), f"$.network[{config.name}].url")
    async with new_session() as session:
        yield Account(HttpClient(session, config.url, TIMEOUT_S), gateway, account)
