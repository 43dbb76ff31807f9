"""Sourceful's archived format: a token per delivery, whose payload holds raw readings by their time. Only verified."""

import re
from typing import Any, NamedTuple

from wattness.errors import RejectedError

from .sourceful_token import verify

NAMED = ("device", "opr", "model", "dtype", "sn")  # what a header must say besides alg and typ
DTYPES = ("modbus_registers", "sunspec_json", "p1_telnet_json", "rest_api_json", "json", "undefined")
TIME_MS = range(1_000_000_000_000, 10_000_000_000_000)  # 2001 to 2286
U16 = range(65_536)

_NUMBER = re.compile(r"0|[1-9][0-9]{0,12}")


class Delivery(NamedTuple):
    """What a gateway of Sourceful's first generation delivered, signed by its key."""

    device: str
    operation: str  # production | testing
    model: str  # the device's profile
    dtype: str
    serial: str  # of the DER
    readings: dict[int, Any]  # by unix ms


def verify_delivery(text: bytes, point: bytes) -> Delivery:
    """Return what a delivered token says; raises RejectedError with a reason."""
    header, payload = verify(text, point)
    for name in NAMED:
        if not isinstance(header.get(name), str) or not header[name]:
            raise RejectedError("bad_header", f"{name} is missing")
    if header["dtype"] not in DTYPES:
        raise RejectedError("bad_header", f"dtype is not one of {', '.join(DTYPES)}")
    if not payload:
        raise RejectedError("no_readings")
    readings = {}
    for at, value in payload.items():
        if not _NUMBER.fullmatch(at) or int(at) not in TIME_MS:
            raise RejectedError("bad_time", f"{at[:32]!r} is no unix time in milliseconds")
        _check(header["dtype"], value)
        readings[int(at)] = value
    device, operation, model, dtype, serial = (header[name] for name in NAMED)
    return Delivery(device, operation, model, dtype, serial, readings)


def _check(dtype: str, value: Any) -> None:
    if not isinstance(value, dict):
        raise RejectedError("bad_reading", "a reading is an object")
    if dtype == "modbus_registers":
        for address, register in value.items():
            if not _NUMBER.fullmatch(address) or int(address) not in U16:
                raise RejectedError("bad_reading", f"{address[:32]!r} is no register's address")
            if type(register) is not int or register not in U16:
                raise RejectedError("bad_reading", f"register {address} is no unsigned 16-bit integer")
    elif dtype == "p1_telnet_json" and not _is_p1(value):
        raise RejectedError("bad_reading", "P1 needs serial_number, rows and checksum")


def _is_p1(value: dict[str, Any]) -> bool:
    rows = value.get("rows")
    has_texts = isinstance(value.get("serial_number"), str) and isinstance(value.get("checksum"), str)
    return has_texts and isinstance(rows, list) and all(isinstance(row, str) for row in rows)
