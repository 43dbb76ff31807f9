"""Modules on loan: what only the start or a rare moment needs gives its place in the heap back afterwards."""

import gc
import sys

KEEPS = sys.implementation.name != "micropython"  # only a board is short of memory


class Loan:
    """`with Loan(name) as module`: imports it, and forgets it and what else it brought at the end."""

    def __init__(self, name):
        self._name = name
        self._before = {}

    def __enter__(self):
        self._before = dict(sys.modules)
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
