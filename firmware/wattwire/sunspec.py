"""SunSpec discovery, sans-I/O: walk a device's chain of models and choose the one that suits a role."""

from collections import namedtuple

from .errors import WireError
from .modbus import HOLDING, ILLEGAL_DATA_ADDRESS, ModbusError
from .plan import Read

BASES = (40000, 0, 50000)
MARKER = b"SunS"
COMMON = 1
END = 0xFFFF
MODELS_MAX = 64
REFUSALS = (1, 2, 3)  # exceptions that say the same when asked again
TRIES = 3  # of a read that fails otherwise than by Illegal Data Address

Model = namedtuple("Model", ["id", "base", "length"])  # base: the register of the model's id; length without header

PROFILES = {  # model id: the profile that reads it
    1: "sunspec_common",
    101: "sunspec_inverter_int",
    102: "sunspec_inverter_int",
    103: "sunspec_inverter_int",
    111: "sunspec_inverter_float",
    112: "sunspec_inverter_float",
    113: "sunspec_inverter_float",
    124: "sunspec_storage",
    160: "sunspec_mppt",
    201: "sunspec_meter_int",
    202: "sunspec_meter_int",
    203: "sunspec_meter_int",
    204: "sunspec_meter_int",
    211: "sunspec_meter_float",
    212: "sunspec_meter_float",
    213: "sunspec_meter_float",
    214: "sunspec_meter_float",
    802: "sunspec_battery",
}
# Profiles per role, the better first: integers before floats, because a float counter loses its last digits.
ROLES = {
    "pv": ("sunspec_inverter_int", "sunspec_inverter_float"),
    "grid": ("sunspec_meter_int", "sunspec_meter_float"),
    "load": ("sunspec_meter_int", "sunspec_meter_float"),
    "battery": ("sunspec_battery", "sunspec_storage"),
}


class Walker:
    """Read what `next` says, then call `take` with the register bytes or `fail` with the error; until `next` is None.

    `models` is what was found, in the map's order. `complete` tells whether the map's own end was reached: its end
    marker, or Illegal Data Address where the next header should stand (some devices have no end marker).
    `interrupted` tells that silence, noise or a busy device may have hidden the map or its rest: walk again later.
    """

    def __init__(self, bases: tuple = BASES) -> None:
        self.models: list[Model] = []
        self.complete = False
        self.interrupted = False
        self._bases = list(bases)
        self._at = None  # where the next header stands; None while the marker is sought
        self._tries = 0
        self._over = not self._bases

    def next(self) -> Read | None:
        """Return the Read to make now, or None when the walk is over."""
        if self._over:
            return None
        return Read(HOLDING, self._bases[0] if self._at is None else self._at, 2)

    def take(self, data: bytes) -> None:
        """Go on with the four bytes that were read; raises WireError if there are not four."""
        if len(data) != 4:
            raise WireError("wrong_length", "a header has 4 bytes")
        self._tries = 0
        if self._over:
            return
        if self._at is None:
            if bytes(data) == MARKER:
                self.interrupted = False
                self._at = self._bases[0] + 2
            else:
                self._next_base()
            return
        self._header(data[0] << 8 | data[1], data[2] << 8 | data[3])

    def _header(self, model: int, length: int) -> None:
        if model in (0, END):
            self._over = True
            self.complete = model == END
            return
        after = self._at + 2 + length
        if after > 65536:  # the map is nonsense from here on
            self._over = True
            return
        self.models.append(Model(model, self._at, length))
        self._at = after
        self._over = after > 65534 or len(self.models) >= MODELS_MAX

    def fail(self, error: Exception) -> None:
        """Go on without the registers: the device refused (ModbusError), or there was no good answer."""
        if self._over:
            return
        self._tries += 1
        illegal = isinstance(error, ModbusError) and error.code == ILLEGAL_DATA_ADDRESS
        if not illegal and self._tries < TRIES:
            return
        self._tries = 0
        if not isinstance(error, ModbusError) or error.code not in REFUSALS:
            self.interrupted = True
        if self._at is None:
            self._next_base()
        else:
            self._over = True
            self.complete = illegal

    def _next_base(self) -> None:
        self._bases.pop(0)
        self._over = not self._bases


def profiles_for(role: str, walk: tuple = ()) -> tuple[str, ...]:
    """Return the names of the profiles that suit `role`, the best first; a profile's own `walk` goes before ours."""
    return dict(walk).get(role, ROLES.get(role, ()))


def models_of(name: str) -> list[int]:
    """Return the ids of the models that one of `PROFILES` reads."""
    return [model for model, profile in PROFILES.items() if profile == name]


def matches(models: list[Model], offers: list) -> list[tuple[str, Model]]:
    """Return every (name, Model) of `offers`, (a profile's name, the ids of its models) each, the best first.

    The first one counts that offers a point once it is bound: a model can be too short for a profile.
    """
    return [(name, model) for name, ids in offers for model in models if model.id in ids]


def choose(models: list[Model], role: str) -> Model | None:
    """Return the Model whose profile suits `role` best, or None."""
    found = matches(models, [(name, models_of(name)) for name in profiles_for(role)])
    return found[0][1] if found else None


def common_of(models: list[Model], model: Model) -> Model | None:
    """Return the common Model that describes `model`: the last one before it in the map, or None."""
    found = None
    for other in models:
        if other.base > model.base:
            break
        if other.id == COMMON:
            found = other
    return found
