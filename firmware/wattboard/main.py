"""The board's start. Without a key or a configuration it says so and leaves the REPL alone."""

import gc

from wattboard import hal
from wattboard.errors import ConfigError
from wattboard.loan import Loan
from wattboard.state import State
from wattwire import reading  # noqa: F401 - before the first loan, for it stays

SAFE, TRIAL, NEW_CONFIG = 1, 2, 4  # as wattboot/start.py has them
START_GARBAGE_BYTES = 4096  # collected so often, what the start leaves behind does not lie scattered over the heap


def main(told=0):
    """Read what needs much room while there is much, and only then bring in the program.

    `told` is what the start has settled (wattboot/start.py); on trial, what is wrong ends the start, which is undone.
    """
    gc.threshold(START_GARBAGE_BYTES)
    state = State(hal.nvs())
    try:
        settings, path = _settings(told)
        if settings is None or state.secret() is None:
            print("wattness: no", path if state.secret() else "key: import wattboard.keys; wattboard.keys.make()")
            if settings is not None:
                hal.watchdog(hal.REPL_WATCHDOG_MS)  # the start has switched it on
            return
        known = [_known(each, "$.streams[%d]" % index) for index, each in enumerate(settings["streams"])]
        key = _key(state, settings)
        from wattboard import program  # noqa: PLC0415 - see above

        gc.threshold(-1)
        program.start(settings, known, key, state)
    except ConfigError as error:
        if told & TRIAL:
            raise
        print("wattness: config:", error)
        hal.watchdog(hal.REPL_WATCHDOG_MS)  # a person has the REPL


# Functions of their own: a loan ends when no variable of a running function holds the module any more.


def _settings(told):
    with Loan("wattboard.config") as config:
        path = config.TRIAL_PATH if told & NEW_CONFIG else config.PATH
        if told & SAFE:
            return config.load_link(path), path
        try:
            return config.load(path), path
        except ConfigError as error:
            if told & TRIAL:
                raise
            print("wattness: safe mode: config:", error)
            settings = config.load_link(path)
            settings["refused"] = str(error)
            return settings, path


def _known(stream, path):
    with Loan("wattboard.catalog") as catalog:
        return catalog.read(stream, path)


def _key(state, settings):
    with Loan("wattboard.keys") as keys:
        settings["pinned"] = keys.pin(state, settings.get("release_key"))
        return keys.load(state)


if __name__ in ("__main__", "main"):
    main()
