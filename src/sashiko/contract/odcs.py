"""Parses an ODCS document to a `Contract`: first the standard's rules, then this project's."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from open_data_contract_standard.model import (
    DataQuality,
    OpenDataContractStandard,
    SchemaObject,
    SchemaProperty,
)

from sashiko.base.problems import join_problems
from sashiko.base.yaml_models import validate
from sashiko.contract.columns import Column
from sashiko.contract.consistency import contradictions
from sashiko.contract.model import Contract
from sashiko.contract.odcs_lint import (
    ARGUMENT_FIELDS,
    PROPERTY_FIELDS,
    is_supported,
    plain_values,
    schema_errors,
    unsupported,
)
from sashiko.errors import InputError

T = TypeVar("T")

# Names of fields in errors -> the standard's terms.
_STANDARD_TERMS = {
    "`logical_type`": "`logicalType`",
    "`options.": "`logicalTypeOptions.",
    "`allowed_values.": "`enum.",
    "`text_columns": "`textColumns",
    "`accepted_leaks": "`acceptedLeaks",
    "`row_filters": "`rowFilters",
    "key `table`: expected lower-case": "key `physicalName`: expected lower-case",
}


def parse_contract(document: Mapping[str, Any], *, source: str, sha256: str) -> Contract:
    """Converts an ODCS document to a contract.

    Raises:
        InputError: one line per problem with file, column, key and what to do.
    """
    plain = plain_values(document)
    _raise_problems(schema_errors(plain), source=source)
    odcs = OpenDataContractStandard.model_validate(plain)
    if odcs.apiVersion < "v3.1.0":
        _raise_problems(
            [f"key `apiVersion`: {odcs.apiVersion}; use v3.1.0 or newer"], source=source
        )
    tables = odcs.schema_ or []
    if len(tables) != 1:
        problem = f"key `schema`: expected one table, found {len(tables)}; one file per table"
        _raise_problems([problem], source=source)
    table = tables[0]

    _raise_problems(unsupported(odcs, table), source=source)
    problems: list[str] = []
    columns = [
        _collect_problems(problems, partial(_column, prop, source=source))
        for prop in table.properties or []
    ]
    _raise_problems(problems, source=source)
    value = _contract_values(odcs, table, source=source) | {"columns": columns, "sha256": sha256}
    try:
        contract = validate(Contract, value, source=f"{source}: table `{table.name}`")
    except InputError as error:
        raise InputError(_use_standard_terms(str(error))) from error
    _raise_problems(contradictions(contract), source=source)
    return contract


def _contract_values(
    odcs: OpenDataContractStandard, table: SchemaObject, *, source: str
) -> dict[str, Any]:
    description = odcs.description
    return {
        "id": odcs.id,
        "version": odcs.version,
        "table": table.physicalName or table.name,
        "title": odcs.name or table.name,
        "description": _join_paragraphs(description and description.purpose, table.description),
        "limitations": _join_paragraphs(description and description.limitations),
        "freshness": _freshness(odcs, table, source=source),
        "quality": [_rule(rule) for rule in table.quality or []],
        "domain": odcs.domain,
        **{
            PROPERTY_FIELDS[prop.property]: prop.value
            for prop in table.customProperties or []
            if is_supported(prop)
        },
    }


def _column(prop: SchemaProperty, *, source: str) -> Column:
    values = {
        "name": prop.name,
        "physical_name": prop.name if prop.physicalName is None else prop.physicalName,
        "logical_type": prop.logicalType,
        "description": prop.description,
        "classification": prop.classification,
        "required": prop.required,
        "unique": prop.unique,
        "primary_key": prop.primaryKey,
        "allowed_values": prop.enum and [item.value for item in prop.enum],
        "options": prop.logicalTypeOptions,
        "quality": [_rule(rule) for rule in prop.quality or []],
    }
    present = {key: value for key, value in values.items() if value is not None}
    return validate(Column, present, source=f"{source}: column `{prop.name}`")


def _rule(rule: DataQuality) -> dict[str, Any]:
    operator = next(key for key in sorted(rule.model_fields_set) if key.startswith("must"))
    arguments = rule.arguments or {}
    return {
        "metric": rule.metric,
        "operator": operator,
        "value": getattr(rule, operator),
        "percent": rule.unit == "percent",
        "description": rule.description or "",
        **{
            ARGUMENT_FIELDS[key]: value
            for key, value in arguments.items()
            if key in ARGUMENT_FIELDS
        },
    }


def _freshness(
    odcs: OpenDataContractStandard, table: SchemaObject, *, source: str
) -> dict[str, Any] | None:
    """Reads the SLA `latency`: a value in days, `element: table.column`, custom property `asOf`."""
    agreements = odcs.slaProperties or []
    for sla in agreements:
        if sla.property != "latency":
            problem = f"key `slaProperties`: `{sla.property}` cannot be checked; allowed: latency"
            _raise_problems([problem], source=source)
    if not agreements:
        return None
    sla = agreements[0]
    table_name, _, column = (sla.element or "").rpartition(".")
    as_of = [prop.value for prop in sla.customProperties or [] if prop.property == "asOf"]
    valid = sla.unit == "d" and table_name == table.name and column and len(as_of) == 1
    if len(agreements) > 1 or not valid:
        problem = (
            "key `slaProperties.latency`: expected once, with `unit: d`, "
            f"`element: {table.name}.<column>` and the custom property `asOf`, "
            "the day to which the owner vouches for the data"
        )
        _raise_problems([problem], source=source)
    return {"column": column, "days": sla.value, "as_of": as_of[0]}


def _join_paragraphs(*texts: str | None) -> str:
    return " ".join(" ".join(text.split()) for text in texts if text)


def _collect_problems(problems: list[str], build: Callable[[], T]) -> T | None:
    """Runs `build` and adds its error to `problems`, so that all are reported at once."""
    try:
        return build()
    except InputError as error:
        problems.extend(str(error).splitlines())
        return None


def _raise_problems(problems: list[str], *, source: str) -> None:
    if problems:
        problems = [_use_standard_terms(problem) for problem in problems]
        lines = [line if line.startswith(source) else f"{source}: {line}" for line in problems]
        raise InputError(join_problems(lines))


def _use_standard_terms(text: str) -> str:
    for field, term in _STANDARD_TERMS.items():
        text = text.replace(field, term)
    return text
