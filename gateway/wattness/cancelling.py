"""Cancellations that get lost on their way."""

import asyncio


def heed_cancellation() -> None:
    """Raise the CancelledError that this task was sent and that something below has swallowed.

    Python 3.11's wait_for, inside aiomqtt and pymodbus, loses a cancellation that comes with its result; an error
    while a connection or a task group is being left takes its place. A loop that goes on whatever happens asks here
    in every round.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
