"""Parses a Glue Data Quality ruleset like Glue, for the part of DQDL that this project uses.

The syntax follows the grammar that AWS publishes at github.com/awslabs/dqdl
(configuration/dqdl/*.g4), and its DQDLParserListener for quotes and escapes. Unsupported syntax is
an error, so that a skipped rule never counts as checked.
"""

import datetime as dt
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

_TOKEN = re.compile(
    r"""(?P<skip>[ \t\n]+|\#[^\n]*\n)
    |(?P<date>"\d{4}-\d{2}-\d{2}")
    |(?P<time>"\d{1,2}:\d{2}\ [AP]M"|"\d{2}:\d{2}")
    |(?P<text>"(?:\\["\\]|.)*?")
    |(?P<number>-?\d+(?:\.\d+)?(?![\w.]))
    |(?P<word>[A-Za-z][A-Za-z0-9_.]*)
    |(?P<sign>>=|<=|[=<>(),\[\]])""",
    re.VERBOSE | re.DOTALL,
)
COMPARISONS = (">=", "<=", ">", "<", "=")


@dataclass(frozen=True, kw_only=True)
class Condition:
    """A comparison: one operand, or several after `in` and `not in`; None is NULL."""

    operator: str
    operands: tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule: its type, its parameters, and what follows them."""

    type: str
    parameters: tuple[str, ...]
    condition: Condition | None
    where: str | None
    threshold: Condition | None


@dataclass(frozen=True)
class Both:
    """Rules joined by `and`."""

    rules: tuple["Rule | Both", ...]


class UnknownDqdlError(Exception):
    """The ruleset uses an unsupported construct."""


@cache
def parse(ruleset: str) -> tuple[Rule | Both, ...]:
    """Returns the rules of a document in its order."""
    return tuple(_Reader(ruleset).document())


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, position = [], 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None or token.lastgroup == "time":
            raise UnknownDqdlError(f"cannot read {text[position : position + 40]!r}")
        position = token.end()
        if token.lastgroup != "skip":
            tokens.append((str(token.lastgroup), token[0]))
    return [*tokens, ("end", "")]


class _Reader:
    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)

    def document(self) -> list[Rule | Both]:
        for word in ("Rules", "=", "["):
            self._take(word)
        rules = [self._joined()]
        while self._next(","):
            rules.append(self._joined())
        self._take("]")
        if self._kind != "end":
            raise UnknownDqdlError(f"what is {self._tokens[0][1]!r} after the rules?")
        return rules

    def _joined(self) -> Rule | Both:
        rules = [self._single()]
        while self._next("and"):
            rules.append(self._single())
        return rules[0] if len(rules) == 1 else Both(tuple(rules))

    def _single(self) -> Rule | Both:
        if not self._next("("):
            return self._rule()
        inner = self._joined()
        self._take(")")
        return inner

    def _rule(self) -> Rule:
        kind = self._any("word")
        parameters = []
        while self._kind == "text":
            parameters.append(_unquoted(self._any("text")))
        condition = self._condition()
        where = _unquoted(self._any("text")) if self._next("where") else None
        threshold = None
        if self._next("with"):
            self._take("threshold")
            threshold = self._condition()
        return Rule(
            type=kind,
            parameters=tuple(parameters),
            condition=condition,
            where=where,
            threshold=threshold,
        )

    def _condition(self) -> Condition | None:
        for operator in COMPARISONS:
            if self._next(operator):
                return Condition(operator=operator, operands=(self._operand(),))
        if self._next("matches"):
            return Condition(operator="matches", operands=(_unquoted(self._any("text")),))
        if self._next("not"):
            self._take("in")
            return Condition(operator="not in", operands=self._list())
        return Condition(operator="in", operands=self._list()) if self._next("in") else None

    def _list(self) -> tuple[Any, ...]:
        """Parses a list of numbers, texts or dates, not mixed; NULL is allowed."""
        self._take("[")
        operands = [self._operand(in_list=True)]
        while self._next(","):
            operands.append(self._operand(in_list=True))
        self._take("]")
        if len({type(item) for item in operands if item is not None}) > 1:
            raise UnknownDqdlError(f"a list of several kinds: {operands}")
        return tuple(operands)

    def _operand(self, *, in_list: bool = False) -> Any:
        kind, text = self._tokens.pop(0)
        if kind == "number":
            return float(text)
        if kind == "date":
            return dt.date.fromisoformat(_unquoted(text))
        if kind == "text":  # a backslash escapes inside a list alone
            return _unquoted(re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL) if in_list else text)
        if text == "NULL":
            return None
        raise UnknownDqdlError(f"what is {text!r} as an operand?")

    @property
    def _kind(self) -> str:
        return self._tokens[0][0]

    def _next(self, expected: str) -> bool:
        matches = self._tokens[0][1] == expected
        if matches:
            self._tokens.pop(0)
        return matches

    def _take(self, expected: str) -> None:
        if not self._next(expected):
            raise UnknownDqdlError(f"expected {expected!r}, found {self._tokens[0][1]!r}")

    def _any(self, kind: str) -> str:
        if self._kind != kind:
            raise UnknownDqdlError(f"expected a {kind}, found {self._tokens[0][1]!r}")
        return self._tokens.pop(0)[1]


def _unquoted(text: str) -> str:
    return text[1:-1]
