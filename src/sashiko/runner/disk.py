"""One clear message when the disk is full, read-only or not ours."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from sashiko.errors import InputError


@contextmanager
def disk_faults(doing: str) -> Iterator[None]:
    """Turns an OSError into an InputError that says what was being done and what helps.

    Raises:
        InputError: if an OSError is raised inside.
    """
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        fix = "; free some space and run again" if full else ""
        place = f" ({error.filename})" if error.filename else ""
        raise InputError(f"{doing}: {error.strerror or error}{place}{fix}") from error
