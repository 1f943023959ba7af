"""Plug-ins of a project: their references, resolved without an import, and their import on use.

A reference is `package.module:attribute` ("Entry points specification", packaging.python.org) or
the name of an entry point of an installed distribution.
"""

import re
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, distributions
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sashiko.base.files import canonical_json, sha256_bytes, sha256_file
from sashiko.errors import InputError

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


# By name, so that using one group does not import the code of the others.
PROTOCOLS: Mapping[str, str] = MappingProxyType(
    {
        "gates": "sashiko.evaluation.gates.own_gates:Gate",
        "generators": "sashiko.data.generators.base:Generator",
        "metrics": "sashiko.evaluation.metrics.own_metrics:Metric",
        "sources": "sashiko.data.downloads:Source",
        "targets": "sashiko.settings.targets:Target",
    }
)


def load(group: str, name: str, *, key: str) -> Any:
    """Imports a plug-in, the project's or a built-in one.

    Args:
        group: a key of `_PROTOCOLS`.
        name: an entry point in the group `sashiko.<group>`, or `package.module:attribute`.
        key: the key in the settings file, for errors.

    Returns:
        The object; a class is instantiated without arguments.

    Raises:
        InputError: with key, reference and fix, if it cannot be imported or lacks a member of the
            group's protocol.
    """
    try:
        target = _import_object(reference(group, name))
    except ValueError as error:
        raise InputError(f"key `{key}`: {error}") from error
    except ImportError as error:
        raise InputError(
            f"key `{key}`: {name} cannot be imported ({error}): name a module below src/ or of a "
            "package in requirements/"
        ) from error
    except AttributeError as error:
        raise InputError(
            f"key `{key}`: {name}: {error}: name an attribute of the module after the colon"
        ) from error
    plugin = target() if isinstance(target, type) else target
    protocol = vars(_import_object(PROTOCOLS[group]))
    members = sorted({*protocol, *protocol.get("__annotations__", {})})
    public = [name for name in members if name == "__call__" or not name.startswith("_")]
    missing = [name for name in public if not hasattr(plugin, name)]
    if missing:
        raise InputError(
            f"key `{key}`: {name} has no {' and no '.join(missing)}, which {PROTOCOLS[group]} "
            "requires: add it"
        )
    return plugin


def code_digest(group: str, name: str) -> str:
    """Digests a plug-in's code, on which its output depends.

    For a project's plug-in that is its whole top-level package; for a built-in one the package of
    its module. `group` and `name`: see `load`.
    """
    module = reference(group, name).partition(":")[0]
    top = module.partition(".")[0]
    engine = top == __name__.partition(".")[0]
    spec = find_spec(module.rpartition(".")[0] if engine else top)
    if spec is None or spec.origin is None:  # a namespace has no file of its own
        raise InputError(f"{name}: {top} has no __init__.py: add it")
    file = Path(spec.origin)
    return folder_digest(file.parent if spec.submodule_search_locations else file)


def folder_digest(folder: Path) -> str:
    """Digests the files of a package and its subpackages, or a single module."""
    files = [folder] if folder.is_file() else sorted(folder.rglob("*"))
    digests = {
        file.relative_to(folder.parent).as_posix(): sha256_file(file)
        for file in files
        if file.is_file() and file.parent.name != "__pycache__"
    }
    return sha256_bytes(canonical_json(digests))


def _import_object(path: str) -> Any:
    return EntryPoint(name="", value=path, group="").load()
