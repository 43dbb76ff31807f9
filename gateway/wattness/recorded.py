"""Registers as somebody recorded them: a dump of a device, or the exchanges on its bus."""

from collections.abc import Callable
from typing import Any, Protocol

from wattwire import modbus, profile, register
from wattwire.errors import WireError
from wattwire.plan import Read

from .errors import ConfigError

Value = tuple[int, int] | None
TABLES = {"holding": modbus.HOLDING, "input": modbus.INPUT}
EXCHANGES_MAX = 10_000


class Recording(Protocol):
    """What a dump and recorded exchanges have in common."""

    problems: list[str]

    def registers(self, fc: int, address: int, count: int) -> bytes | None:
        """Return the bytes of these registers, or None unless all of them were recorded."""

    def decode(self, bound: profile.Profile) -> dict[str, Value]:
        """Return every point of a bound profile."""

    def identify(self, bound: profile.Profile) -> dict[str, str | None]:
        """Return every text of a bound profile."""


class Dump:
    """Registers without their history: what was read together is not known, so it is taken as read together."""

    def __init__(self, words: dict[int, dict[int, int]], width: int = 2) -> None:
        """`words` is the registers' content by function code and address, each `width` bytes."""
        self.words = words
        self.width = width
        self.problems: list[str] = []

    def registers(self, fc: int, address: int, count: int) -> bytes | None:
        """Return the bytes of these registers, or None unless all of them were recorded."""
        found = [self.words.get(fc, {}).get(at) for at in range(address, address + count)]
        words = [word for word in found if word is not None]
        return b"".join(word.to_bytes(self.width, "big") for word in words) if len(words) == count else None

    def decode(self, bound: profile.Profile) -> dict[str, Value]:
        """Return every point of a bound profile."""
        return {point.name: self._point(point) for point in bound.points}

    def _point(self, point: profile.Point) -> Value:
        fc, first, end = profile.span(point)
        if any(self.registers(fc, *part) is None for part in profile.parts(point)):
            return None
        held = self.words[fc]
        data = b"".join(held.get(at, 0).to_bytes(self.width, "big") for at in range(first, end))
        return profile.convert(point, data, first)

    def identify(self, bound: profile.Profile) -> dict[str, str | None]:
        """Return every text of a bound profile."""
        texts = {item.name: self.registers(item.fc, item.address, item.count) for item in bound.identity}
        return {name: None if data is None else register.text(data) for name, data in texts.items()}


class Exchanges(Dump):
    """What was asked and answered: a value counts only with the scale factor of its own answer."""

    def __init__(self, width: int = 2) -> None:
        """Begin with nothing heard."""
        super().__init__({}, width)
        self.answers: list[tuple[Read, bytes]] = []

    def add(self, read: Read, data: bytes) -> None:
        """Remember a good answer; of several for one register the last one counts."""
        self.answers.append((read, data))
        words = self.words.setdefault(read.fc, {})
        for index in range(read.count):
            words[read.address + index] = int.from_bytes(data[self.width * index :][: self.width], "big")

    def decode(self, bound: profile.Profile) -> dict[str, Value]:
        """Return every point of a bound profile."""
        return profile.decode(bound, [point.name for point in bound.points], self.answers)


def from_dump(dump: Any, width: int = 2) -> Dump:
    """Return the registers in `{"holding": {"40000": 21365, …}, "input": {…}}`; raises ConfigError."""
    most = (1 << 8 * width) - 1
    if not isinstance(dump, dict):
        raise ConfigError('A register dump must be an object like {"holding": {"40000": 21365}, "input": {}}.')
    words: dict[int, dict[int, int]] = {}
    for table, registers in dump.items():
        if table not in TABLES:
            raise ConfigError(f"$.{table}: a register dump has the tables holding and input only.")
        if not isinstance(registers, dict):
            raise ConfigError(f"$.{table}: must be an object of addresses and numbers.")
        entries = [(_address(table, key), word) for key, word in registers.items() if word is not None]
        for address, word in entries:
            if type(word) is not int or not 0 <= word <= most:
                raise ConfigError(f"$.{table}.{address}: must be a number from 0 to {most}, found {word!r}.")
        words[TABLES[table]] = dict(entries)
        if len(words[TABLES[table]]) != len(entries):
            raise ConfigError(f"$.{table}: an address is there twice.")
    return Dump(words, width)


def _address(table: str, key: str) -> int:
    base = 16 if key.lower().startswith("0x") else 10
    if key.isascii() and key.isalnum() and len(key) <= 6:
        try:
            address = int(key, base)
        except ValueError:
            address = -1
        if 0 <= address <= 65535:
            return address
    raise ConfigError(f"$.{table}: {key!r} is not a register's address from 0 to 65535.")


def from_exchanges(exchanges: Any, width: int = 2) -> Exchanges:
    """Return the registers in `[[request hex, answer hex], …]` of one unit; raises ConfigError.

    A refusal of the device, silence (an empty answer) and an answer that does not match go into `problems`.
    """
    if not isinstance(exchanges, list) or len(exchanges) > EXCHANGES_MAX:
        raise ConfigError(f"Exchanges must be a list of at most {EXCHANGES_MAX} [request hex, answer hex] pairs.")
    found = Exchanges(width)
    units = set()
    for index, pair in enumerate(exchanges):
        path = f"$[{index}]"
        if not isinstance(pair, list) or len(pair) != 2:
            raise ConfigError(f"{path}: must be [request hex, answer hex].")
        request, answer = (_bytes(f"{path}[{place}]", text) for place, text in enumerate(pair))
        asked = _checked(f"{path}[0]", modbus.parse_request, request)
        units.add(asked.unit)
        try:
            data = _registers(request, answer, width)
        except (WireError, modbus.ModbusError) as error:
            found.problems.append(f"{path}: {error}")
            continue
        if data is None:
            found.problems.append(f"{path}: the answer is cut short")
        else:
            found.add(Read(asked.fc, asked.address, asked.count), data)
    if len(units) > 1:
        raise ConfigError(f"The exchanges are of several units: {', '.join(map(str, sorted(units)))}; give one's only.")
    return found


def _registers(request: bytes, answer: bytes, width: int) -> bytes | None:
    """Return the registers of a recorded answer, None if it is cut short; raises WireError or ModbusError."""
    reader = modbus.ResponseReader(request, width)
    size = reader.missing
    data: bytes | None = reader.feed(answer)
    if data is not None and len(answer) != size:
        raise WireError("wrong_length", f"the answer has {size} bytes, heard {len(answer)}")
    return data


def _bytes(path: str, text: Any) -> bytes:
    if not isinstance(text, str):
        raise ConfigError(f"{path}: must be text in hex.")
    return bytes(_checked(path, bytes.fromhex, text))


def _checked(path: str, function: Callable[[Any], Any], argument: Any) -> Any:
    try:
        return function(argument)
    except ValueError as error:
        raise ConfigError(f"{path}: {error}.") from None
