"""What the Glue job needs to know of a contract, as the plain record that it can read."""

import datetime as dt
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from sashiko.aws.glue_job.spec import Check, LoadSpec, RowRule, SpecColumn
from sashiko.contract import rule_table as kinds
from sashiko.contract.dqdl import dqdl_ruleset
from sashiko.contract.java_regex import java_regex
from sashiko.contract.model import Contract
from sashiko.contract.rules import Expectation, expectations
from sashiko.contract.text_form import column_form
from sashiko.errors import InputError

# Which expectation judges single rows, and as which check of the job.
_ROW_CHECKS: Mapping[str, Check] = MappingProxyType(
    {
        kinds.TYPE: "type",
        kinds.NOT_NULL: "not_null",
        kinds.UNIQUE: "unique",
        kinds.TOGETHER: "unique",
        kinds.IN_SET: "in_set",
        kinds.NOT_IN_SET: "not_in_set",
        kinds.BETWEEN: "bounds",
        kinds.LENGTH: "length",
        kinds.REGEX: "regex",
    }
)
# Those that judge the table as a whole are for the ruleset alone.
_TABLE_KINDS = (
    kinds.COLUMNS,
    kinds.ROWS,
    kinds.MAXIMUM,
    kinds.SHARE_FILLED,
    kinds.SHARE_UNIQUE,
)


def load_spec(contract: Contract) -> LoadSpec:
    """Renders a contract for the Glue job: columns, cleaning, row rules and the DQDL ruleset.

    Raises:
        InputError: if an expectation is of a kind that neither judges rows nor the table, or as
            `dqdl_ruleset`.
    """
    found = (_row_rule(contract, item) for item in expectations(contract, "all"))
    ingest = contract.ingest
    return LoadSpec(
        contract=f"{contract.id} {contract.version}",
        table=contract.table,
        key=contract.key,
        columns=tuple(
            SpecColumn(
                name=column.name,
                # The job numbers rows itself, under the contract's name.
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
        rules=tuple(rule for rule in found if rule is not None),
        ruleset=dqdl_ruleset(contract).text,
    )


def _row_rule(contract: Contract, item: Expectation) -> RowRule | None:
    """Returns the rule that a row keeps or breaks; None where the table as a whole is judged."""
    if item.kind in _TABLE_KINDS or "mostly" in item.arguments:
        return None
    if item.kind not in _ROW_CHECKS:
        raise InputError(
            f"{contract.table}: `{item.name}`: nothing says whether `{item.kind}` judges a row or "
            "the table; say it in sashiko.contract.load_spec"
        )
    columns = item.arguments.get("column_list") or [item.arguments["column"]]
    return RowRule(
        name=item.name,
        check=_ROW_CHECKS[item.kind],
        columns=tuple(columns),
        arguments=_arguments(item),
    )


def _arguments(item: Expectation) -> dict[str, Any]:
    given = item.arguments
    if "value_set" in given:
        return {"values": given["value_set"]}
    if "regex" in given:
        return {"pattern": java_regex(given["regex"])}
    if item.kind in (kinds.BETWEEN, kinds.LENGTH):
        return {
            "low": _plain(given.get("min_value")),
            "high": _plain(given.get("max_value")),
            "strict": given.get("strict_min", given.get("strict_max", False)),
        }
    return {}


def _plain(end: Any) -> Any:
    return end.isoformat() if isinstance(end, dt.datetime) else end
