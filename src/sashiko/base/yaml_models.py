"""YAML files as frozen pydantic models, with errors that name file, key and allowed values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from sashiko.base.files import read_json, write_json
from sashiko.base.problems import Place, join_problems, problems
from sashiko.base.yaml_text import YamlError, parse_yaml
from sashiko.errors import InputError

M = TypeVar("M", bound=BaseModel)
_MAX_BYTES = 1 << 20  # a hundred times the largest file here


class Frozen(BaseModel):
    """The base of every settings record: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Excerpt(BaseModel):
    """What is read of a larger record, which others write: immutable; other keys are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


@dataclass(frozen=True)
class Layer:
    """A partial record and its source."""

    source: str
    value: Mapping[str, Any]


def read_yaml(path: Path) -> dict[str, Any]:
    """Reads a YAML mapping.

    Raises:
        InputError: if the file is missing, too large, not UTF-8, not YAML or not a mapping.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise InputError(
                f"{path} is larger than {_MAX_BYTES:,} bytes, the limit for settings files"
            )
        value = parse_yaml(content.decode("utf-8-sig"))
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not readable as UTF-8 text: {error}") from error
    except YamlError as error:
        raise InputError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(value, dict):
        kind = type(value).__name__
        raise InputError(f"{path}: expected a mapping of keys at the top, got {kind}")
    return value


def read_record(model: type[M], path: Path) -> M:
    """Reads a JSON file as a record.

    Raises:
        InputError: if it is missing or invalid.
    """
    return validate(model, read_json(path), source=path.name)


class StepRecord(Frozen):
    """What a step passes on: a JSON file that a later step reads."""

    FILE: ClassVar[str]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Reads the file of a folder.

        Raises:
            InputError: if it is missing or invalid.
        """
        return read_record(cls, folder / cls.FILE)

    def write(self, folder: Path) -> None:
        """Writes the file into a folder."""
        write_json(folder / self.FILE, self.model_dump(mode="json"))


def deep_merge(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Merges `change` over `base`: mappings merge, other values are replaced."""
    merged = dict(base)
    for key, value in change.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = deep_merge(old, value) if both else value  # type: ignore[arg-type]  # `both` are mappings
    return merged


def parse_override(override: str) -> dict[str, Any]:
    """Parses `a.b=1` into a nested mapping; the value is YAML.

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

    Raises:
        InputError: one line per problem with file, key, problem, and the allowed keys or values.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        lines = [f"{source}: {item.text}" for item in problems(model, error)]
        raise InputError(join_problems(lines)) from error


def validate_layers(model: type[M], layers: Sequence[Layer]) -> M:
    """Merges mappings, the later ones over the earlier ones, and validates the result.

    Raises:
        InputError: as `validate`; each problem names the source of the wrong value.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        merged = deep_merge(merged, layer.value)
    try:
        return model.model_validate(merged)
    except ValidationError as error:
        lines = []
        for item in problems(model, error):
            sources = [layer.source for layer in layers if _contains(layer.value, item.place)]
            source = sources[-1] if sources else " + ".join(layer.source for layer in layers)
            lines.append(f"{source}: {item.text}")
        raise InputError(join_problems(lines)) from error


def _contains(value: Any, place: Place) -> bool:
    try:
        for part in place:
            value = value[part]
    except (LookupError, TypeError):
        return False
    return True


def set_in_section(text: str, section: str, values: Mapping[str, str]) -> str:
    """Returns a YAML text with keys of one top-level section set.

    The parser says where the values stand; only those characters are replaced. Keys that the
    section lacks are added to it, and a missing section is added at the end.

    Args:
        text: the YAML.
        section: the top-level key.
        values: key -> the value as YAML, such as `true`.

    Raises:
        YamlError: if the text is not valid YAML, or the section is written in a way that cannot be
            changed without a change elsewhere: an anchor, an alias, a merge key, no mapping.
    """
    old = parse_yaml(text)
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        raise YamlError("there is no mapping at the top")
    newline = "\r\n" if "\r\n" in text else "\n"
    node = next((value for key, value in root.value if key.value == section), None)
    if isinstance(node, yaml.MappingNode):
        new = text
        present = {key.value: value for key, value in node.value}
        missing = [f"{key}: {value}" for key, value in values.items() if key not in present]
        edits = []  # start, end, and what replaces the characters between
        for key in values.keys() & present.keys():
            start, end = present[key].start_mark.index, present[key].end_mark.index
            # A key without a value ends at its colon.
            edits.append((start, end, values[key] if end > start else f" {values[key]}"))
        if missing and node.flow_style:
            last = node.value[-1][1].end_mark.index if node.value else node.end_mark.index - 1
            edits.append((last, last, (", " if node.value else "") + ", ".join(missing)))
        elif missing:
            first = node.value[0][0].start_mark
            indent = newline + " " * first.column
            edits.append((first.index, first.index, indent.join([*missing, ""])))
        for start, end, value in sorted(edits, reverse=True):
            new = new[:start] + value + new[end:]
    else:
        pairs = ", ".join(f"{key}: {value}" for key, value in values.items())
        gap = "" if not text or text.endswith("\n") else newline
        new = f"{text}{gap}{section}: {{{pairs}}}{newline}"
    try:
        result = parse_yaml(new)
    except YamlError:
        result = None
    if result != deep_merge(old, {section: {k: parse_yaml(v) for k, v in values.items()}}):
        raise YamlError(
            f"`{section}` cannot be changed alone: it is not a plain mapping (an anchor or an "
            "alias?)"
        )
    return new
