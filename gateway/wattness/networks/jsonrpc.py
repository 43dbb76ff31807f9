"""JSON-RPC 2.0 over HTTP, with every error named for what the caller does next."""

import json
from collections.abc import Mapping
from typing import Any

from wattness.errors import RefusedError, UnavailableError

from .http import HttpClient, taken

RESERVED = range(-32768, -31999)  # the protocol's own codes
FINAL = frozenset({-32700, -32600, -32602})  # of these: it does not parse, is no request, has wrong parameters
TEXT_MAX = 500


class JsonRpc:
    """Calls one endpoint. `refusals` names what the network will never take, `gates` the remedy for what may change."""

    def __init__(self, client: HttpClient, refusals: Mapping[int, str], gates: Mapping[int, str]) -> None:
        self.client = client
        self.refusals = refusals
        self.gates = gates

    async def call(self, request: bytes, headers: dict[str, str] | None = None) -> Any:
        """Return the result that answers a complete request."""
        headers = {"Content-Type": "application/json"} | (headers or {})
        answer = await self.client.exchange("POST", "", data=request, headers=headers)
        value = _object(answer.body)
        if value.get("error") is not None:
            raise self._refusal(value["error"])
        taken(answer, "look at `url`")
        if "result" not in value:
            raise UnavailableError(f"{self.client.url} answered neither a result nor an error; look at `url`")
        if value.get("id") != json.loads(request)["id"]:
            raise UnavailableError(f"{self.client.url} answered another request")
        return value["result"]

    def _refusal(self, error: Any) -> RefusedError | UnavailableError:
        code, text = _parts(error)
        if code is None or (code in RESERVED and code not in FINAL):
            return UnavailableError(f"{self.client.url} answered the error {text}")
        if code in self.gates:
            return UnavailableError(f"{self.gates[code]} ({text})")
        return RefusedError(self.refusals.get(code, f"code_{code}"), text)


def _object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in `body`, or an empty one."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _parts(error: Any) -> tuple[int | None, str]:
    """Return an error's code, which some servers write as text, and what it says."""
    code = error.get("code") if isinstance(error, dict) else error
    words = str(error.get("message", "")) if isinstance(error, dict) else ""
    text = f"{code} {words}".strip()[:TEXT_MAX]
    try:
        return int(str(code)[:TEXT_MAX]), text
    except ValueError:
        return None, text
