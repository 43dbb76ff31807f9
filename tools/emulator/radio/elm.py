"""An ELM327 of our own making: AT commands in, the car's answers out, with a clone's gaps and scripted faults."""

import asyncio
from collections.abc import Callable
from enum import Enum

from emulator.radio.car import Car, default_flow_control

PROMPT = ">"
PROTOCOLS = ("6", "7", "8", "9")


class Fault(Enum):
    """What may go wrong with one request to the car."""

    NO_DATA = "NO DATA"
    STOPPED = "STOPPED"
    CAN_ERROR = "CAN ERROR"
    BUFFER_FULL = "BUFFER FULL"
    RX_ERROR = "<RX ERROR"
    LOSE_LINE = "a line is missing"
    SWAP_LINES = "two lines change places"
    GLUE_LINES = "an end of line is missing"
    GARBLE = "a character is not what it was"
    SILENCE = "no answer, and no prompt"
    LATE = "the answer before comes once more"
    LOSE_CHUNK = "a notification is lost"
    DROP_LINK = "the link is lost within the answer"


OnFault = Callable[[Fault], None]


class Elm327:
    """The adapter: `hear` commands, `say` answers after `latency_s`; `faults` strike the requests by their number."""

    def __init__(self, car: Car, *, latency_s: float = 0.0, lacks: tuple[str, ...] = (), echoes: bool = False) -> None:
        """`lacks` are beginnings of AT commands that it answers with `?`; one that `echoes` cannot be told not to."""
        self.car = car
        self.latency_s = latency_s
        self.identity = "ELM327 v1.5"
        self.faults: dict[int, Fault] = {}
        self.count = 0  # requests to the car so far
        self.on_fault: OnFault = lambda _fault: None  # for the faults of the link
        self.commands: list[str] = []
        self._lacks = lacks
        self._echoes = echoes
        self._heard = ""
        self._said: asyncio.Queue[bytes] = asyncio.Queue()
        self._running: asyncio.Task[None] | None = None
        self._last_answer = ""
        self.begin()

    def begin(self) -> None:
        """Be as after power-on."""
        self._heard = ""
        self._echo, self._spaces, self._headers = True, True, False
        self._protocol, self._searching = "0", True
        self._header, self._filter, self._flow = "7DF", "", False
        self._flow_header = ""
        self._prefix = "18"

    async def hear(self, data: bytes) -> None:
        """Take characters; one that comes while an answer is under way interrupts it."""
        for char in data.decode("latin-1"):
            if self._running and not self._running.done():
                self._running.cancel()
                self._running = None
                await self._said.put(b"STOPPED\r\r>")
                self._heard = ""
                continue
            if char == "\r":
                command, self._heard = self._heard, ""
                self._running = asyncio.create_task(self._answer(command))
            elif char not in "\n ":
                self._heard += char.upper()

    async def say(self) -> bytes:
        """Return the next answer."""
        return await self._said.get()

    async def _answer(self, command: str) -> None:
        if not command:
            await self._said.put(PROMPT.encode())
            return
        self.commands.append(command)
        text = f"{command}\r" if self._echo or self._echoes else ""
        if self.latency_s:
            await asyncio.sleep(self.latency_s)
        if command == "ATMA":
            await self._monitor()
        elif command.startswith("AT"):
            text += self._at(command[2:]) + "\r\r" + PROMPT
        else:
            struck = self._ask(command)
            if struck is None:
                await asyncio.Event().wait()  # until a character interrupts it
                return
            text += struck
        await self._said.put(text.encode("latin-1"))

    async def _monitor(self) -> None:
        """Print what the ECUs tell each other, until somebody types."""
        while True:
            if self.car.awake and self.car.chatters and self._protocol == self.car.protocol:
                await self._said.put((self._line("123", bytes(8)) + "\r").encode())
            await asyncio.sleep(0.1)

    def _at(self, command: str) -> str:
        if command.startswith(self._lacks) and self._lacks:
            return "?"
        if command == "Z":
            self.begin()
            return "\r\r" + self.identity
        if command == "RV":
            return f"{self.car.millivolts / 1000:.1f}V"
        if command == "DPN":
            return ("A" if self._searching else "") + self._protocol
        return {"I": self.identity}.get(command) or self._set(command)

    def _set(self, command: str) -> str:
        switches = {"E": "_echo", "S": "_spaces", "H": "_headers"}
        if command[:1] in switches and command[1:] in ("0", "1"):
            setattr(self, switches[command[0]], command[1] == "1")
        elif command[:2] in ("SP", "TP"):
            self._protocol, self._searching = command[2:].removeprefix("A") or "0", command[2:] in ("0", "A0")
        elif command[:2] == "CP":
            self._prefix = command[2:]
        elif command[:2] == "SH":
            self._header = command[2:] if len(command) == 5 else self._prefix + command[2:]
        elif command[:3] == "CRA":
            self._filter = command[3:]
        elif command == "AR":
            self._filter = ""
        elif command in ("FCSM1", "FCSM0"):
            self._flow = command == "FCSM1"
        elif command[:4] == "FCSH":
            self._flow_header = command[4:]
        elif not command.startswith(("L", "AT", "ST", "FCSD")):
            return "?"
        return "OK"

    def _ask(self, command: str) -> str | None:
        """Ask the car; return the text, or None for silence."""
        fault = self.faults.pop(self.count, None)
        self.count += 1
        chatter = self._search()
        if chatter is None:
            return "UNABLE TO CONNECT\r\r" + PROMPT
        counted = len(command) % 2
        request = bytes.fromhex(command[:-1] if counted else command)
        flow = self._flow_header == self._header if self._flow else default_flow_control(self._header)
        heard = self.car.ask(self._header, request, flow_control=flow)
        lines = [self._line(header, frame) for header, frame in heard if self._hears(header)]
        if counted:
            lines = lines[: int(command[-1], 16)]
        text = "\r".join(chatter + (lines or ["NO DATA"])) + "\r\r" + PROMPT
        before, self._last_answer = self._last_answer, text
        return text if fault is None else self._struck(fault, lines, before)

    def _hears(self, header: str) -> bool:
        """Tell whether the filter lets a header through; X is any digit."""
        pairs = zip(self._filter, header, strict=False)
        return not self._filter or all(wanted in ("X", digit) for wanted, digit in pairs)

    def _search(self) -> list[str] | None:
        """Return what a search prints, or None if no bus was found."""
        if self._protocol != "0":
            return [] if self._protocol == self.car.protocol and self.car.awake else None if not self._searching else []
        if not self.car.awake:
            self.car.requests += len(PROTOCOLS)  # a search is traffic too
            return None
        self._protocol = self.car.protocol
        if self._protocol in ("7", "9") and self._header == "7DF":
            self._header = "18DB33F1"
        return ["SEARCHING..."]

    def _line(self, header: str, frame: bytes) -> str:
        if not self._headers:
            return frame.hex(" " if self._spaces else "").upper() if self._spaces else frame.hex().upper()
        if not self._spaces:
            return header + frame.hex().upper()
        head = header if len(header) == 3 else bytes.fromhex(header).hex(" ").upper()
        return f"{head} {frame.hex(' ').upper()} "

    def _struck(self, fault: Fault, lines: list[str], before: str) -> str | None:
        end = "\r\r" + PROMPT
        self.on_fault(fault)
        if fault is Fault.SILENCE:
            return None
        if fault in (Fault.NO_DATA, Fault.CAN_ERROR):
            return f"{fault.value}{end}"
        if fault in (Fault.STOPPED, Fault.BUFFER_FULL, Fault.RX_ERROR):
            half = "\r".join(lines)
            between = "" if fault is Fault.RX_ERROR else "\r"
            return f"{half[: len(half) // 2]}{between}{fault.value}{end}"
        if fault is Fault.LATE:
            return before.rpartition(end)[0] + "\r" + "\r".join(lines) + end
        return "\r".join(_disordered(fault, lines)) + end


def _disordered(fault: Fault, lines: list[str]) -> list[str]:
    lines = list(lines)
    middle = len(lines) // 2
    if fault is Fault.LOSE_LINE:
        del lines[middle : middle + 1]
    elif fault is Fault.SWAP_LINES and len(lines) > 1:
        lines[middle - 1], lines[middle] = lines[middle], lines[middle - 1]
    elif fault is Fault.GLUE_LINES and len(lines) > 1:
        lines[middle - 1 : middle + 1] = ["".join(lines[middle - 1 : middle + 1])]
    elif fault is Fault.GARBLE and lines:
        lines[middle] = lines[middle][:5] + "\xb7" + lines[middle][6:]
    return lines
