"""Modbus TCP's frames, sans-I/O: bytes in, requests out; answers in, bytes out.

Written here and not taken from pymodbus: its framer waits for more on a wrong protocol id, takes any length, and
builds objects where the bytes are passed on as they are.
"""

from typing import NamedTuple

from wattwire.errors import WireError

HEADER_SIZE = 6  # transaction, protocol, length
LENGTH_LEAST, LENGTH_MOST = 2, 254  # unit and PDU


class Request(NamedTuple):
    """What a client sent; its answer has the same transaction and unit."""

    transaction: int
    unit: int
    pdu: bytes


class Requests:
    """Feed it what the client sent; it returns the requests that are whole, in their order."""

    def __init__(self) -> None:
        """Nothing has come yet."""
        self._buffer = bytearray()
        self._broken: WireError | None = None

    def feed(self, data: bytes) -> list[Request]:
        """Return what is whole; raises WireError when nothing that follows can be understood either.

        What was whole before the nonsense is returned first; the next call raises.
        """
        if self._broken is None:
            self._buffer += data
        found: list[Request] = []
        try:
            while (request := self._next()) is not None:
                found.append(request)
        except WireError as error:
            self._buffer.clear()
            self._broken = error
        if self._broken is not None and not found:
            raise self._broken
        return found

    @property
    def is_broken(self) -> bool:
        """Whether what came is nonsense: `feed` raises from now on."""
        return self._broken is not None

    @property
    def is_between(self) -> bool:
        """Whether no request has come in part."""
        return not self._buffer

    def _next(self) -> Request | None:
        buffer = self._buffer
        if len(buffer) >= 4 and buffer[2:4] != b"\0\0":
            raise WireError("bad_protocol", "the protocol id of Modbus is 0")
        if len(buffer) < HEADER_SIZE:
            return None
        length = buffer[4] << 8 | buffer[5]
        if not LENGTH_LEAST <= length <= LENGTH_MOST:
            raise WireError("bad_length", f"{length} bytes are no request")
        end = HEADER_SIZE + length
        if len(buffer) < end:
            return None
        request = Request(buffer[0] << 8 | buffer[1], buffer[6], bytes(buffer[7:end]))
        del buffer[:end]
        return request


def answer(request: Request, pdu: bytes) -> bytes:
    """Return the frame that answers `request`."""
    head = request.transaction.to_bytes(2, "big") + b"\0\0" + (len(pdu) + 1).to_bytes(2, "big")
    return head + bytes((request.unit,)) + pdu
