"""An ODCS document to a `Contract`: checked by the standard first, then by what we add to it."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from open_data_contract_standard.model import (
    DataQuality,
    OpenDataContractStandard,
    SchemaObject,
    SchemaProperty,
)

from sashiko.contract.columns import Column
from sashiko.contract.consistency import contradictions
from sashiko.contract.model import Contract
from sashiko.contract.odcs_lint import (
    OUR_PROPERTIES,
    RULE_ARGUMENTS,
    is_ours,
    plain_values,
    schema_errors,
    unsupported,
)
from sashiko.core.problems import join_problems
from sashiko.core.yaml_models import validate
from sashiko.errors import InputError

T = TypeVar("T")

# Where a record's field is called otherwise than in the standard, errors use the standard's word.
_STANDARD_WORDS = {
    "`logical_type`": "`logicalType`",
    "`options.": "`logicalTypeOptions.",
    "`allowed_values.": "`enum.",
    "`text_columns": "`textColumns",
    "`row_filters": "`rowFilters",
    "`table`: a name": "`physicalName`: a name",
}


def parse_contract(document: Mapping[str, Any], *, source: str, sha256: str) -> Contract:
    """Turns a parsed ODCS document into a contract.

    Args:
        document: the YAML file's content.
        source: the file, named in every error.
        sha256: of the file's bytes.

    Raises:
        InputError: one line per problem with file, column, key and what to do.
    """
    plain = plain_values(document)
    _stop_at(schema_errors(plain), source=source)
    odcs = OpenDataContractStandard.model_validate(plain)
    if odcs.apiVersion < "v3.1.0":
        _stop_at([f"key `apiVersion`: {odcs.apiVersion}; use v3.1.0 or newer"], source=source)
    tables = odcs.schema_ or []
    if len(tables) != 1:
        problem = f"key `schema`: expected one table, found {len(tables)}; one file per table"
        _stop_at([problem], source=source)
    table = tables[0]

    _stop_at(unsupported(odcs, table), source=source)
    problems: list[str] = []
    columns = [
        _collect(problems, partial(_column, prop, source=source)) for prop in table.properties or []
    ]
    _stop_at(problems, source=source)
    value = _contract_values(odcs, table, source=source) | {"columns": columns, "sha256": sha256}
    try:
        contract = validate(Contract, value, source=f"{source}: table `{table.name}`")
    except InputError as error:
        raise InputError(_in_standard_words(str(error))) from error
    _stop_at(contradictions(contract), source=source)
    return contract


def _contract_values(
    odcs: OpenDataContractStandard, table: SchemaObject, *, source: str
) -> dict[str, Any]:
    about = odcs.description
    return {
        "id": odcs.id,
        "version": odcs.version,
        "table": table.physicalName or table.name,
        "title": odcs.name or table.name,
        "description": _prose(about and about.purpose, table.description),
        "limitations": _prose(about and about.limitations),
        "freshness": _freshness(odcs, table, source=source),
        "quality": [_rule(rule) for rule in table.quality or []],
        "domain": odcs.domain,
        **{
            OUR_PROPERTIES[prop.property]: prop.value
            for prop in table.customProperties or []
            if is_ours(prop)
        },
    }


def _column(prop: SchemaProperty, *, source: str) -> Column:
    given = {
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
    stated = {key: value for key, value in given.items() if value is not None}
    return validate(Column, stated, source=f"{source}: column `{prop.name}`")


def _rule(rule: DataQuality) -> dict[str, Any]:
    operator = next(key for key in sorted(rule.model_fields_set) if key.startswith("must"))
    arguments = rule.arguments or {}
    return {
        "metric": rule.metric,
        "operator": operator,
        "value": getattr(rule, operator),
        "percent": rule.unit == "percent",
        "description": rule.description or "",
        **{RULE_ARGUMENTS[key]: value for key, value in arguments.items() if key in RULE_ARGUMENTS},
    }


def _freshness(
    odcs: OpenDataContractStandard, table: SchemaObject, *, source: str
) -> dict[str, Any] | None:
    """Reads the SLA `latency`: a value in days, `element: table.column`, custom property `asOf`."""
    agreements = odcs.slaProperties or []
    for sla in agreements:
        if sla.property != "latency":
            problem = f"key `slaProperties`: `{sla.property}` cannot be checked; allowed: latency"
            _stop_at([problem], source=source)
    if not agreements:
        return None
    sla = agreements[0]
    owner, _, column = (sla.element or "").rpartition(".")
    as_of = [prop.value for prop in sla.customProperties or [] if prop.property == "asOf"]
    whole = sla.unit == "d" and owner == table.name and column and len(as_of) == 1
    if len(agreements) > 1 or not whole:
        problem = (
            "key `slaProperties.latency`: expected once, with `unit: d`, "
            f"`element: {table.name}.<column>` and the custom property `asOf`, "
            "the day to which the owner vouches for the data"
        )
        _stop_at([problem], source=source)
    return {"column": column, "days": sla.value, "as_of": as_of[0]}


def _prose(*texts: str | None) -> str:
    return " ".join(" ".join(text.split()) for text in texts if text)


def _collect(problems: list[str], build: Callable[[], T]) -> T | None:
    """Runs `build`; its error joins `problems`, so that a person sees all of them at once."""
    try:
        return build()
    except InputError as error:
        problems.extend(str(error).splitlines())
        return None


def _stop_at(problems: list[str], *, source: str) -> None:
    if problems:
        problems = [_in_standard_words(problem) for problem in problems]
        lines = [line if line.startswith(source) else f"{source}: {line}" for line in problems]
        raise InputError(join_problems(lines))


def _in_standard_words(text: str) -> str:
    for ours, theirs in _STANDARD_WORDS.items():
        text = text.replace(ours, theirs)
    return text
