"""What the commands exit with, so that a script can tell their ends apart."""

from typing import Final

FAILED: Final = 1  # bad input, or a fault
BLOCKED: Final = 3  # by a gate
FOUND: Final = 4  # what was looked for: drift, a failed check, a cost that rose
INTERRUPTED: Final = 130
