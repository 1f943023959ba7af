"""Parses an ODCS document to a `Contract`: first the standard's rules, then this project's."""

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Set
from importlib.resources import files
from typing import Any, get_args

import open_data_contract_standard.model as standard

from sashiko.base.problems import ancestor_places, join_problems, shorten, suggestion
from sashiko.base.yaml_models import validate
from sashiko.contract.consistency import contradictions
from sashiko.contract.model import Column, Contract, LogicalType
from sashiko.errors import InputError

# Supported custom properties of the table -> fields of `Contract`.
PROPERTY_FIELDS: Mapping[str, str] = {
    "label": "label", "facets": "facets", "groupVariable": "group_variable", "split": "split",
    "textColumns": "text_columns", "acceptedLeaks": "accepted_leaks", "ingest": "ingest",
    "rowFilters": "row_filters", "lake": "lake",
}  # fmt: skip
# Arguments of quality rules -> fields of `QualityRule`.
ARGUMENT_FIELDS: Mapping[str, str] = {
    "validValues": "valid_values", "pattern": "pattern", "missingValues": "missing_values",
    "properties": "properties",
}  # fmt: skip
# Keys of the standard that this project implements or that only describe. Any other key is an
# error, since nothing would enforce it.
_DESCRIBING = {
    "id", "name", "description", "businessName", "tags", "synonyms", "authoritativeDefinitions",
    "customProperties", "deprecated", "examples", "criticalDataElement",
}  # fmt: skip
_TABLE_KEYS = _DESCRIBING | {
    "physicalName", "physicalType", "logicalType", "dataGranularityDescription", "properties",
    "quality", "context",
}  # fmt: skip
_COLUMN_KEYS = _DESCRIBING | {
    "physicalName", "logicalType", "logicalTypeOptions", "classification", "required", "unique",
    "primaryKey", "primaryKeyPosition", "enum", "quality",
}  # fmt: skip
_RULE_KEYS = _DESCRIBING | {
    "type", "metric", "arguments", "unit", "dimension", "businessImpact", "mustBe", "mustNotBe",
    "mustBeGreaterThan", "mustBeGreaterOrEqualTo", "mustBeLessThan", "mustBeLessOrEqualTo",
    "mustBeBetween", "mustNotBeBetween",
}  # fmt: skip
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


