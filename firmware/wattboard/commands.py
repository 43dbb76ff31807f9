"""What the gateway may tell the board to do; each command is counted in NVS before it is executed."""

import asyncio

from wattboard import hal
from wattboard.errors import ConfigError
from wattboard.loan import Loan
from wattwire import link
from wattwire.errors import WireError

RESET_AFTER_MS = 500


class Commands:
    """Executes sealed commands; a counter that did not rise is a replay."""

    def __init__(self, state, log, meter, health):
        self._state = state
        self._log = log
        self._meter = meter
        self._health = health
        self._tasks = []

    def take(self, body):
        """Execute the command in an authenticated body; raises WireError for one that is malformed or replayed."""
        counter, name, args = link.decode_command(body)
        if counter <= self._state.command():
            raise WireError("replayed", name)
        self._state.set_command(counter)
        action = getattr(self, "_" + name, None) if name in NAMES else None
        if action is None:
            self._health.count("unknown_commands")
            return
        action(args)

    def _resync(self, _):
        self._meter.want_streams()

    def _resend(self, args):
        if type(args) is not list or len(args) != 2 or type(args[1]) is not int or args[1] < 1:
            raise WireError("bad_form", "resend")
        if args[0] == self._log.number:
            self._log.rewind(args[1])

    def _config(self, args):
        text = args[0] if type(args) is list and len(args) == 1 else args
        if type(text) is not str:
            raise WireError("bad_form", "config")
        try:
            with Loan("wattboard.config") as config:
                config.store(text)
        except ConfigError as error:
            print("config refused:", error)
            self._health.count("refused_configs")
            return
        self._reset(None)

    def _identify(self, _):
        print("this is the board that was asked for")
        self._health.count("identified")

    def _update(self, _):
        self._health.count("unsupported_updates")

    def _reset(self, _):
        self._tasks.append(asyncio.create_task(self._reset_soon()))

    async def _reset_soon(self):
        await asyncio.sleep_ms(RESET_AFTER_MS)  # what is being written to flash or broker ends first
        self._meter.recorder.seal_rows()
        hal.reset()


NAMES = ("resync", "resend", "config", "identify", "update", "reset")
