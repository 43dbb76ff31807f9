"""Local servers of reward networks, each written from its network's facts and checking with libraries of its own."""

import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from importlib import import_module
from typing import cast

from civilclock import Clock
from wattnet.faults import Faults

from .base import Served

# eth-account's py_ecc raises it a hundredfold on being imported: JSON of many brackets would then overflow the stack.
RECURSION_MAX = 1000

Serving = Callable[[bytes, Clock, Faults], AbstractAsyncContextManager[Served]]


def _sandbox(module: str, name: str = "serving") -> Serving:
    """Return what serves a sandbox, whose module is imported when it is first served."""

    def serving(public_key: bytes, clock: Clock, faults: Faults) -> AbstractAsyncContextManager[Served]:
        found = getattr(import_module(f"{__name__}.{module}"), name)
        sys.setrecursionlimit(RECURSION_MAX)
        return cast("AbstractAsyncContextManager[Served]", found(public_key, clock, faults))

    return serving


SANDBOXES: dict[str, Serving] = {  # by the kind of network
    "wattnet": _sandbox("reference"),
    "arkreen": _sandbox("arkreen"),
    "arkreen_consumption": _sandbox("arkreen", "serving_consumption"),
    "arweave": _sandbox("arweave"),
    "dimo": _sandbox("dimo"),
    "dimo_attestation": _sandbox("dimo_attestation"),
    "filecoin": _sandbox("filecoin"),
    "glow": _sandbox("glow"),
    "iotex": _sandbox("iotex"),
    "m3tering": _sandbox("m3tering"),
    "peaq": _sandbox("peaq"),
    "sourceful": _sandbox("sourceful"),
    "streamr": _sandbox("streamr"),
}
