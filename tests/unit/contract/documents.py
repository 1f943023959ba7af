"""A small contract with matching rows, which tests modify."""

import copy
import datetime as dt
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from sashiko.contract.derive import arrow_schema
from sashiko.contract.load import load_contract
from sashiko.contract.model import Contract
from sashiko.contract.table_stream import TableStream


def _column(name: str, kind: str, classification: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "description": f"The {name}.",
        "logicalType": kind,
        "classification": classification,
    } | more


def _enum(*values: str) -> list[dict[str, str]]:
    return [{"value": value} for value in values]


_DOCUMENT: dict[str, Any] = {
    "apiVersion": "v3.2.0",
    "kind": "DataContract",
    "id": "library-loans",
    "version": "2.1.0",
    "status": "active",
    "schema": [
        {
            "name": "loans",
            "properties": [
                _column("loan_id", "string", "none", primaryKey=True),
                _column("lent_at", "timestamp", "none", required=True),
                _column("pages", "integer", "none", logicalTypeOptions={"minimum": 1}),
                _column("price", "number", "none"),
                _column("title", "string", "none", required=True),
                _column("reader", "string", "pii", logicalTypeOptions={"pattern": "@"}),
                _column("age", "string", "sensitive", required=True, enum=_enum("young", "old")),
                _column("late", "string", "none", required=True, enum=_enum("yes", "no")),
            ],
            "quality": [{"metric": "rowCount", "mustBeGreaterOrEqualTo": 3}],
            "customProperties": [
                {
                    "property": "label",
                    "value": {"column": "late", "positive": "yes", "negative": "no"},
                },
                {"property": "facets", "value": [{"column": "age", "disadvantaged": ["old"]}]},
                {
                    "property": "split",
                    "value": {"kind": "text_hash", "validation_share": 0.2, "test_share": 0.3},
                },
                {"property": "textColumns", "value": ["title"]},
            ],
        }
    ],
    "slaProperties": [
        {
            "property": "latency",
            "value": 2,
            "unit": "d",
            "element": "loans.lent_at",
            "customProperties": [{"property": "asOf", "value": dt.date(2025, 3, 10)}],
        }
    ],
}


def document() -> dict[str, Any]:
    return copy.deepcopy(_DOCUMENT)


def table_of(document: dict[str, Any]) -> dict[str, Any]:
    return document["schema"][0]


def column_of(document: dict[str, Any], name: str) -> dict[str, Any]:
    return next(item for item in table_of(document)["properties"] if item["name"] == name)


def custom(document: dict[str, Any], name: str) -> dict[str, Any]:
    return next(p for p in table_of(document)["customProperties"] if p["property"] == name)


def grouped() -> dict[str, Any]:
    """A contract with a group variable, `branch`."""
    edited = document()
    branch = _column("branch", "string", "none", required=True, enum=_enum("north", "south"))
    table_of(edited)["properties"].append(branch)
    table_of(edited)["customProperties"].append({"property": "groupVariable", "value": "branch"})
    return edited


def two_facets() -> dict[str, Any]:
    """A contract with a second facet, `sex`, beside `age`."""
    edited = document()
    sex = _column("sex", "string", "sensitive", required=True, enum=_enum("f", "m"))
    table_of(edited)["properties"].append(sex)
    custom(edited, "facets")["value"].append({"column": "sex", "disadvantaged": ["f"]})
    return edited


