"""Deprecation of public names: what a user sees of it."""

import re
import sys
import warnings

# How each message begins: CONTRIBUTING.md.
_OURS = r"deprecated since \d+\.\d+; use "
_PRINTED = re.compile(rf"^.+:\d+: DeprecationWarning: {_OURS}.*\n(?: .*\n)?", re.MULTILINE)


def show_deprecations() -> None:
    """Shows each use of a deprecated name of the engine on stderr, once, with file and line.

    Python shows a DeprecationWarning in `__main__` alone. `-W` and PYTHONWARNINGS take precedence.
    """
    if not sys.warnoptions:
        warnings.filterwarnings("default", _OURS, DeprecationWarning)


def printed_deprecations(stderr: str) -> str:
    """Returns the lines about deprecated names from what a subprocess wrote on stderr."""
    return "".join(_PRINTED.findall(stderr))
