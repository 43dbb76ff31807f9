"""What the rules remember of a stream from one interval to the next, and what they say of an interval."""

import msgspec

DAY_MS = 86_400_000
HOUR_MS = 3_600_000

STEP_UNKNOWN_MWH = 1_000_000  # until a counter was seen to rise it may be one that counts whole kWh


class Balance(msgspec.Struct, array_like=True):
    """Energy by power and energy by counter, both fading with time."""

    fade_ms: int
    by_power: float = 0.0
    by_counter: float = 0.0


class Charge(msgspec.Struct, array_like=True):
    """Energy into and out of a battery since its state of charge was `soc` (thousandths of a percent)."""

    since_ms: int
    soc: int
    into_mwh: int = 0
    out_mwh: int = 0


class Print(msgspec.Struct, array_like=True):
    """The running fingerprint of an hour or a day of a stream."""

    start_ms: int
    digest: bytes = b""
    told: int = 0  # intervals that differed from the one before
    mean: int | None = None  # of the interval before


class Memory(msgspec.Struct, array_like=True):
    """All of it; a new stream begins with this. Fields are added at the end only: it is stored as an array."""

    last_ms: int | None = None  # of the last row
    steps: dict[str, int] = {}  # by how much each counter seems to rise at once
    idle_ms: dict[str, int] = {}  # since each counter last rose
    waiting_mwh: float = 0.0  # energy by power since the counters last moved
    lag_mwh: float = 0.0  # the most of it in the last hours
    balances: list[Balance] = []
    resets_ms: list[int] = []  # intervals in which a counter started anew, of the last day
    still_ms: int = 0  # since the power last changed
    still_mw: int | None = None
    print: Print | None = None
    same: str = ""  # the code of a repetition or duplicate that goes on
    cycle: Charge | None = None  # for the balance over a cycle
    charge: Charge | None = None  # for the state of charge
    capacity_mwh: float = 0.0  # learnt
    odometer_m: float = 0.0  # driven in the last hour, by odometer and by speed, both fading with time
    speed_m: float = 0.0
    odometer_last: int | None = None

    def step(self, name: str) -> int:
        """Return by how much a counter rises at once."""
        return self.steps.get(name, STEP_UNKNOWN_MWH)

    def learn_step(self, name: str, level: int) -> None:
        """Take a smaller power of ten when a counter's level is not a multiple of the one so far."""
        step = self.step(name)
        while step > 1 and level % step:
            step //= 10
        self.steps[name] = step

    def anew(self) -> "Memory":
        """Return what still holds behind an interval whose values are wrong."""
        return Memory(steps=self.steps, same=self.same, capacity_mwh=self.capacity_mwh)


class Notes:
    """What is found in one interval: reasons, and events that are worth a counter but no reason."""

    def __init__(self) -> None:
        """Nothing is found yet."""
        self.codes: set[str] = set()
        self.events: list[str] = []

    def find(self, code: str) -> None:
        """Add a reason of the registry."""
        self.codes.add(code)
