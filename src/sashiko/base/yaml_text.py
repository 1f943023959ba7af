"""Strict and bounded parsing of untrusted YAML.

PyYAML alone accepts duplicate keys, expands aliases without limit, and raises Python's errors,
without a line number, for some invalid values.
"""

import math
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.constructor import ConstructorError

from sashiko.base.problems import shorten

# The largest file here has 500 values at a depth of 8.
_MAX_VALUES = 50_000
_MAX_DEPTH = 40
_MAX_INTEGER = 1 << 63
# Errors that PyYAML's constructors leak for a value that does not fit its apparent type.
_BAD_VALUE = (AttributeError, LookupError, OverflowError, ValueError)


class YamlError(ValueError):
    """Invalid or unsupported YAML; the message names line and column."""


def parse_yaml(text: str) -> Any:
    """Parses one YAML document of safe types.

    Returns:
        Plain values: keys are unique, numbers are finite and fit 64 bits, texts contain no NUL, and
        no value contains itself.

    Raises:
        YamlError: for anything else, for more than 40 levels of nesting, and for more than 50,000
            values with aliases expanded.
    """
    try:
        return _Loader(text).get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        text = ": ".join(part for part in (error.context, error.problem) if part)
        raise YamlError(place + text) from error
    except yaml.YAMLError as error:
        raise YamlError(" ".join(str(error).split())) from error
    except UnicodeEncodeError as error:  # from libyaml, which reads UTF-8
        raise YamlError(f"it has half of a surrogate pair: {error}") from error


class _Loader(Composer, yaml.CSafeLoader):
    """PyYAML's safe loader over libyaml, with limits, and with errors that name a position."""

    def __init__(self, text: str) -> None:
        yaml.CSafeLoader.__init__(self, text)
        Composer.__init__(self)
        self._depth = 0
        self._values = 0
        self._sizes: dict[str, int] = {}  # complete anchor -> number of values below it

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()
        previous, size = self._values, 1
        if isinstance(event, yaml.AliasEvent) and event.anchor in self.anchors:
            if event.anchor not in self._sizes:
                raise _error_at(f"`*{event.anchor}` contains itself", event)
            size = self._sizes[event.anchor]
        self._values += size
        if self._values > _MAX_VALUES:
            raise _error_at(f"more than {_MAX_VALUES:,} values", event)
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise _error_at(f"nested deeper than {_MAX_DEPTH} levels", event)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if event.anchor is not None and not isinstance(event, yaml.AliasEvent):
            self._sizes[event.anchor] = self._values - previous
        return node

    def compose_mapping_node(self, anchor: Any) -> Any:
        node = super().compose_mapping_node(anchor)
        keys = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in keys:
                    raise _error_at(f"duplicate key `{shorten(key.value)}`", key)
                keys.add((key.tag, key.value))
        return node

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep=deep)
        except _BAD_VALUE as error:
            kind = node.tag.rpartition(":")[2]
            raise _error_at(f"`{shorten(node.value)}` is not a valid {kind}", node) from error
        if isinstance(value, str):
            if "\0" in value:
                raise _error_at("a text with a NUL", node)
        elif isinstance(value, float) and not math.isfinite(value):
            raise _error_at(f"`{shorten(node.value)}` is not a finite number", node)
        elif isinstance(value, int) and abs(value) >= _MAX_INTEGER:
            raise _error_at("a number beyond 64 bits", node)
        return value


def _error_at(problem: str, node: Any) -> ConstructorError:
    return ConstructorError(None, None, problem, node.start_mark)
