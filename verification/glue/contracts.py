"""A contract with a column of each type and a rule of each kind, for rows to break."""

from pathlib import Path
from typing import Any

from sashiko.contract.glue_job.spec import LoadSpec, parse_spec
from sashiko.contract.load_spec import load_spec
from tests.unit.contract.documents import column_of, contract_of, document, table_of

HEADER = "loan_id,lent_at,pages,price,title,reader,age,late,due,lost"
FINE = {
    "loan_id": "a",
    "lent_at": "2025-03-01T12:00:00Z",
    "pages": "100",
    "price": "9.5",
    "title": "Emma",
    "reader": "a@x.org",
    "age": "young",
    "late": "yes",
    "due": "2025-03-20",
    "lost": "false",
}


def dirty_document() -> dict[str, Any]:
    changed = document()
    described = {"description": "Said.", "classification": "none"}
    table_of(changed)["properties"] += [
        {"name": "due", "logicalType": "date", **described},
        {"name": "lost", "logicalType": "boolean", **described},
    ]
    column_of(changed, "loan_id")["unique"] = True
    column_of(changed, "lent_at")["logicalTypeOptions"] = {"minimum": "2025-01-01"}
    column_of(changed, "due")["logicalTypeOptions"] = {"exclusiveMaximum": "2026-01-01"}
    column_of(changed, "pages")["logicalTypeOptions"] = {"minimum": 1, "maximum": 900}
    column_of(changed, "price")["logicalTypeOptions"] = {"exclusiveMinimum": 0}
    column_of(changed, "price")["quality"] = [
        {"metric": "missingValues", "mustBe": 0, "arguments": {"missingValues": [99.5]}}
    ]
    column_of(changed, "title")["logicalTypeOptions"] = {"minLength": 2, "maxLength": 6}
    table_of(changed)["quality"] += [
        {"metric": "duplicateValues", "mustBe": 0,
         "arguments": {"properties": ["lent_at", "reader"]}},
    ]  # fmt: skip
    return changed


def spec_of(contract: dict[str, Any], folder: Path) -> LoadSpec:
    """The spec as the job gets it: through its JSON."""
    return parse_spec(load_spec(contract_of(contract, folder)).to_json())


def line(**changes: str) -> str:
    return ",".join((FINE | changes).values())


def write_csv(path: Path, *lines: str, header: str = HEADER) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("\n".join([header, *lines, ""]).encode("utf-8", "surrogateescape"))
    return path
