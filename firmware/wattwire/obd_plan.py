"""Which requests bring the wanted signals of a car: grouped by ECU, several PIDs of mode 01 in one request."""

from collections import namedtuple

from . import obd

# `names` are the signals that it is asked for; its answer may hold others, whose source is another request.
Ask = namedtuple("Ask", ["header", "answer", "request", "commands", "slow", "names"])


def plan(vehicle: obd.Vehicle, names: tuple, refused: set) -> list:
    """Return the Asks for the signals in `names`, ECU by ECU; `refused` are (header, request) of no use in this car.

    Of several commands with a signal the first counts that is not refused.
    """
    open_names = list(names)
    chosen = []
    sources = {}
    for command in vehicle.commands:
        if (command.header, command.request) in refused:
            continue
        own = [signal.name for signal in command.signals if signal.name in open_names]
        if own:
            chosen.append(command)
            sources[(command.header, command.request)] = own
            open_names = [name for name in open_names if name not in own]
    headers = []
    for command in chosen:
        if command.header not in headers:
            headers.append(command.header)
    asks = []
    for header in headers:
        for slow in (False, True):
            asks.extend(_asks([each for each in chosen if each.header == header and each.slow == slow], sources))
    return asks


def _asks(commands: list, sources: dict) -> list:
    """Return the Asks for commands to one ECU, all of them slow or none."""
    shared = [each for each in commands if each.request.startswith("01") and each.size is not None]
    asks = []
    for at in range(0, len(shared), obd.PIDS_MAX):
        some = shared[at : at + obd.PIDS_MAX]
        request = "01" + "".join([each.request[2:] for each in some])
        names = [name for each in some for name in sources[(each.header, each.request)]]
        asks.append(Ask(some[0].header, some[0].answer, request, some, some[0].slow, names))
    for each in commands:
        if each not in shared:
            names = sources[(each.header, each.request)]
            asks.append(Ask(each.header, each.answer, each.request, [each], each.slow, names))
    return asks


def count_digit(frames: int) -> str:
    """Return what to append to a request that was answered in so many frames, so that the adapter need not wait."""
    return "%X" % frames if 0 < frames < 16 else ""
