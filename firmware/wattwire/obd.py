"""Diagnostic requests and what their answers say: OBD modes 01 and 09, and the makers' 21 and 22. Values are exact.

An answer counts only if its sender, its service and every identifier in it are those of the request. A vehicle's
profile says where in the bytes behind the identifiers its signals are; `vehicle_form` reads it.
"""

from collections import namedtuple

from . import elm327, isotp
from .elm_setup import FUNCTIONAL
from .errors import WireError

CURRENT = 0x01  # service: current data; several identifiers per request
IDENTITY = 0x09
NEGATIVE = 0x7F
PENDING = 0x78
PIDS_MAX = 6  # of one request, for it is a single frame
ID_BYTES = {0x01: 1, 0x09: 1, 0x21: 1, 0x22: 2}  # of the identifier behind the service
REQUEST_MAX = 14  # hex digits of a single frame
VIN = "0902"
VIN_CHARS = "ABCDEFGHJKLMNPRSTUVWXYZ0123456789"

Vehicle = namedtuple("Vehicle", ["id", "title", "protocol", "default", "commands"])
# `answer` is the header of the ECU's answers, None where the request is for all; `size` the bytes of data, if known.
Command = namedtuple("Command", ["header", "answer", "request", "size", "slow", "signals"])
# A value is (raw × mul + add) / div, and none outside of low … high; the wire has it × 10^−exponent, half to even.
# `product` names two signals of the same command, whose values it multiplies.
Signal = namedtuple(
    "Signal",
    [
        "name",
        "unit",
        "exponent",
        "bit",
        "bits",
        "signed",
        "mul",
        "add",
        "div",
        "low",
        "high",
        "invalid",
        "product",
        "unsettled",
    ],
)


def normal(request: str) -> str:
    """Return a request in upper case without spaces and without the count of answers that may end it."""
    text = request.upper().replace(" ", "")
    return text[:-1] if len(text) % 2 else text


def digits(header: str) -> int:
    """Return how many digits the headers of a bus have on which requests go out by `header`."""
    return isotp.DIGITS_11 if len(header) == isotp.DIGITS_11 else isotp.DIGITS_29


def identifiers(request: str) -> list:
    """Return the identifiers that a normal request asks for, as bytes; raises WireError."""
    try:
        data = bytes.fromhex(request)
    except ValueError:
        data = b""
    size = ID_BYTES.get(data[0]) if data else None
    if size is None or len(request) > REQUEST_MAX:
        raise WireError("bad_request", "%s is no request of service 01, 09, 21 or 22" % request[:20])
    ids = [data[at : at + size] for at in range(1, len(data), size)]
    several = PIDS_MAX if data[0] == CURRENT else 1
    if not 1 <= len(ids) <= several or len(ids[-1]) != size or len(set(ids)) != len(ids):
        raise WireError("bad_request", "%s asks for nothing, twice, or for too much at once" % request)
    return ids


def payloads(header: str, answer: str | None, request: str, lines: list, padded: set) -> dict:
    """Return {sender: payload} of the positive answers to a normal request, behind the service's byte.

    Raises WireError if nothing can be relied on: damage, a refusal of the only sender, another request's answer.
    """
    found = {}
    refusal = None
    service = int(request[:2], 16)
    heard = isotp.messages(elm327.frames(lines, request), digits(header), padded)
    for sender in sorted(heard):
        if not _answers(sender, header, answer):
            continue
        if isinstance(heard[sender], WireError):
            raise heard[sender]
        for message in heard[sender]:
            if message[0] == NEGATIVE:
                refusal = _refusal(message, service) or refusal
            elif message[0] != service | 0x40:
                raise WireError("wrong_service", "%s answers another request" % sender)
            elif found.setdefault(sender, message[1:]) != message[1:]:
                raise WireError("two_answers", "%s answers twice, and differently" % sender)
    if not found:
        raise refusal or WireError("no_answer", "no ECU that was asked")
    return found


def _answers(sender: str, header: str, answer: str | None) -> bool:
    if answer is not None:
        return sender == answer
    if len(header) == isotp.DIGITS_11:
        return "7E8" <= sender <= "7EF"
    return sender.startswith("18DAF1")


def _refusal(message: bytes, service: int) -> WireError | None:
    """Return why an ECU refuses, or None if the answer is pending."""
    if len(message) != 3 or message[1] != service:
        raise WireError("wrong_service", "a refusal of another request")
    return None if message[2] == PENDING else WireError("refused", "7F %02X %02X" % (service, message[2]))


