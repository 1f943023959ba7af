"""Plug-ins of a project, imported on use."""

from collections.abc import Mapping
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sashiko.base.files import canonical_json, sha256_bytes, sha256_file
from sashiko.base.plugin_names import reference
from sashiko.errors import InputError

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
