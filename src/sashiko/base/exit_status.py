"""Exit statuses of the commands, for scripts."""

from typing import Final

FAILED: Final = 1  # bad input or an error
BLOCKED: Final = 3  # by a gate
CHECK_FAILED: Final = 4  # the command detected a problem: drift, a failed check, a higher cost
INTERRUPTED: Final = 130
