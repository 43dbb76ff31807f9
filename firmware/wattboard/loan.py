"""Modules on loan: what only the start or a rare moment needs gives its place in the heap back afterwards."""

import gc
import sys

KEEPS = sys.implementation.name != "micropython"  # only a board is short of memory
MODULES = 72  # more are never there at once

if not KEEPS:  # the table of modules grows now, while there is room in one piece, not when one more comes on loan
    for number in range(len(sys.modules), MODULES):
        sys.modules[number] = None  # type: ignore[index,assignment]
    for number in range(MODULES):
        sys.modules.pop(number, None)  # type: ignore[call-overload]


class Loan:
    """`with Loan(name) as module`: imports it, and forgets it and what else it brought at the end."""

    def __init__(self, name):
        self._name = name
        self._before = ()  # type: tuple

    def __enter__(self):
        self._before = tuple(sys.modules)
        gc.collect()  # compiling wants room in one piece
        __import__(self._name)
        return sys.modules[self._name]

    def __exit__(self, *exception):
        if KEEPS:
            return
        for name in [name for name in sys.modules if name not in self._before]:
            module = sys.modules.pop(name)
            package, _, last = name.rpartition(".")
            if getattr(sys.modules.get(package), last, None) is module:
                delattr(sys.modules[package], last)
        gc.collect()
