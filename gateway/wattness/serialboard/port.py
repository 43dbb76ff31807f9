"""The serial port that a board is plugged into, and in words what can be wrong with it."""

import contextlib
import errno
import os
from pathlib import Path

import serial
from serial.tools import list_ports

from wattness.errors import WattnessError

BAUD = 115_200
READ_S = 0.2
LISTED_MAX = 8
BUSY = (errno.EBUSY, errno.EAGAIN)


class BoardError(WattnessError):
    """Something about the board or its port that its owner must see to."""


def open_port(port: str) -> serial.Serial:
    """Open a port for ourselves alone; raises BoardError."""
    try:
        return serial.serial_for_url(port, BAUD, timeout=READ_S, write_timeout=10, exclusive=True)
    except (OSError, ValueError) as error:
        raise port_error(port, error) from None


def port_error(port: str, error: Exception) -> BoardError:
    """Return in words why a port could not be opened or stopped working."""
    number = getattr(error, "errno", None)
    if number == errno.ENOENT or (number is None and "://" not in port and not Path(port).exists()):
        return BoardError(f"There is no port {port}. {_there_are()}")
    if number in BUSY or (os.name == "nt" and number == errno.EACCES):
        return BoardError(f"{port} is busy: another program has it; close that one (mpremote, a serial monitor).")
    if number in {errno.EACCES, errno.EPERM}:
        return BoardError(f"You may not use {port}. {_permission(port)}")
    if "://" in port:
        return BoardError(f"{port} does not answer: {error}.")
    return BoardError(f"{port} cannot be used as a serial port: {os.strerror(number) if number else error}.")


def why_not(port: str) -> BoardError | None:
    """Return why a port cannot be opened, or None if it can."""
    try:
        open_port(port).close()
    except BoardError as error:
        return error
    return None


def _there_are() -> str:
    found = [f"{each.device} ({each.description})" for each in list_ports.comports() if each.vid is not None]
    if found:
        return f"There are: {', '.join(found[:LISTED_MAX])}."
    return "No board is plugged in: use a USB cable that carries data, too, and see what appears under /dev."


def _permission(port: str) -> str:
    group = "dialout"
    with contextlib.suppress(OSError, KeyError, ImportError):
        import grp  # noqa: PLC0415 - not on Windows

        found = grp.getgrgid(Path(port).stat().st_gid).gr_name
        group = group if found == "root" else found
    return f"Join the group that may: `sudo usermod -aG {group} $USER`, then log in again."
