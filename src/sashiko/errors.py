"""The one error type that a person is meant to read."""

import errno
from collections.abc import Mapping
from types import MappingProxyType

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FIXES: Mapping[int | None, str] = MappingProxyType(
    {
        errno.EROFS: "; mount it for writing, or name a folder on another disk",
        errno.EACCES: "; make it writable, or name a folder of your own",
    }
)


class InputError(Exception):
    """Something outside the code is wrong: a file, a key, a row, a machine.

    The message names the file, the key or column, and what to do. Entry points print it as one
    line and exit with 1; any other exception is an internal fault and keeps its traceback.
    """


def is_full(error: OSError) -> bool:
    """Says whether a disk, a quota or a size limit left no room."""
    return error.errno in _FULL


def disk_reason(error: OSError) -> str:
    """Says what the system says of a file, and what helps: room, or the right to write."""
    fix = "; free some space and run again" if is_full(error) else _FIXES.get(error.errno, "")
    return f"{error.strerror or error}{fix}"
