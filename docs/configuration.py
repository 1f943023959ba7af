"""`configuration.md`: every key of settings, recipes, contracts and the delivery.

From `schemas/*.schema.json`, what a record's docstring says of its fields ("Attributes:"), and the
comments at the fields of a contract's records.
"""

import inspect
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from sashiko.base.yaml_models import read_yaml
from sashiko.contract import model
from sashiko.contract.model import Contract
from sashiko.contract.odcs import PROPERTY_FIELDS

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/configuration.md"
Schema = Mapping[str, Any]
_MOST_WORDS = 30
_HEAD = """\
<!-- Written by `make docs`, from schemas/, src/sashiko/contract/model.py and config/base.yaml. -->

# Configuration

Every key of the files that you write, for whoever edits one: type, default and what it does. An
editor completes them with the schemas in `schemas/`. A part of a [pack](architecture.md) exists
only while the pack is on.
"""
_FILES = {
    "settings": ("Settings: `config/<environment>.yaml`", "Defaults: `config/base.yaml`."),
    "recipe": ("Recipes: `recipes/*.yaml`", "One that extends another one needs no other key."),
    "delivery": ("Delivery: `config/delivery.yaml`", "Optional; see [delivery](delivery.md)."),
    "contract": ("Contracts: `contracts/*.odcs.yaml`", "What is read of the [Open Data Contract "
                 "Standard](https://bitol-io.github.io/open-data-contract-standard/) 3.2."),
}  # fmt: skip
# A contract's terms are those of the standard, ODCS.
_TERMS = {
    "allowed_values": "enum", "options": "logicalTypeOptions", "operator": "mustBe and so on",
    "value": "value of mustBe", "percent": "unit: percent", "valid_values": "arguments.validValues",
    "missing_values": "arguments.missingValues", "properties": "arguments.properties",
}  # fmt: skip
_SIGNS = {"": "(none)", "\t": "\\t", "|": "\\|", " ": "(blank)"}
_NAMES = {"string": "text", "boolean": "true or false", "integer": "whole number", "null": "empty"}


# Of fields whose record says nothing about them: the last part of the key -> text.
_PLAIN = {
    "max_runtime": "when the job is stopped", "batch_size": "rows in a step of training",
    "bootstrap_replicates": "how often rows are drawn again for an interval",
    "minimum": "the smallest value that passes", "maximum": "the largest value that passes",
    "reason": "why, in a sentence; reports show it", "policy": "how the threshold is chosen",
    "batch_sizes": "the sizes that are compiled", "epochs": "passes over the training rows",
    "checkpoint_every_steps": "steps between two checkpoints", "persona": "the role that reads",
    "warmup_ratio": "the share of steps until the largest learning rate",
    "may_leave_account": "whether texts may be sent to a service outside the account",
    "negative": "the other class",
    "validation_from": "the first day of validation", "test_from": "the first day of test",
    "format": "the form of dates and times in the raw file, if not ISO 8601",
    "pattern": "a regular expression that each value must match",
}  # fmt: skip


def configuration_page() -> str:
    """Writes the page."""
    base = read_yaml(ROOT / "config/base.yaml")
    parts = [_HEAD]
    for name, (title, text) in _FILES.items():
        parts.append(f"## {title}\n\n{text}\n")
        if name != "contract":
            parts += _sections(read_schema(name), base if name == "settings" else {})
    return "\n".join([*parts, *_contract()])


def read_schema(name: str) -> Schema:
    """Reads the JSON Schema of a kind of file."""
    schema: Schema = json.loads((ROOT / f"schemas/{name}.schema.json").read_text())
    return schema


def selection_section() -> str:
    """Describes the keys of a selection, for the page of its pack."""
    title = "## Selections: `selections/*.yaml`\n\nWhat `sashiko select` compares.\n"
    return "\n".join([title, *_sections(read_schema("selection"), {})])


def _sections(schema: Schema, values: Schema) -> Iterator[str]:
    """A table of the keys that are no section, then one for each section."""
    texts = _attributes(schema)
    single = {k: v for k, v in schema["properties"].items() if not _record(v, schema)}
    yield _table(_rows("", {**schema, "properties": single}, schema, values))
    for key, item in schema["properties"].items():
        if record := _record(item, schema):
            pack = f" (pack {item['x-pack']})" if "x-pack" in item else ""
            words = texts.get(key) or item.get("description") or record.get("description", "")
            yield f"### `{key}`{pack}\n\n{_brief(words)}\n"
            # The values of a pack's section are not there where the pack is not.
            yield _table(_rows("", record, schema, None if pack else values.get(key)))


def _rows(prefix: str, record: Schema, schema: Schema, values: Any) -> Iterator[tuple[str, ...]]:
    texts = _attributes(record)
    for key, item in record.get("properties", {}).items():
        value = values.get(key) if isinstance(values, Mapping) else None
        inner = _record(item, schema)
        text = texts.get(key) or (inner or {}).get("description", "").partition("\n\n")[0]
        yield _row(f"{prefix}{key}", item, schema, text, None if inner else value)
        if inner is not None:
            yield from _rows(f"{prefix}{key}.", inner, schema, value)


