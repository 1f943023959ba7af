"""SIGTERM (a job is stopped, a spot instance taken back) and Ctrl-C: finish what may not be cut."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stop:
    """Whether to stop; `signal` is the number of the signal that asked for it, or None."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def exit_if_asked(self) -> None:
        """Exits with the status that the shell gives to a process that a signal ended."""
        if self.signal is not None:
            sys.exit(128 + self.signal)


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Notes SIGTERM and SIGINT instead of dying of them, for as long as the context lasts."""
    stop = Stop()

    def note(number: int, _: FrameType | None) -> None:
        stop.signal = number

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
