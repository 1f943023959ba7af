"""YAML files to frozen pydantic models, with errors that name file, key and allowed values."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from sashiko.errors import InputError

M = TypeVar("M", bound=BaseModel)


class Frozen(BaseModel):
    """The base of every settings record: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def read_yaml(path: Path) -> dict[str, Any]:
    """Reads a YAML mapping.

    Raises:
        InputError: if the file is missing, is not UTF-8 YAML, or is not a mapping.
    """
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not readable as UTF-8 text: {error}") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(value, dict):
        found = type(value).__name__
        raise InputError(f"{path}: expected a mapping of keys at the top, got {found}")
    return value


def deep_merge(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Returns `base` with `change` laid over it; mappings merge, everything else replaces."""
    merged = dict(base)
    for key, value in change.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = deep_merge(old, value) if both else value  # type: ignore[arg-type]
    return merged


def parse_overrides(overrides: Sequence[str]) -> dict[str, Any]:
    """Turns `a.b=1` strings into a nested mapping; each value is read as YAML.

    Raises:
        InputError: if an override has no `=`, an empty key, or a value that is not YAML.
    """
    result: dict[str, Any] = {}
    for override in overrides:
        dotted, equals, text = override.partition("=")
        keys = dotted.split(".")
        if not equals or not all(keys):
            raise InputError(f"--set {override}: expected key.path=value, such as train.epochs=1")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise InputError(f"--set {override}: the value is not valid YAML") from error
        for key in reversed(keys):
            value = {key: value}
        result = deep_merge(result, value)
    return result


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
        problems = [_problem(model, item) for item in error.errors()]
        raise InputError("\n".join(f"{source}: {problem}" for problem in problems)) from error


def _problem(model: type[BaseModel], item: Any) -> str:
    key = ".".join(str(part) for part in item["loc"]) or "(top)"
    if item["type"] == "extra_forbidden":
        owner = _model_at(model, item["loc"][:-1])
        allowed = f"; allowed: {', '.join(sorted(owner.model_fields))}" if owner else ""
        return f"unknown key `{key}`{allowed}"
    if item["type"] == "missing":
        return f"key `{key}` is missing"
    message = str(item["msg"]).removeprefix("Value error, ")
    return f"key `{key}`: {message} (got {item['input']!r})"


def _model_at(model: type[BaseModel], loc: Sequence[Any]) -> type[BaseModel] | None:
    """Follows field names from `model` to the nested model that holds the offending key."""
    current: type[BaseModel] | None = model
    for part in loc:
        if isinstance(part, int):
            continue
        if current is None:
            return None
        field = current.model_fields.get(str(part))
        current = _nested(field.annotation if field else None)
    return current


def _nested(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    candidates = [_nested(argument) for argument in getattr(annotation, "__args__", ())]
    found = [candidate for candidate in candidates if candidate]
    return found[0] if len(found) == 1 else None
