"""References to plug-ins in a project's files, resolved without importing them.

A reference is `package.module:attribute` ("Entry points specification", packaging.python.org) or
the name of an entry point of an installed distribution.
"""

import re
import sys
from functools import cache
from importlib.metadata import distributions
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import AfterValidator

_REFERENCE = re.compile(r"^[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*$")
_PREFIX = "sashiko."


def plugin_name(group: str, *, known: tuple[str, ...] = ()) -> "AfterValidator":
    """Returns a validator that checks a plug-in's reference without importing it.

    `group` is a group of `core.plugins`; `known` are further allowed names.
    """
    from pydantic import AfterValidator  # takes as long as the rest of a list of commands

    def check(name: str) -> str:
        if name not in known:
            reference(group, name, known=known)
        return name

    return AfterValidator(check)


def names(group: str) -> list[str]:
    """Returns the names of a group's entry points, including the built-in ones."""
    return sorted(_entry_points(group))


def is_built_in(group: str, name: str) -> bool:
    """Returns whether a name is a built-in plug-in."""
    return _entry_points(group).get(name, "").startswith(_PREFIX)


def reference(group: str, name: str, *, known: tuple[str, ...] = ()) -> str:
    """Resolves a name to `package.module:attribute`.

    Raises:
        ValueError: if the name is unknown, with the allowed names.
    """
    if _REFERENCE.match(name):
        return name
    available = _entry_points(group)
    if name not in available:
        allowed = "".join(f"{other}, " for other in [*known, *sorted(available)])
        raise ValueError(
            f"there is no `{name}` among {_PREFIX}{group}; allowed: {allowed}or an object of the "
            "project, as package.module:attribute"
        )
    return available[name]


def _entry_points(group: str) -> dict[str, str]:
    return _read_entry_points(_PREFIX + group, tuple(sys.path))


@cache  # as settings name many plug-ins
def _read_entry_points(group: str, path: tuple[str, ...]) -> dict[str, str]:
    points: dict[str, str] = {}
    for distribution in distributions(path=[*path]):
        for point in distribution.entry_points.select(group=group):
            points.setdefault(point.name, point.value)  # as in imports, the first one counts
    return points
