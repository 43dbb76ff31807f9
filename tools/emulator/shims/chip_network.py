"""The chip's `network`: a WLAN that joins any access point but `nowhere`, with the host's network behind it."""

import time

from micropython import const

import chip_esp32
import chip_supervisor as supervisor

STA_IF, AP_IF = 0, 1
STAT_IDLE, STAT_CONNECTING, STAT_GOT_IP, STAT_NO_AP_FOUND = 1000, 1001, 1010, 201
_JOIN_MS = const(50)
_NOWHERE = "nowhere"  # the one name that no access point has


class WLAN:
    """The station interface; every instance shows the same radio, as on the chip."""

    IF_STA, IF_AP = STA_IF, AP_IF
    _active = False
    _since = None

    def __init__(self, interface=STA_IF):
        self.interface = interface

    def active(self, on=None):
        """Whether the radio is on; with an argument, switch it."""
        if on is None:
            return WLAN._active
        WLAN._active = bool(on)
        if not on:
            WLAN._since = None
        return WLAN._active

    def connect(self, ssid=None, key=None, bssid=None):
        """Begin to join."""
        if not WLAN._active:
            raise OSError("Wifi Not Started")
        WLAN._since = None if ssid == _NOWHERE else time.ticks_ms()

    def disconnect(self):
        """Leave."""
        WLAN._since = None

    def isconnected(self):
        """Whether there is an address."""
        if WLAN._since is not None and chip_esp32.is_silent():
            WLAN._since = time.ticks_ms()  # it goes on trying, and joins once there is an access point again
        return WLAN._since is not None and time.ticks_diff(time.ticks_ms(), WLAN._since) >= _JOIN_MS

    def status(self, param=None):
        """The state of the join, or the signal strength."""
        if param == "rssi":
            return -55
        if WLAN._since is None:
            return STAT_IDLE
        return STAT_GOT_IP if self.isconnected() else STAT_CONNECTING

    def config(self, param=None, **settings):
        """One setting, or set some."""
        if param == "mac":
            text = supervisor.settings["uid"]
            return bytes(int(text[at : at + 2], 16) for at in range(0, 12, 2))
        return "wattness" if param in ("hostname", "dhcp_hostname") else None

    def ifconfig(self, config=None):
        """Address, mask, gateway, name server."""
        if not self.isconnected():
            return ("0.0.0.0",) * 4
        return ("127.0.0.1", "255.0.0.0", "127.0.0.1", "127.0.0.1")


def hostname(name=None):
    """The name of the board in its network."""
    return "wattness"


def country(code=None):
    """The regulatory domain."""
    return "XX"