def parts(payload: bytes, request: str, sizes: dict) -> dict:
    """Return {identifier: data} of an answer; `sizes` are the bytes of data by identifier, None if not known.

    An ECU leaves out what it does not support, but keeps the order of the request. Raises WireError unless every byte
    is accounted for.
    """
    wanted = identifiers(request)
    if len(wanted) == 1:
        size = sizes.get(wanted[0])
        data = payload[len(wanted[0]) :]
        if payload[: len(wanted[0])] != wanted[0]:
            raise WireError("wrong_identifier", "asked for %s" % request)
        if size is not None and len(data) != size:
            raise WireError("wrong_length", "%s has %d bytes, heard %d" % (request, size, len(data)))
        return {wanted[0]: data}
    found = {}
    at = 0
    while at < len(payload):
        key = payload[at : at + 1]
        size = sizes.get(key)
        while wanted and wanted[0] != key:
            wanted.pop(0)
        if not wanted or size is None or at + 1 + size > len(payload):
            raise WireError("wrong_identifier", "at byte %d of the answer to %s" % (at, request))
        found[key] = payload[at + 1 : at + 1 + size]
        at += 1 + size
        wanted.pop(0)
    return found


def commands(vehicle: Vehicle, header: str, request: str) -> list:
    """Return the commands of `vehicle` that a normal request covers: itself, or each of several PIDs of mode 01."""
    own = [each for each in vehicle.commands if each.header == header and each.request == request]
    if own or request[:2] != "01":
        return own
    asked = ["01" + pid.hex().upper() for pid in identifiers(request)]
    found = [each for each in vehicle.commands if each.header == header and each.request in asked]
    known = [each for each in found if each.size is not None]
    return found if len(asked) == len(known) else []


def values(asked: list, request: str, lines: list, padded: set) -> dict:
    """Return {signal's name: (numerator, denominator) | None} of the commands that `request` was made of.

    `padded` remembers from answer to answer which ECUs pad. Raises WireError: then there is no value at all.
    """
    header, answer = asked[0].header, asked[0].answer
    sizes = {bytes.fromhex(each.request[2:]): each.size for each in asked}
    found = {signal.name: None for each in asked for signal in each.signals}
    heard = payloads(header, answer, request, lines, padded)
    for sender in sorted(heard):  # of several the one with the lowest number: the engine's or the drive's own
        data = parts(heard[sender], request, sizes)
        for each in asked:
            part = data.get(bytes.fromhex(each.request[2:]))
            if part is not None:
                for name, value in decode(each.signals, part).items():
                    if found[name] is None:
                        found[name] = value
    return found


def decode(signals: tuple, data: bytes) -> dict:
    """Return {name: (numerator, denominator) | None} of the signals in the data behind the identifiers."""
    found = {}
    for signal in signals:
        if signal.product is None:
            found[signal.name] = _value(signal, data)
        else:
            left, right = found[signal.product[0]], found[signal.product[1]]
            missing = left is None or right is None
            found[signal.name] = None if missing else (left[0] * right[0], left[1] * right[1])
    return found


def _value(signal: Signal, data: bytes) -> tuple | None:
    rest = 8 * len(data) - signal.bit - signal.bits
    if rest < 0:
        return None
    raw = (int.from_bytes(data, "big") >> rest) & ((1 << signal.bits) - 1)
    if raw in signal.invalid:
        return None
    if signal.signed and raw >> (signal.bits - 1):
        raw -= 1 << signal.bits
    numerator = raw * signal.mul + signal.add
    if not signal.low * signal.div <= numerator <= signal.high * signal.div:
        return None
    return (numerator, signal.div)


def integer(value: tuple, exponent: int) -> int:
    """Return a value × 10^−exponent as an integer, half to even."""
    numerator, denominator = value
    if exponent < 0:
        numerator *= 10**-exponent
    else:
        denominator *= 10**exponent
    quotient = numerator // denominator
    twice = 2 * (numerator - quotient * denominator)
    if twice > denominator or (twice == denominator and quotient & 1):
        quotient += 1
    return quotient


def vin(lines: list, header: str = FUNCTIONAL[0]) -> str | None:
    """Return the vehicle's number in the answer to 0902, or None; raises WireError. No record ever carries it."""
    heard = payloads(header, None, VIN, lines, set())
    for sender in sorted(heard):
        payload = heard[sender]
        text = "".join([chr(byte) for byte in payload[2:]])
        if payload[:2] == b"\x02\x01" and len(text) == 17 and all(char in VIN_CHARS for char in text):
            return text
    return None