def every_rule() -> dict[str, Any]:
    """A contract that uses every row of the rule table, on columns with and without nulls."""
    edited = document()
    due = _column("due", "date", "none")
    due["logicalTypeOptions"] = {"minimum": "2025-03-01", "exclusiveMaximum": "2025-04-01"}
    table_of(edited)["properties"].append(due)
    column_of(edited, "lent_at")["logicalTypeOptions"] = {
        "minimum": "2025-03-01T12:00Z",
        "exclusiveMaximum": "2025-04-01",
    }
    column_of(edited, "reader")["logicalTypeOptions"] |= {"minLength": 3, "maxLength": 12}
    percent = {"unit": "percent"}
    table_of(edited)["quality"] = [
        {"metric": "rowCount", "mustBe": 4},
        {"metric": "rowCount", "mustBeGreaterThan": 3},
        {"metric": "rowCount", "mustBeGreaterOrEqualTo": 4},
        {"metric": "rowCount", "mustBeLessThan": 5},
        {"metric": "rowCount", "mustBeLessOrEqualTo": 4},
        {"metric": "rowCount", "mustBeBetween": [4, 6]},
        {"metric": "duplicateValues", "mustBe": 0, "arguments": {"properties": ["title", "age"]}},
    ]
    column_of(edited, "pages")["logicalTypeOptions"] = {"minimum": 100, "maximum": 400}
    column_of(edited, "pages")["unique"] = True
    column_of(edited, "pages")["enum"] = [{"value": pages} for pages in (99, 100, 200, 400, 401)]
    column_of(edited, "pages")["quality"] = [
        {"metric": "nullValues", "mustBeLessOrEqualTo": 25, **percent},
        {"metric": "duplicateValues", "mustBe": 0},
    ]
    column_of(edited, "price")["logicalTypeOptions"] = {
        "exclusiveMinimum": 1,
        "exclusiveMaximum": 10,
    }
    column_of(edited, "price")["quality"] = [
        {"metric": "nullValues", "mustBeLessThan": 26, **percent},
        {"metric": "duplicateValues", "mustBeLessThan": 25, **percent},
        {"metric": "duplicateValues", "mustBeLessOrEqualTo": 25, **percent},
        {"metric": "missingValues", "mustBe": 0, "arguments": {"missingValues": [-1, 99.5]}},
    ]
    column_of(edited, "title")["logicalTypeOptions"] = {
        "minLength": 4,
        "maxLength": 7,
        "pattern": "^[A-Z]",
    }
    titles = {"validValues": ["Emma", "Ulysses", "Walden", "Dune"]}
    column_of(edited, "title")["quality"] = [
        {"metric": "nullValues", "mustBe": 0},
        {"metric": "missingValues", "mustBe": 0, "arguments": {"missingValues": [None, "?"]}},
        {"metric": "invalidValues", "mustBe": 0, "arguments": titles},
        {
            "metric": "invalidValues",
            "mustBeLessOrEqualTo": 25,
            "arguments": {"validValues": ["Emma", "Ulysses", "Walden", "Dune", "?"]},
            **percent,
        },
        {"metric": "invalidValues", "mustBe": 0, "arguments": {"pattern": "[a-z]$"}},
        {
            "metric": "invalidValues",
            "mustBeLessOrEqualTo": 25,
            "arguments": {"pattern": "[a-z]$"},
            **percent,
        },
    ]
    return edited


def save(document: dict[str, Any], folder: Path) -> Path:
    path = folder / "contract.odcs.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return path


def contract_of(document: dict[str, Any], folder: Path) -> Contract:
    return load_contract(save(document, folder))


ROWS: dict[str, list[Any]] = {
    "loan_id": ["b", "a", "d", "c"],
    "lent_at": [dt.datetime(2025, 3, day, 12, tzinfo=dt.UTC) for day in (1, 5, 8, 9)],
    "pages": [100, 200, None, 400],
    "price": [9.5, None, 3.0, 1.25],
    "title": ["Emma", "Ulysses", "Walden", "Dune"],
    "reader": ["b@x.org", "a@x.org", "d@x.org", None],
    "age": ["young", "old", "old", "young"],
    "late": ["yes", "no", "no", "yes"],
    "due": [dt.date(2025, 3, 1), None, dt.date(2025, 3, 31), dt.date(2025, 3, 15)],
}


def rows(contract: Contract, **changes: list[Any]) -> pa.Table:
    schema = arrow_schema(contract, "all")
    return pa.table({f.name: pa.array((ROWS | changes)[f.name], f.type) for f in schema})


def stream_of(table: pa.Table, *, batch_rows: int = 1_000) -> TableStream:
    """A table as a step reads it from a file, in batches of another size than the checks use."""

    def read(names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        yield from table.select(list(names)).to_batches(max_chunksize=batch_rows)

    return TableStream(schema=table.schema, read=read)