def plain_values(value: Any) -> Any:
    """Returns a YAML document with dates as ISO texts, which the JSON Schema requires."""
    if isinstance(value, Mapping):
        return {key: plain_values(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain_values(item) for item in value]
    return value.isoformat() if isinstance(value, dt.date) else value


def schema_errors(document: Mapping[str, Any]) -> list[str]:
    """Checks a document against the JSON Schema of the standard.

    Returns:
        A line per error, with column and key.
    """
    from jsonschema import Draft201909Validator

    # Of a column without a type the standard's schema reports a vector's keys.
    untyped = [
        f"column `{prop.get('name')}`: key `logicalType` is missing; "
        f"allowed: {', '.join(get_args(LogicalType))}"
        for table in _mappings(document.get("schema"))
        for prop in _mappings(table.get("properties"))
        if "logicalType" not in prop
    ]
    if untyped:
        return untyped
    schema = json.loads((files("open_data_contract_standard") / "schema.json").read_bytes())
    errors = list(Draft201909Validator(schema).iter_errors(document))
    ancestors = ancestor_places(tuple(error.absolute_path) for error in errors)
    problems = []
    for error in errors:
        path = tuple(error.absolute_path)
        # An invalid key also makes its parent "unevaluated": report only the innermost error.
        if error.validator == "unevaluatedProperties" and path in ancestors:
            continue
        if len(path) > 1 and path[-2] == "customProperties" and isinstance(path[-1], int):
            problems += _custom_property(document, path, error)
        else:
            problems.append(f"{_where(document, path)}{shorten(error.message)}")
    return list(dict.fromkeys(problems))


def _custom_property(document: Any, path: tuple[str | int, ...], error: Any) -> list[str]:
    """Describes an error in a custom property, with the allowed keys."""
    entry = error.instance
    name = entry.get("property") if isinstance(entry, Mapping) else None
    label = f"custom property `{name}`" if name else f"custom property {int(path[-1]) + 1}"
    parent = path[:-2]
    if parent[:1] == ("schema",) and len(parent) == 2:
        table = document["schema"][parent[1]]
        label = f"table `{table.get('name')}`: {label}"
    else:
        label = f"{_where(document, parent)}{label}"
    allowed = sorted(error.schema.get("properties", {}))
    unknown = sorted(set(entry) - set(allowed)) if isinstance(entry, Mapping) else []
    if error.validator != "additionalProperties" or not unknown:
        return [f"{label}: {shorten(error.message)}; its keys: {', '.join(allowed)}"]
    return [
        f"{label}: unknown key `{key}`; allowed: {', '.join(allowed)}{suggestion(key, allowed)}"
        for key in unknown
    ]


def unsupported(odcs: standard.OpenDataContractStandard, table: standard.SchemaObject) -> list[str]:
    """Finds parts of the standard that are not supported here.

    Returns:
        A line per problem, with column, key and what to do.
    """
    place, ours, problems = f"table `{table.name}`", (None, "sashiko"), []
    columns = [(f"column `{prop.name}`", prop) for prop in table.properties or []]
    # Custom properties that would be ignored, such as misspelt ones.
    for custom in table.customProperties or []:
        name = custom.property
        if custom.vendor in ours and name not in PROPERTY_FIELDS:
            problems.append(
                f"{place}: unknown custom property `{name}`; allowed: "
                f"{', '.join(PROPERTY_FIELDS)}{suggestion(name, PROPERTY_FIELDS)}; set `vendor` "
                "for another tool's property"
            )
    elsewhere = [("the contract", odcs.customProperties)]
    elsewhere += [(where, prop.customProperties) for where, prop in columns]
    problems += [
        f"{where}: custom property `{custom.property}` is not read here; move it to the table, or "
        "set `vendor` for another tool's property"
        for where, properties in elsewhere
        for custom in properties or []
        if custom.vendor in ours
    ]
    problems += _extra_keys(place, table.model_fields_set, _TABLE_KEYS)
    problems += _rule_problems(place, table.quality or [])
    for where, prop in columns:
        problems += _extra_keys(where, prop.model_fields_set, _COLUMN_KEYS)
        problems += _rule_problems(where, prop.quality or [])
    return problems


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    items = value if isinstance(value, list) else []
    return [item for item in items if isinstance(item, Mapping)]


def _where(document: Any, path: tuple[str | int, ...]) -> str:
    """Describes the column and key of a path such as schema/0/properties/3/logicalType."""
    column = ""
    if path[:1] == ("schema",) and path[2:3] == ("properties",) and len(path) > 3:
        prop = document["schema"][path[1]]["properties"][path[3]]
        name = prop.get("name", path[3]) if isinstance(prop, Mapping) else path[3]
        column = f"column `{name}`: "
        path = path[4:]
    key = ".".join(str(part) for part in path)
    return f"{column}key `{key}`: " if key else column


def _extra_keys(place: str, keys: Set[str], supported: Set[str]) -> list[str]:
    return [f"{place}: key `{key}` is not supported; remove it" for key in sorted(keys - supported)]


def _rule_problems(place: str, rules: list[standard.DataQuality]) -> Iterator[str]:
    for rule in rules:
        if rule.type not in (None, "library"):
            yield (
                f"{place}: a quality rule of type `{rule.type}` cannot be checked; write it as a "
                "`library` rule, or move it to the description"
            )
            continue
        yield from _extra_keys(f"{place}: quality", rule.model_fields_set, _RULE_KEYS)
        yield from _extra_keys(
            f"{place}: quality.arguments", set(rule.arguments or {}), set(ARGUMENT_FIELDS)
        )
        if rule.unit not in (None, "rows", "percent"):
            yield f"{place}: key `quality.unit`: {rule.unit!r} is neither `rows` nor `percent`"


def parse_contract(document: Mapping[str, Any], *, source: str, sha256: str) -> Contract:
    """Converts an ODCS document to a contract.

    Raises:
        InputError: one line per problem with file, column, key and what to do.
    """
    plain = plain_values(document)
    _raise_problems(schema_errors(plain), source=source)
    odcs = standard.OpenDataContractStandard.model_validate(plain)
    if odcs.apiVersion < "v3.1.0":
        problem = f"key `apiVersion`: {odcs.apiVersion}; use v3.1.0 or newer"
        _raise_problems([problem], source=source)
    tables = odcs.schema_ or []
    if len(tables) != 1:
        problem = f"key `schema`: expected one table, found {len(tables)}; one file per table"
        _raise_problems([problem], source=source)
    table, problems, columns = tables[0], list[str](), []
    _raise_problems(unsupported(odcs, table), source=source)
    for prop in table.properties or []:
        try:
            columns.append(_column(prop, source=source))
        except InputError as error:  # so that all are reported at once
            problems += str(error).splitlines()
    _raise_problems(problems, source=source)
    description = odcs.description
    values = {
        "id": odcs.id,
        "version": odcs.version,
        "sha256": sha256,
        "table": table.physicalName or table.name,
        "title": odcs.name or table.name,
        "description": _join_paragraphs(description and description.purpose, table.description),
        "limitations": _join_paragraphs(description and description.limitations),
        "columns": columns,
        "freshness": _freshness(odcs, table, source=source),
        "quality": [_rule(rule) for rule in table.quality or []],
        "domain": odcs.domain,
    }
    for custom in table.customProperties or []:
        if custom.property in PROPERTY_FIELDS and custom.vendor in (None, "sashiko"):
            values[PROPERTY_FIELDS[custom.property]] = custom.value
    try:
        contract = validate(Contract, values, source=f"{source}: table `{table.name}`")
    except InputError as error:
        raise InputError(_use_standard_terms(str(error))) from error
    _raise_problems(contradictions(contract), source=source)
    return contract


def _column(prop: standard.SchemaProperty, *, source: str) -> Column:
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


def _rule(rule: standard.DataQuality) -> dict[str, Any]:
    operator = next(key for key in sorted(rule.model_fields_set) if key.startswith("must"))
    arguments = (rule.arguments or {}).items()
    return {
        "metric": rule.metric,
        "operator": operator,
        "value": getattr(rule, operator),
        "percent": rule.unit == "percent",
        "description": rule.description or "",
        **{ARGUMENT_FIELDS[key]: value for key, value in arguments if key in ARGUMENT_FIELDS},
    }


def _freshness(
    odcs: standard.OpenDataContractStandard, table: standard.SchemaObject, *, source: str
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


def _raise_problems(problems: list[str], *, source: str) -> None:
    if problems:
        problems = [_use_standard_terms(problem) for problem in problems]
        lines = [line if line.startswith(source) else f"{source}: {line}" for line in problems]
        raise InputError(join_problems(lines))


def _use_standard_terms(text: str) -> str:
    for field, term in _STANDARD_TERMS.items():
        text = text.replace(field, term)
    return text
