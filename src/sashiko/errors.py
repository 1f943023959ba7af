"""The error type for messages to users."""

import errno
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

__all__ = ["InputError"]


FAILED: Final = 1  # bad input or an error
BLOCKED: Final = 3  # by a gate
CHECK_FAILED: Final = 4  # the command detected a problem: drift, a failed check, a higher cost
INTERRUPTED: Final = 130
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FIXES: Mapping[int | None, str] = MappingProxyType(
    {
        errno.EROFS: "; mount it for writing, or name a folder on another disk",
        errno.EACCES: "; make it writable, or name your own folder",
        errno.EPERM: "; make it writable, or name your own folder",
    }
)


class InputError(Exception):
    """An error outside the code: in a file, a key, a row, or the machine.

    The message names the file, the key or column, and what to do. Entry points print it as one
    line and exit with 1; any other exception is an internal fault and keeps its traceback.
    """


def is_full(error: OSError) -> bool:
    """Says whether a disk, a quota or a size limit is exhausted."""
    return error.errno in _FULL


def disk_reason(error: OSError) -> str:
    """Returns the system's message with a fix: free space, or write permission."""
    fix = "; free some space and run again" if is_full(error) else _FIXES.get(error.errno, "")
    return f"{error.strerror or error}{fix}"
