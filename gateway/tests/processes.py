"""The processes that a test has started."""

import contextlib

import psutil


def children_running(module):
    """Return our children that run a module, without those that have just ended."""
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):  # one that was just killed has no command line
            if module in child.cmdline():
                found.append(child)
    return found
