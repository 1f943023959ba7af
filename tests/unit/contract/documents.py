"""A small contract with matching rows, which tests modify."""

import copy
import datetime as dt
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from sashiko.base.parquet import TableStream
from sashiko.contract.derive import arrow_schema
from sashiko.contract.load import load_contract
from sashiko.contract.model import Contract


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
    "apiVersion": "v3.2.0", "kind": "DataContract", "id": "library-loans", "version": "2.1.0",
    "status": "active",
    "schema": [{
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
            {"property": "label", "value": {"column": "late", "positive": "yes", "negative": "no"}},
            {"property": "facets", "value": [{"column": "age", "disadvantaged": ["old"]}]},
            {
                "property": "split",
                "value": {"kind": "text_hash", "validation_share": 0.2, "test_share": 0.3},
            },
            {"property": "textColumns", "value": ["title"]},
        ],
    }],
    "slaProperties": [{
        "property": "latency", "value": 2, "unit": "d", "element": "loans.lent_at",
        "customProperties": [{"property": "asOf", "value": dt.date(2025, 3, 10)}],
    }],
}  # fmt: skip


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


def number(*, above: float = 4.0, **options: float) -> dict[str, Any]:
    """A contract whose label is the price, a number."""
    edited = document()
    column_of(edited, "price").update(required=True, logicalTypeOptions=options)
    label = {"column": "price", "kind": "number", "favourable": {"above": above}}
    custom(edited, "label")["value"] = label
    return edited


def every_rule() -> dict[str, Any]:
    """A contract that uses every row of the rule table, on columns with and without nulls."""

    def rule(metric: str, operator: str, value: Any, **more: Any) -> dict[str, Any]:
        return {"metric": metric, operator: value} | more

    edited = document()
    due = {"minimum": "2025-03-01", "exclusiveMaximum": "2025-04-01"}
    table_of(edited)["properties"].append(_column("due", "date", "none", logicalTypeOptions=due))
    lent = {"minimum": "2025-03-01T12:00Z", "exclusiveMaximum": "2025-04-01"}
    column_of(edited, "lent_at")["logicalTypeOptions"] = lent
    column_of(edited, "reader")["logicalTypeOptions"] |= {"minLength": 3, "maxLength": 12}
    percent: dict[str, Any] = {"unit": "percent"}
    table_of(edited)["quality"] = [
        rule("rowCount", "mustBe", 4),
        rule("rowCount", "mustBeGreaterThan", 3),
        rule("rowCount", "mustBeGreaterOrEqualTo", 4),
        rule("rowCount", "mustBeLessThan", 5),
        rule("rowCount", "mustBeLessOrEqualTo", 4),
        rule("rowCount", "mustBeBetween", [4, 6]),
        rule("duplicateValues", "mustBe", 0, arguments={"properties": ["title", "age"]}),
    ]
    column_of(edited, "pages").update(
        logicalTypeOptions={"minimum": 100, "maximum": 400},
        unique=True,
        enum=[{"value": pages} for pages in (99, 100, 200, 400, 401)],
        quality=[
            rule("nullValues", "mustBeLessOrEqualTo", 25, **percent),
            rule("duplicateValues", "mustBe", 0),
        ],
    )
    column_of(edited, "price").update(
        logicalTypeOptions={"exclusiveMinimum": 1, "exclusiveMaximum": 10},
        quality=[
            rule("nullValues", "mustBeLessThan", 26, **percent),
            rule("duplicateValues", "mustBeLessThan", 25, **percent),
            rule("duplicateValues", "mustBeLessOrEqualTo", 25, **percent),
            rule("missingValues", "mustBe", 0, arguments={"missingValues": [-1, 99.5]}),
        ],
    )
    titles, most = ["Emma", "Ulysses", "Walden", "Dune"], ("mustBeLessOrEqualTo", 25)
    small = {"pattern": "[a-z]$"}
    column_of(edited, "title").update(
        logicalTypeOptions={"minLength": 4, "maxLength": 7, "pattern": "^[A-Z]"},
        quality=[
            rule("nullValues", "mustBe", 0),
            rule("missingValues", "mustBe", 0, arguments={"missingValues": [None, "?"]}),
            rule("invalidValues", "mustBe", 0, arguments={"validValues": titles}),
            rule("invalidValues", *most, arguments={"validValues": [*titles, "?"]}, **percent),
            rule("invalidValues", "mustBe", 0, arguments=small),
            rule("invalidValues", *most, arguments=small, **percent),
        ],
    )
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
