"""What the gateway may tell the board to do; each command is counted in NVS before it is executed."""

import asyncio

from wattboard import hal
from wattboard.errors import ConfigError
from wattboard.loan import Loan
from wattboard.version import FIRMWARE
from wattwire import link
from wattwire.errors import WireError

RESET_AFTER_MS = 1500
PIECE_ITEMS = 3


class Commands:
    """Executes sealed commands; a counter that did not rise is a replay."""

    def __init__(self, state, log, meter, health):
        self._state = state
        self._log = log
        self._meter = meter
        self._health = health
        self._tasks = []
        self._new = None  # a program that comes by air; its code is here only as long as it comes

    def take(self, body):
        """Execute the command in an authenticated body; raises WireError for one that is malformed or replayed."""
        counter, name, args = link.decode_command(body)
        if counter <= self._state.command():
            raise WireError("replayed", name)
        if name == "update" and type(args) is list and len(args) == PIECE_ITEMS:
            self._piece(args)  # not counted in NVS: it does nothing but what was asked for, and there are many
            return
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
        """Try a configuration: its text, [text], or [text, how many seconds it may take to prove itself]."""
        if type(args) is not list:
            args = [args]
        text, health_s = args if len(args) == 2 else (args[0] if len(args) == 1 else None, None)
        if type(text) is not str or type(health_s or 1) is not int:
            raise WireError("bad_form", "config")
        try:
            with Loan("wattboard.config") as config:
                config.store(text, config.TRIAL_PATH)
            with Loan("wattboard.trial") as trial:
                trial.begin_config(self._state, health_s)
        except ConfigError as error:
            print("config refused:", error)
            self._health.count("refused_configs")
            return
        self._restart()

    def _identify(self, _):
        print("this is the board that was asked for")
        self._health.count("identified")

    def want(self, now_ms):
        """Return what to tell the gateway of an update now, or None."""
        if self._new is None:
            return None
        body = self._new.want(now_ms)
        if self._new.is_over():
            self._new = None
        return body

    def _update(self, args):
        """Take the offer of a release: [envelope], or [envelope, 1] to try one again that was tried in vain."""
        if type(args) is not list or not 0 < len(args) < PIECE_ITEMS or type(args[0]) is not bytes:
            raise WireError("bad_form", "update")
        if self._new is None:
            with Loan("wattboard.update") as update:
                self._new = update.Update(self._state, FIRMWARE, self._restart)
        self._new.offer(args)

    def _piece(self, args):
        if self._new is not None:
            self._new.take(args)

    def _reset(self, _):
        with Loan("wattboard.trial") as trial:
            trial.survive(self._state)
        self._restart()

    def _restart(self):
        self._tasks.append(asyncio.create_task(self._reset_soon()))

    async def _reset_soon(self):
        await asyncio.sleep_ms(RESET_AFTER_MS)  # what is being written to flash or broker ends first
        self._meter.recorder.seal_rows()
        hal.reset()


NAMES = ("resync", "resend", "config", "identify", "update", "reset")
