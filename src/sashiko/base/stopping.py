"""Graceful stop on SIGTERM (a stopped job, a reclaimed spot instance) and Ctrl-C."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stop:
    """A request to stop; `signal` is the number of the received signal, or None."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def exit_if_requested(self) -> None:
        """Exits with the shell's status for the received signal, if any."""
        if self.signal is not None:
            sys.exit(128 + self.signal)


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Records SIGTERM and SIGINT instead of exiting, within the context."""
    stop = Stop()

    def record(number: int, _: FrameType | None) -> None:
        stop.signal = number

    previous = {number: signal.signal(number, record) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
