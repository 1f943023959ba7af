"""Validation of an ODCS document: the standard's schema, then the subset that is supported here."""

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Set
from importlib.resources import files
from typing import Any, get_args

from open_data_contract_standard.model import (
    CustomProperty,
    DataQuality,
    OpenDataContractStandard,
    SchemaObject,
)

from sashiko.base.problems import ancestor_places, shorten, suggestion
from sashiko.contract.columns import LogicalType

# Supported custom properties of the table -> fields of `Contract`.
PROPERTY_FIELDS: Mapping[str, str] = {
    "label": "label",
    "facets": "facets",
    "groupVariable": "group_variable",
    "split": "split",
    "textColumns": "text_columns",
    "acceptedLeaks": "accepted_leaks",
    "ingest": "ingest",
    "rowFilters": "row_filters",
}
# Arguments of quality rules -> fields of `QualityRule`.
ARGUMENT_FIELDS: Mapping[str, str] = {
    "validValues": "valid_values",
    "pattern": "pattern",
    "missingValues": "missing_values",
    "properties": "properties",
}

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

    missing_types = [*_missing_types(document)]
    if missing_types:
        return missing_types
    schema = json.loads((files("open_data_contract_standard") / "schema.json").read_bytes())
    errors = list(Draft201909Validator(schema).iter_errors(document))
    ancestors = ancestor_places(tuple(error.absolute_path) for error in errors)
    problems = []
    for error in errors:
        path = tuple(error.absolute_path)
        # An invalid key also makes its parent "unevaluated": report only the innermost error.
        if error.validator == "unevaluatedProperties" and path in ancestors:
            continue
        if _is_custom_property(path):
            problems += _custom_property(document, path, error)
        else:
            problems.append(f"{_where(document, path)}{shorten(error.message)}")
    return list(dict.fromkeys(problems))


def _is_custom_property(path: tuple[str | int, ...]) -> bool:
    return len(path) > 1 and path[-2] == "customProperties" and isinstance(path[-1], int)


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


def is_supported(prop: CustomProperty) -> bool:
    """Returns whether this project reads a table's custom property."""
    return prop.property in PROPERTY_FIELDS and prop.vendor in (None, "sashiko")


def unsupported(odcs: OpenDataContractStandard, table: SchemaObject) -> list[str]:
    """Finds parts of the standard that are not supported here.

    Returns:
        A line per problem, with column, key and what to do.
    """
    problems = [*_unsupported_properties(odcs, table)]
    problems += _extra_keys(f"table `{table.name}`", table.model_fields_set, _TABLE_KEYS)
    problems += _rule_problems(f"table `{table.name}`", table.quality or [])
    for prop in table.properties or []:
        place = f"column `{prop.name}`"
        problems += _extra_keys(place, prop.model_fields_set, _COLUMN_KEYS)
        problems += _rule_problems(place, prop.quality or [])
    return problems


def _missing_types(document: Mapping[str, Any]) -> Iterator[str]:
    """Finds columns without a type, for which the standard's schema reports a vector's keys."""
    for table in _mappings(document.get("schema")):
        for prop in _mappings(table.get("properties")):
            if "logicalType" not in prop:
                yield (
                    f"column `{prop.get('name')}`: key `logicalType` is missing; "
                    f"allowed: {', '.join(get_args(LogicalType))}"
                )


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


def _unsupported_properties(odcs: OpenDataContractStandard, table: SchemaObject) -> Iterator[str]:
    """Finds custom properties that would be ignored, such as misspelt ones."""
    for prop in table.customProperties or []:
        if not is_supported(prop) and prop.vendor in (None, "sashiko"):
            yield (
                f"table `{table.name}`: unknown custom property `{prop.property}`; allowed: "
                f"{', '.join(PROPERTY_FIELDS)}{suggestion(prop.property, PROPERTY_FIELDS)}; set "
                "`vendor` for another tool's property"
            )
    places = [("the contract", odcs.customProperties)]
    places += [(f"column `{p.name}`", p.customProperties) for p in table.properties or []]
    for place, properties in places:
        for prop in properties or []:
            if prop.vendor in (None, "sashiko"):
                yield (
                    f"{place}: custom property `{prop.property}` is not read here; move it to the "
                    "table, or set `vendor` for another tool's property"
                )


def _extra_keys(place: str, keys: Set[str], supported: Set[str]) -> list[str]:
    return [f"{place}: key `{key}` is not supported; remove it" for key in sorted(keys - supported)]


def _rule_problems(place: str, rules: list[DataQuality]) -> Iterator[str]:
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
