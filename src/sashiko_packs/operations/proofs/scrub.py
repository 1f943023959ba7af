"""Keeps of calls and answers what anyone may read, while they are recorded.

A text of an answer stays if the probe has sent it, or if botocore's model lists it as a value of
its field. Of any other text there remain what the probe's expressions look for, and the pieces of
AWS's messages in `answers.yaml`. All else becomes a placeholder such as `<arn-1>`: the same value,
the same placeholder, so that what a request takes from an earlier answer can still be seen. Without
its brackets a placeholder is a valid name, so that a record can be sent again.
"""

import datetime as dt
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import jmespath
from botocore.model import Shape, StructureShape

from sashiko_packs.operations.proofs.probe import Probe, data
from sashiko_packs.operations.proofs.record import ErrorRecord

_LONGEST_NUMBER: Final = 9  # digits; an account's number has 12
# Services' codes: `NoSuchKey`, `InvalidVpcID.NotFound`, `404`.
_CODE: Final = re.compile(r"[A-Z][A-Za-z]+(?:\.[A-Z][A-Za-z]+)?|\d{3}")
# What no text of a probe is like, and no placeholder: a second look at what is recorded.
_OWN: Final = re.compile(
    r"\d{12}|\b(?:A[KS]IA|AROA|AIDA)[A-Z0-9]{12}|[\w.+-]+@[\w-]+\.\w|[0-9a-f]{8}-[0-9a-f]{4}-"
)


class Scrubber:
    """The placeholders of one record."""

    def __init__(self, probe: Probe, *, account: str) -> None:
        """Takes the probe, whose texts are public, and the account's id."""
        self._patterns = [re.compile(text) for text in _public_texts(probe)]
        self._sent: dict[str, str] = {}  # text of a request -> how it is recorded
        self._placeholders = {account: "<account-1>"}

    def learn(self, sent: Any, recorded: Any) -> None:
        """Takes a request, and how it is recorded: an answer may repeat a text of it."""
        if isinstance(sent, Mapping):
            for key, value in sent.items():
                self.learn(value, recorded[key])
        elif isinstance(sent, list):
            for one, other in zip(sent, recorded, strict=True):
                self.learn(one, other)
        elif isinstance(sent, str):
            self._sent[sent] = recorded

    def scrub(self, value: Any, shape: Shape | None = None, kind: str = "text") -> Any:
        """Returns an answer, or a part of it, of a shape of botocore, with placeholders."""
        if isinstance(value, Mapping):
            members = shape.members if isinstance(shape, StructureShape) else {}
            inner = getattr(shape, "value", None)  # of a map, whose keys are texts
            return {
                key if key in members else self.text(str(key)): self.scrub(
                    item, members.get(key, inner), key if key in members else kind
                )
                for key, item in value.items()
            }
        if isinstance(value, list):
            return [self.scrub(item, getattr(shape, "member", None), kind) for item in value]
        if isinstance(value, int | float | None) and len(str(value)) <= _LONGEST_NUMBER:
            return value
        if isinstance(value, bytes | dt.datetime):
            return self._placeholder(kind, repr(value))
        text = str(value)
        return text if text in getattr(shape, "enum", ()) else self.text(text, kind)

    def text(self, text: str, kind: str = "text") -> str:
        """Returns a text with a placeholder for each part that is not public."""
        if text in self._sent:
            return self._sent[text]
        parts, end = [], 0
        for start, stop in sorted(m.span() for p in self._patterns for m in p.finditer(text)):
            parts += [self._placeholder(kind, text[end:start]), text[max(start, end) : stop]]
            end = max(end, stop)
        return "".join([*parts, self._placeholder(kind, text[end:])])

    def error(self, error: ErrorRecord) -> ErrorRecord:
        """Returns an error with placeholders."""
        code = error.code if _CODE.fullmatch(error.code) else self.text(error.code)
        return error.model_copy(update={"code": code, "message": self.text(error.message)})

    def _placeholder(self, kind: str, value: str) -> str:
        if not re.search(r"\w", value):
            return value
        if value not in self._placeholders:
            name = f"<{re.sub(r'[^a-z0-9]', '', kind.lower())}-"
            if any(pattern.search(name) for pattern in self._patterns):
                name = "<text-"  # what an expression looks for is in no placeholder
            number = sum(one.startswith(name) for one in self._placeholders.values()) + 1
            self._placeholders[value] = f"{name}{number}>"
        return self._placeholders[value]


def is_private(text: str) -> bool:
    """Says whether a text has what no record may hold: then the scrubber has an error."""
    return _OWN.search(text) is not None


def keep(answer: Mapping[str, Any], fields: Sequence[str]) -> dict[str, Any]:
    """Returns the fields of an answer, such as `Steps[].Name`, that a record keeps."""
    kept: dict[str, Any] = {}
    for field in fields:
        _copy(answer, field.split("."), kept)
    return kept


def _public_texts(probe: Probe) -> Iterator[str]:
    """Yields, as patterns, the texts of answers that say nothing of an account."""
    for expression in filter(None, (probe.premise, probe.holds, probe.differs)):
        yield from _literals(jmespath.compile(expression).parsed)
    yield from map(re.escape, (*data("answers")["messages"], *(s.call for s in probe.steps)))


def _literals(node: Mapping[str, Any]) -> Iterator[str]:
    for child in node["children"]:
        if not isinstance(child, Mapping):
            continue  # a number of a slice
        yield from _literals(child)
        if child["type"] != "literal" or not isinstance(child["value"], str):
            continue
        if node["type"] != "function_expression":  # the whole of a text is compared
            yield rf"\A{re.escape(child['value'])}\Z"
        else:
            yield child["value"] if node["value"] == "matches" else re.escape(child["value"])


def _copy(value: Any, path: list[str], into: dict[str, Any]) -> None:
    """Copies one field, such as `Steps[].Name`, into a record of those that are kept."""
    key, *rest = path
    name = key.removesuffix("[]")
    if not isinstance(value, Mapping) or value.get(name) is None:
        return
    if not rest:
        into[name] = value[name]
    elif key == name:
        _copy(value[name], rest, into.setdefault(name, {}))
    else:
        targets = into.setdefault(name, [{} for _ in value[name]])
        for source, target in zip(value[name], targets, strict=True):
            _copy(source, rest, target)
