"""How an object of the project's own is named in its files; nothing is imported here.

As entry points are spelled, `package.module:attribute` ("Entry points specification",
packaging.python.org), or by the name of an entry point of an installed distribution.
"""

import re
from importlib.metadata import entry_points

from pydantic import AfterValidator

_REFERENCE = re.compile(r"^[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*$")
_PREFIX = "sashiko."


def plugin_name(group: str, *, known: tuple[str, ...] = ()) -> AfterValidator:
    """Checks that a key names an object of a group, as far as that is seen without importing it.

    Args:
        group: `generators`, `metrics` or `sources`.
        known: names that the key takes beside them.
    """

    def check(name: str) -> str:
        if name not in known:
            reference(group, name, known=known)
        return name

    return AfterValidator(check)


def names(group: str) -> list[str]:
    """Names the entry points of a group; the engine's own are among them."""
    return sorted(_named(group))


def is_built_in(group: str, name: str) -> bool:
    """Says whether a name is of the engine's own objects."""
    return _named(group).get(name, "").startswith(_PREFIX)


def reference(group: str, name: str, *, known: tuple[str, ...] = ()) -> str:
    """Returns what a name stands for, as `package.module:attribute`.

    Raises:
        ValueError: if it stands for nothing, with the names that there are.
    """
    if _REFERENCE.match(name):
        return name
    found = _named(group)
    if name not in found:
        others = "".join(f"{other}, " for other in [*known, *sorted(found)])
        raise ValueError(
            f"there is no `{name}` among {_PREFIX}{group}; allowed: {others}or an object of the "
            "project's as package.module:attribute"
        )
    return found[name]


def _named(group: str) -> dict[str, str]:
    return {point.name: point.value for point in entry_points(group=_PREFIX + group)}
