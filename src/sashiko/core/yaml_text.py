"""YAML as text to plain values, for files that somebody else may have written.

PyYAML alone lets a key stand twice, follows aliases that multiply without end, and leaves many a
bad value to Python, whose error names no line.
"""

import math
from typing import Any

import yaml
from yaml.constructor import ConstructorError

from sashiko.core.problems import shortened

# The largest file here has 500 values at a depth of 8.
_MAX_VALUES = 50_000
_MAX_DEPTH = 40
_MAX_INTEGER = 1 << 63
# What a constructor of PyYAML lets through where a value is not of the type that it looks like.
_BAD_VALUE = (AttributeError, LookupError, OverflowError, ValueError)


class YamlError(ValueError):
    """A text that is not YAML, or none that is read here; the message names line and column."""


def parse_yaml(text: str) -> Any:
    """Reads one YAML document with safe types alone.

    Returns:
        Plain values: every key stands once, numbers are finite and fit 64 bits, no text holds a
        NUL or half of a surrogate pair, and nothing holds itself.

    Raises:
        YamlError: for what is not YAML or not such values, and for what is nested deeper than 40
            levels or, aliases followed, has more than 50,000 values.
    """
    try:
        return _Loader(text).get_single_data()
    except yaml.MarkedYAMLError as error:
        raise YamlError(_told(error)) from error
    except yaml.YAMLError as error:
        raise YamlError(" ".join(str(error).split())) from error
    except (OverflowError, ValueError) as error:  # of PyYAML's scanner, which names no place
        raise YamlError(f"it has an escape beyond Unicode: {error}") from error


def _told(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return place + ": ".join(part for part in (error.context, error.problem) if part)


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with bounds, and with errors that name a place."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._values = 0
        self._sizes: dict[str, int] = {}  # anchor -> values below it, once it is whole

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        before = self._values
        self._count(event)
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise _refused(f"nested deeper than {_MAX_DEPTH} levels", event)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if event.anchor is not None and not isinstance(event, yaml.AliasEvent):
            self._sizes[event.anchor] = self._values - before
        return node

    def _count(self, event: Any) -> None:
        """Counts a value, and all that an alias stands for."""
        size = 1
        if isinstance(event, yaml.AliasEvent) and event.anchor in self.anchors:
            if event.anchor not in self._sizes:
                raise _refused(f"`*{event.anchor}` holds itself", event)
            size = self._sizes[event.anchor]
        self._values += size
        if self._values > _MAX_VALUES:
            raise _refused(f"more than {_MAX_VALUES:,} values", event)

    def compose_mapping_node(self, anchor: Any) -> Any:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in seen:
                    raise _refused(f"key `{shortened(key.value)}` stands twice", key)
                seen.add((key.tag, key.value))
        return node

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep=deep)
        except _BAD_VALUE as error:
            kind = node.tag.rpartition(":")[2]
            raise _refused(f"`{shortened(node.value)}` is no {kind}", node) from error
        if isinstance(value, str):
            if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
                raise _refused("a text with a NUL, or half of a surrogate pair", node)
        elif isinstance(value, float) and not math.isfinite(value):
            raise _refused(f"`{shortened(node.value)}` is not a finite number", node)
        elif isinstance(value, int) and abs(value) >= _MAX_INTEGER:
            raise _refused("a number beyond 64 bits", node)
        return value


def _refused(problem: str, at: Any) -> ConstructorError:
    """Makes the error for an event or a node."""
    return ConstructorError(None, None, problem, at.start_mark)
