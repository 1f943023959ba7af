"""Objects that a project brings of its own, imported where they are used."""

from collections.abc import Mapping
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sashiko.core.files import canonical_json, sha256_bytes, sha256_file
from sashiko.core.plugin_names import reference
from sashiko.errors import InputError

# By name, so that what uses one group does not import the others' code.
_PROTOCOLS: Mapping[str, str] = MappingProxyType(
    {
        "generators": "sashiko.data.generators.base:Generator",
        "metrics": "sashiko.evaluation.metrics.own:Metric",
        "sources": "sashiko.data.downloads:Source",
    }
)


def load(group: str, name: str, *, key: str) -> Any:
    """Imports an object of the project's, or of the engine's own.

    Args:
        group: `generators`, `metrics` or `sources`.
        name: of an entry point in the group `sashiko.<group>`, or `package.module:attribute`.
        key: of the file that names it; for errors.

    Returns:
        The object; if the name is a class's, one made without arguments.

    Raises:
        InputError: naming key, reference and fix, if it cannot be imported or lacks something that
            the group's protocol asks for.
    """
    try:
        found = _imported(reference(group, name))
    except ValueError as error:
        raise InputError(f"key `{key}`: {error}") from error
    except ImportError as error:
        raise InputError(
            f"key `{key}`: {name} cannot be imported ({error}): name a module below src/, or of a "
            "package that requirements/ has"
        ) from error
    except AttributeError as error:
        raise InputError(
            f"key `{key}`: {name}: {error}: name what the module defines behind the colon"
        ) from error
    thing = found() if isinstance(found, type) else found
    missing = [item for item in _members(_imported(_PROTOCOLS[group])) if not hasattr(thing, item)]
    if missing:
        raise InputError(
            f"key `{key}`: {name} has no {' and no '.join(missing)}, which {_PROTOCOLS[group]} "
            "asks for: add it"
        )
    return thing


def code_digest(group: str, name: str) -> str:
    """Digests the code that an object comes from, on which what it makes depends.

    Of a project's own object that is its whole top-level package; of the engine's the package that
    its module lies in.

    Args:
        group: see `load`.
        name: of an object that `load` takes.
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
    """Digests the files of a package and of the packages in it, or a module that stands alone."""
    files = [folder] if folder.is_file() else sorted(folder.rglob("*"))
    return sha256_bytes(
        canonical_json(
            {
                file.relative_to(folder.parent).as_posix(): sha256_file(file)
                for file in files
                if file.is_file() and file.parent.name != "__pycache__"
            }
        )
    )


def _imported(path: str) -> Any:
    return EntryPoint(name="", value=path, group="").load()


def _members(protocol: type) -> list[str]:
    """Names what a protocol itself asks for."""
    named = {*vars(protocol), *vars(protocol).get("__annotations__", {})}
    called = ["__call__"] if "__call__" in named else []
    return [*called, *sorted(name for name in named if not name.startswith("_"))]
