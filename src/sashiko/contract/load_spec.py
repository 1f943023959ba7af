"""The Glue job's specification, a plain record derived from a contract."""

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

from sashiko.contract import rule_expectations as kinds
from sashiko.contract.dqdl import dqdl_ruleset, java_regex
from sashiko.contract.glue_job.spec import Check, LoadSpec, RowRule, SpecColumn
from sashiko.contract.model import Contract
from sashiko.contract.rule_expectations import expectations
from sashiko.contract.text_form import column_form
from sashiko.errors import InputError

# Expectations on single rows -> the job's check.
_ROW_CHECKS: Mapping[str, Check] = {
    kinds.TYPE: "type", kinds.NOT_NULL: "not_null", kinds.UNIQUE: "unique",
    kinds.COMPOUND_UNIQUE: "unique", kinds.IN_SET: "in_set", kinds.NOT_IN_SET: "not_in_set",
    kinds.BETWEEN: "bounds", kinds.LENGTH: "length", kinds.REGEX: "regex",
}  # fmt: skip
# Expectations on the table as a whole are only in the ruleset.
_TABLE_KINDS = (kinds.COLUMNS, kinds.ROWS, kinds.MAXIMUM, kinds.NON_NULL_SHARE, kinds.UNIQUE_SHARE)


def load_spec(contract: Contract) -> LoadSpec:
    """Renders a contract for the Glue job: columns, cleaning, row rules and the DQDL ruleset.

    Raises:
        InputError: if the kind of an expectation is unknown, or as `dqdl_ruleset`.
    """
    ingest = contract.ingest
    return LoadSpec(
        contract=f"{contract.id} {contract.version}",
        table=contract.table,
        key=contract.key,
        columns=tuple(
            SpecColumn(
                name=column.name,
                # The job adds the row number under the contract's name.
                physical_name=column.name
                if column.name == ingest.row_number
                else column.physical_name,
                type=column.logical_type,
                form=column_form(column, ingest),
            )
            for column in contract.columns
        ),
        delimiter=ingest.delimiter,
        encoding=ingest.encoding,
        trim=ingest.trim,
        null_values=ingest.null_values,
        row_number=ingest.row_number,
        rules=tuple(_row_rules(contract)),
        ruleset=dqdl_ruleset(contract).text,
    )


def _row_rules(contract: Contract) -> Iterator[RowRule]:
    """Yields the rules that a row keeps or breaks; of the others the table as a whole is judged."""
    for item in expectations(contract, "all"):
        given, arguments = item.arguments, dict[str, Any]()
        if item.kind in _TABLE_KINDS or "mostly" in given:
            continue
        if item.kind not in _ROW_CHECKS:
            raise InputError(
                f"{contract.table}: `{item.name}`: `{item.kind}` is neither a row check nor a "
                "table check; add it to sashiko.contract.load_spec"
            )
        if "value_set" in given:
            arguments["values"] = given["value_set"]
        elif "regex" in given:
            arguments["pattern"] = java_regex(given["regex"])
        elif item.kind in (kinds.BETWEEN, kinds.LENGTH):
            arguments["low"] = _plain(given.get("min_value"))
            arguments["high"] = _plain(given.get("max_value"))
            arguments["strict"] = given.get("strict_min", given.get("strict_max", False))
        columns = tuple(given.get("column_list") or [given["column"]])
        check = _ROW_CHECKS[item.kind]
        yield RowRule(name=item.name, check=check, columns=columns, arguments=arguments)


def _plain(end: Any) -> Any:
    return end.isoformat() if isinstance(end, dt.datetime) else end
