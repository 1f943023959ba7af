"""YAML files to frozen pydantic models, with errors that name file, key and allowed values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from sashiko.core.files import read_json
from sashiko.core.problems import Place, listed, problems
from sashiko.core.yaml_text import YamlError, parse_yaml
from sashiko.errors import InputError

M = TypeVar("M", bound=BaseModel)
_MAX_BYTES = 1 << 20  # a hundred times the largest file here


class Frozen(BaseModel):
    """The base of every settings record: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class Layer:
    """Part of a record, and where it came from."""

    source: str
    value: Mapping[str, Any]


def read_yaml(path: Path) -> dict[str, Any]:
    """Reads a YAML mapping.

    Raises:
        InputError: if the file is missing, is not UTF-8 YAML that `parse_yaml` takes, or is not a
            mapping.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise InputError(
                f"{path} is larger than {_MAX_BYTES:,} bytes, which none of these files has to be"
            )
        value = parse_yaml(content.decode("utf-8-sig"))
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not readable as UTF-8 text: {error}") from error
    except YamlError as error:
        raise InputError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(value, dict):
        found = type(value).__name__
        raise InputError(f"{path}: expected a mapping of keys at the top, got {found}")
    return value


def read_record(model: type[M], path: Path) -> M:
    """Reads a JSON file as a record.

    Raises:
        InputError: if it is missing or holds something else.
    """
    return validate(model, read_json(path), source=path.name)


def deep_merge(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Returns `base` with `change` laid over it; mappings merge, everything else replaces."""
    merged = dict(base)
    for key, value in change.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = deep_merge(old, value) if both else value  # type: ignore[arg-type]  # `both`
    return merged


def parse_override(override: str) -> dict[str, Any]:
    """Turns `a.b=1` into a nested mapping; the value is read as YAML.

    Raises:
        InputError: if there is no `=`, an empty key, or a value that is not YAML.
    """
    dotted, equals, text = override.partition("=")
    keys = dotted.split(".")
    if not equals or not all(keys):
        raise InputError(f"--set {override}: expected key.path=value, such as train.epochs=1")
    try:
        value = parse_yaml(text)
    except YamlError as error:
        raise InputError(f"--set {override}: the value is not valid YAML: {error}") from error
    for key in reversed(keys):
        value = {key: value}
    return dict(value)


def validate(model: type[M], value: Any, *, source: str) -> M:
    """Validates `value` as a `model`.

    Args:
        model: the record to build.
        value: what was read, plain YAML or JSON values.
        source: where it came from, named in the error.

    Raises:
        InputError: one line per problem with file, key, problem, and the allowed keys or values.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        lines = [f"{source}: {item.text}" for item in problems(model, error)]
        raise InputError(listed(lines)) from error


def validate_layers(model: type[M], layers: Sequence[Layer]) -> M:
    """Validates mappings laid over each other as a `model`.

    Args:
        model: the record to build.
        layers: the mappings; a later one is laid over an earlier one.

    Raises:
        InputError: as `validate` does, each problem with the source of the value that is wrong.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        merged = deep_merge(merged, layer.value)
    try:
        return model.model_validate(merged)
    except ValidationError as error:
        lines = [f"{_source(layers, item.place)}: {item.text}" for item in problems(model, error)]
        raise InputError(listed(lines)) from error


def _source(layers: Sequence[Layer], place: Place) -> str:
    """Names the topmost layer that holds what stands at `place`; all of them if none does."""
    holding = [layer for layer in layers if _holds(layer.value, place)]
    return holding[-1].source if holding else " + ".join(layer.source for layer in layers)


def _holds(value: Any, place: Place) -> bool:
    try:
        for part in place:
            value = value[part]
    except (LookupError, TypeError):
        return False
    return True
