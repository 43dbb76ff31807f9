"""What a board prints, as it comes."""

import codecs
from collections.abc import Iterator

import serial

from .port import open_port, port_error

SHOWN = "\n\t"
CHUNK_BYTES = 4096


def follow(port: str) -> Iterator[str]:
    """Yield the board's output until the caller stops, "" while there is none; raises BoardError."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    with open_port(port) as line:
        while True:
            try:
                data = line.read(min(max(1, line.in_waiting), CHUNK_BYTES))
            except (OSError, serial.SerialException) as error:
                raise port_error(port, error) from None
            yield "".join(each for each in decoder.decode(data) if each.isprintable() or each in SHOWN)
