"""The board's start. Without a key or a configuration it says so and leaves the REPL alone."""

import gc

from wattboard import hal
from wattboard.errors import ConfigError
from wattboard.loan import Loan
from wattboard.state import State
from wattwire import reading  # noqa: F401 - before the first loan, for it stays

START_GARBAGE_BYTES = 4096  # collected so often, what the start leaves behind does not lie scattered over the heap


def main():
    """Read what needs much room while there is much, and only then bring in the program."""
    gc.threshold(START_GARBAGE_BYTES)
    state = State(hal.nvs())
    try:
        settings, path = _settings()
        if settings is None or state.secret() is None:
            print("wattness: no", path if state.secret() else "key: import wattboard.keys; wattboard.keys.make()")
            return
        known = [_known(each, "$.streams[%d]" % index) for index, each in enumerate(settings["streams"])]
        key = _key(state)
        from wattboard import program  # noqa: PLC0415 - see above

        gc.threshold(-1)
        program.start(settings, known, key, state)
    except ConfigError as error:
        print("wattness: config:", error)


# Functions of their own: a loan ends when no variable of a running function holds the module any more.


def _settings():
    with Loan("wattboard.config") as config:
        return config.load(), config.PATH


def _known(stream, path):
    with Loan("wattboard.catalog") as catalog:
        return catalog.read(stream, path)


def _key(state):
    with Loan("wattboard.keys") as keys:
        return keys.load(state)


if __name__ in ("__main__", "main"):
    main()