def _row(key: str, item: Schema, schema: Schema, text: str, value: Any) -> tuple[str, ...]:
    if value is None and _record(item, schema) is None:
        value = item.get("default")
    shown = "" if value in (None, [], {}, ()) else f"`{json.dumps(value)}`"
    if len(shown.split()) > _MOST_WORDS or len(shown) > 45:
        shown = "see the file"
    name = key.rpartition(".")[2]
    named = re.sub(r"_|(?<=[a-z])(?=[A-Z])", " ", name).lower()
    words = item.get("description") or text or _PLAIN.get(name, f"the {named}")
    return f"`{key}`", _type(item, schema), shown, _brief(words)


def _record(item: Schema, schema: Schema) -> Schema | None:
    """The record that a value, or each item of a list or map, is."""
    options = [item, *item.get("anyOf", []), item.get("items"), item.get("additionalProperties")]
    named = (option["$ref"] for option in options if isinstance(option, dict) and "$ref" in option)
    records = (schema["$defs"][name.rpartition("/")[2]] for name in named)
    return next((record for record in records if "properties" in record), None)


def _type(item: Schema, schema: Schema) -> str:
    """Says in words what a value may be."""
    if "$ref" in item:
        return _type(schema["$defs"][item["$ref"].rpartition("/")[2]], schema)
    if options := item.get("anyOf") or item.get("oneOf"):
        return " or ".join(dict.fromkeys(_type(option, schema) for option in options))
    if "enum" in item or "const" in item:
        values = [str(value) for value in item.get("enum", [item.get("const")])]
        return ", ".join(f"`{_SIGNS.get(value, value)}`" for value in values)
    kind = item.get("type", "any")
    if kind == "array":
        return f"list of {_type(item.get('items', {}), schema)}"
    if kind == "object":
        return "section" if "properties" in item else "map"
    low = item.get("minimum", item.get("exclusiveMinimum"))
    high = item.get("maximum", item.get("exclusiveMaximum"))
    bounds = "" if low is None else f" from {low}"
    return _NAMES.get(kind, kind) + bounds + ("" if high is None else f" to {high}")


def _attributes(record: Schema) -> dict[str, str]:
    """What a docstring's "Attributes:" says: field -> text."""
    part = record.get("description", "").partition("Attributes:")[2]
    fields = re.findall(r"^    (\w+): (.*?)(?=^    \w|^\S|\Z)", part, re.MULTILINE | re.DOTALL)
    return {name: " ".join(text.split()) for name, text in fields}


def _contract() -> Iterator[str]:
    texts = _comments(Contract)
    rows = [(f"`{k}`", "custom property", "", _brief(texts[v])) for k, v in PROPERTY_FIELDS.items()]
    yield "### The table: custom properties with `vendor: sashiko`\n"
    schema = Contract.model_json_schema()
    nested: dict[str, type[BaseModel]] = {
        "label": model.Label, "facets": model.Facet, "split (kind: time)": model.TimeSplit,
        "split (kind: text_hash)": model.TextHashSplit, "acceptedLeaks": model.AcceptedLeak,
        "ingest": model.Ingest, "rowFilters": model.RowFilter,
    }  # fmt: skip
    for term, record in nested.items():
        rows += _fields(f"{term}: ", record, schema)
    yield _table(rows)
    others = {"A column": model.Column, "`logicalTypeOptions` of a column": model.Options}
    for title, record in {**others, "A rule of `quality`": model.QualityRule}.items():
        yield f"### {title}\n\n{_table(_fields('', record, schema))}"


def _fields(prefix: str, record: type[BaseModel], schema: Schema) -> Iterator[tuple[str, ...]]:
    texts = _comments(record)
    for name, item in schema["$defs"][record.__name__]["properties"].items():
        term = _TERMS.get(name) or re.sub(r"_(\w)", lambda match: match[1].upper(), name)
        yield (f"{prefix}`{term}`", *_row(name, item, schema, texts.get(name, ""), None)[1:])


def _comments(record: type[BaseModel]) -> dict[str, str]:
    """The comment beside or above each field in a record's source."""
    texts, above = {}, ""
    for line in inspect.getsource(record).splitlines():
        beside = line.partition("  # ")[2].partition("noqa")[0]
        if match := re.match(r"    (\w+): ", line):
            texts[match[1]], above = above or beside, ""
        above = f"{above} {line.strip()[2:]}".strip() if line.startswith("    # ") else ""
    return texts


def _brief(text: str) -> str:
    """The first sentences, as many as a cell may hold, without the list of attributes."""
    plain = " ".join(text.partition("Attributes:")[0].split()).replace("|", "\\|")
    sentences = re.split(r"(?<=[.;]) ", plain)
    while len(sentences) > 1 and len(" ".join(sentences).split()) > _MOST_WORDS:
        sentences.pop()
    joined = " ".join(sentences).rstrip(".;")
    # A value that the sentence begins with keeps its spelling.
    first = joined[:1] if re.match(r"[\w-]+:", joined) else joined[:1].upper()
    return f"{first}{joined[1:]}." if joined else ""


def _table(rows: Any) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(["| key | type | default | what it does |", "|---|---|---|---|", *lines, ""])
