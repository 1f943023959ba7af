"""One clear message when the disk is full, read-only or not ours."""

from collections.abc import Iterator
from contextlib import contextmanager

from sashiko.errors import InputError, disk_reason


@contextmanager
def disk_faults(doing: str) -> Iterator[None]:
    """Turns an OSError into an InputError that says what was being done and what helps.

    Raises:
        InputError: if an OSError is raised inside.
    """
    try:
        yield
    except OSError as error:
        place = f" {error.filename}" if error.filename else ""
        raise InputError(f"{doing}:{place} {disk_reason(error)}") from error
