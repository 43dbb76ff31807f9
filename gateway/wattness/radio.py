"""Looks into what somebody recorded of a dongle, a battery monitor or Victron's adverts; damage gives no value."""

import contextlib
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

from wattwire import bms, obd, vehicle_form, victron
from wattwire.errors import WireError

from .aesblock import aes_block
from .errors import ConfigError
from .profiles import profiles_dir

EXCHANGES_MAX = 10_000
LINES_MAX = 1000
FRAMES_MAX = 100_000
SCHEMA = "schema"
COMPANY = victron.COMPANY.to_bytes(2, "little")


def vehicle_ids() -> list[str]:
    """Return the ids of all vehicles that come with the gateway."""
    return sorted(path.stem for path in (profiles_dir() / "vehicles").glob("*.json") if path.stem != SCHEMA)


def find_vehicle(name: str) -> obd.Vehicle:
    """Return the vehicle's profile with that id or in that file; raises ConfigError."""
    known = name in vehicle_ids()
    if not known and "/" not in name and not name.endswith(".json"):
        raise ConfigError(f"There is no vehicle {name!r}; there are {', '.join(vehicle_ids())}.")
    path = profiles_dir() / "vehicles" / f"{name}.json" if known else Path(name)
    try:
        return vehicle_form.load(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None
    except WireError as error:
        raise ConfigError(f"{path}: {error.detail}.") from None


def decode_elm(name: str, exchanges: Any) -> dict[str, Any]:
    """Return the signals in `[{"header": "7E4", "request": "220101", "lines": ["7EC103D…", …]}]`; raises ConfigError.

    Of several good answers the last one counts, of several sources of a signal the profile's first. What is damaged
    gives no value, and a sentence in `problems`.
    """
    vehicle = find_vehicle(name)
    asked = _exchanges(exchanges)
    found = _Found(vehicle)
    for exchange in asked:
        found.learn(*exchange)
    report: dict[str, Any] = {"problems": []}
    for index, (header, request, lines) in enumerate(asked):
        try:
            if request == obd.VIN:
                report["vin"] = obd.vin(lines, header)
            else:
                found.take(header, request, lines)
        except WireError as error:
            report["problems"].append(f"$[{index}]: {error}.")
    return found.figures() | report


class _Found:
    """The values of a vehicle's signals, each with the place of its source in the profile."""

    def __init__(self, vehicle: obd.Vehicle) -> None:
        self._vehicle = vehicle
        self._padded: set[str] = set()
        self._values: dict[str, tuple[int, obd.Signal, Fraction]] = {}

    def learn(self, header: str, request: str, lines: list[str]) -> None:
        """See which ECUs pad their frames, before any of their answers is judged."""
        with contextlib.suppress(WireError):
            obd.payloads(header, None, request, lines, self._padded)

    def take(self, header: str, request: str, lines: list[str]) -> None:
        """Take an answer; raises WireError if it cannot be relied on."""
        commands = obd.commands(self._vehicle, header, request)
        if not commands:
            raise WireError("unknown_request", f"{self._vehicle.id} has no request {request} to {header}")
        values = obd.values(commands, request, lines, self._padded)
        for command in commands:
            place = self._vehicle.commands.index(command)
            for signal in command.signals:
                value = values[signal.name]
                if value is not None and place <= self._values.get(signal.name, (place,))[0]:
                    self._values[signal.name] = (place, signal, Fraction(*value))

    def figures(self) -> dict[str, Any]:
        """Return every signal of the profile, and which of the values stand on unsettled facts."""
        names = [signal.name for command in self._vehicle.commands for signal in command.signals]
        signals: dict[str, Any] = dict.fromkeys(names)
        for name, (_, signal, value) in self._values.items():
            signals[name] = {"value": _number(value), "unit": signal.unit}
        unsettled = sorted(name for name, (_, signal, _) in self._values.items() if signal.unsettled)
        return {"signals": signals, "unsettled": unsettled}


def _number(value: Fraction) -> int | float:
    return value.numerator if value.denominator == 1 else float(value)


def _exchanges(form: Any) -> list[tuple[str, str, list[str]]]:
    if not isinstance(form, list) or len(form) > EXCHANGES_MAX:
        raise ConfigError(f'Exchanges must be a list of at most {EXCHANGES_MAX} {{"header", "request", "lines"}}.')
    return [_exchange(f"$[{index}]", item) for index, item in enumerate(form)]


def _exchange(path: str, item: Any) -> tuple[str, str, list[str]]:
    if not isinstance(item, dict) or set(item) != {"header", "request", "lines"}:
        raise ConfigError(f'{path}: must have "header", "request" and "lines", and nothing else.')
    header, request, lines = item["header"], item["request"], item["lines"]
    if not isinstance(header, str) or len(header) not in (3, 8) or not _is_hex(header):
        raise ConfigError(f"{path}.header: must be 3 or 8 hexadecimal digits, as 7E4.")
    if not isinstance(request, str) or not _is_hex(request.replace(" ", "")):
        raise ConfigError(f"{path}.request: must be hexadecimal, as 220101.")
    if not isinstance(lines, list) or len(lines) > LINES_MAX or not all(isinstance(line, str) for line in lines):
        raise ConfigError(f"{path}.lines: must be a list of at most {LINES_MAX} texts.")
    request = obd.normal(request)
    try:
        obd.identifiers(request)
    except WireError as error:
        raise ConfigError(f"{path}.request: {error.detail}.") from None
    return header.upper(), request, _lines(lines)


def _lines(texts: Iterable[str]) -> list[str]:
    """Return what the adapter printed, line by line; a prompt ends its answer."""
    whole = "\r".join(texts).replace("\0", "").replace("\n", "\r")
    lines = [line.strip().removesuffix(">").strip() for line in whole.split("\r")]
    return [line.removeprefix(">") for line in lines if line and line != ">"]


def _is_hex(text: str) -> bool:
    return bool(text) and all(char in "0123456789abcdefABCDEF" for char in text)


def decode_bms(family: str, form: Any) -> dict[str, Any]:
    """Return the signals in `{"frames": ["dd03…", …]}`, notifications in their order; raises ConfigError.

    Of several good frames the last one counts.
    """
    if family not in bms.FAMILIES:
        raise ConfigError(f"There is no family {family!r}; there are {', '.join(bms.FAMILIES)}.")
    if not isinstance(form, dict) or set(form) != {"frames"}:
        raise ConfigError('The file must hold {"frames": ["dd03…", …]}, and nothing else.')
    decoder = bms.decoder(family)
    signals: dict[str, Any] = dict.fromkeys(decoder.exponents)
    problems = []
    for index, text in enumerate(_texts(form["frames"], "$.frames")):
        try:
            points = decoder.feed(_bytes(text)) or {}
        except WireError as error:
            problems.append(f"$.frames[{index}]: {error}.")
            continue
        signals |= {name: _figure(value, bms.unit(name)) for name, value in points.items()}
    if decoder.pieces.pending:
        problems.append("$.frames: the last frame is cut short.")
    return {"signals": signals, "problems": problems}


def decode_victron(key: str, adverts: Any) -> dict[str, Any]:
    """Return the signals in a device's adverts, in hex; the last good one counts. Raises ConfigError."""
    try:
        secret = bytes.fromhex(key)
    except ValueError:
        secret = b""
    if len(secret) != victron.KEY_BYTES:
        raise ConfigError("The key is 32 hexadecimal digits: the device's encryption key, as Victron's app shows it.")
    signals: dict[str, Any] = {}
    problems = []
    for index, text in enumerate(_texts(adverts, "$")):
        try:
            points = victron.decode(_maker_data(_bytes(text)), secret, aes_block)
        except WireError as error:
            problems.append(f"$[{index}]: {error}.")
            continue
        signals = {name: _figure(value, victron.unit(name)) for name, value in points.items()}
    return {"signals": signals, "problems": problems}


def _maker_data(data: bytes) -> bytes:
    """Return the maker's data in a whole advertisement, in a maker's field with its number, or as it is."""
    if data.startswith(COMPANY):
        return data[2:]
    found: bytes | None = victron.maker_data(data)
    return data if found is None else found


def _texts(texts: Any, path: str) -> list[str]:
    if not isinstance(texts, list) or len(texts) > FRAMES_MAX or not all(isinstance(text, str) for text in texts):
        raise ConfigError(f"{path}: must be a list of at most {FRAMES_MAX} texts in hex.")
    return texts


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise WireError("bad_hex", text[:40]) from None


def _figure(value: tuple[int, int] | None, unit: str) -> dict[str, Any] | None:
    if value is None:
        return None
    integer, exponent = value
    return {"value": _number(Fraction(integer) * Fraction(10) ** exponent), "unit": unit}
