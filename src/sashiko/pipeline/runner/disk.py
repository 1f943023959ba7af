"""One clear message when the disk is full, read-only or not writable by this user."""

from collections.abc import Iterator
from contextlib import contextmanager

from sashiko.errors import InputError, disk_reason


@contextmanager
def translate_disk_errors(action: str) -> Iterator[None]:
    """Turns an OSError into an InputError that names the failed action and the fix.

    Raises:
        InputError: if an OSError is raised inside.
    """
    try:
        yield
    except OSError as error:
        path = f" {error.filename}" if error.filename else ""
        raise InputError(f"{action}:{path} {disk_reason(error)}") from error
