"""What those networks share that know one identity as one meter: which stream that is, and what counts as measured."""

from collections.abc import Sequence

from wattness.errors import ConfigError, RefusedError
from wattness.model import Report

from .base import Memory

EXPORT, IMPORT = "energy_export", "energy_import"


def check_length(interval_s: int, needed_s: int, title: str) -> None:
    """Raise ConfigError unless intervals are as long as the network's own."""
    if interval_s != needed_s:
        raise ConfigError(
            f"$.interval.length_s: is {interval_s}, and {title} counts in steps of {needed_s} s; "
            f"set it to {needed_s}, or leave the network out"
        )


def own(memory: Memory, identity: str) -> Memory:
    """Return what is remembered of this identity: after a new key the network knows a new meter, which begins at 0."""
    return memory if memory.get("identity", identity) == identity else {}


def only_stream(reports: Sequence[Report], memory: Memory, devices: Sequence[str]) -> str:
    """Return the stream's name for `memory`; raises RefusedError when the identity already stands for another one."""
    stream = f"{reports[0].board_key.hex()}/{reports[0].device}"
    if memory.get("stream", stream) != stream and list(devices) != [reports[0].device]:
        raise RefusedError(
            "second_stream",
            f"to this network the key is one meter, and that is {memory['stream']}; name one stream in `devices`, "
            "and give another one a network and a key of its own",
        )
    return stream


def measured(reports: Sequence[Report], length_ms: int) -> list[Report]:
    """Return those intervals in which something was measured; raises RefusedError when there are none."""
    for report in reports:
        if report.b - report.a != length_ms:
            raise RefusedError("interval_length", f"{(report.b - report.a) // 1000} s instead of {length_ms // 1000} s")
    return covered(claimable(reports))


def claimable(reports: Sequence[Report]) -> list[Report]:
    """Return the intervals that may be told of; raises RefusedError when there are none."""
    found = [report for report in reports if report.verdict != "quarantined"]
    if not found:
        raise RefusedError("quarantined", ", ".join(sorted({reason for one in reports for reason in one.reasons})))
    return found


def covered(reports: Sequence[Report]) -> list[Report]:
    """Return those intervals in which something was measured; raises RefusedError when there are none."""
    found = [report for report in reports if report.figures["covered_ms"] > 0]
    if not found:
        raise RefusedError("not_covered", "nothing was measured in that time, and what is missing is not zero")
    return found


def energy_mwh(report: Report, name: str) -> int:
    """Return what was measured; raises RefusedError when the stream does not measure it."""
    value = report.figures["energy"].get(name)
    if value is None:
        raise RefusedError("no_energy", f"the stream has no {name}")
    return int(value)


def power_mw(report: Report, name: str) -> int:
    """Return the mean power in the direction that `name` counts, 0 when it flowed the other way."""
    power = report.figures.get("power")
    if power is None:  # the counters' own
        return energy_mwh(report, name) * 3_600_000 // int(report.figures["covered_ms"])
    generates = (name == EXPORT) == (report.role == "pv")
    return max(0, int(power["mean"]) if generates else -int(power["mean"]))
