"""Runs a contract's suite on a table and converts Great Expectations' results to checks."""

import copy
import datetime as dt
import html
from collections.abc import Mapping
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from sashiko.base.parquet import TableStream
from sashiko.contract.model import Contract, View
from sashiko.contract.rule_expectations import (
    COMPLEMENTS,
    LENGTH,
    NOT_NULL,
    Expectation,
    expectations,
)
from sashiko.evaluation.gates.verdict import Check

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations import ExpectationSuite
    from great_expectations.core import ExpectationSuiteValidationResult
    from great_expectations.data_context import EphemeralDataContext

Threshold = float | tuple[float, float] | None
_EXAMPLES = 3
_EXAMPLE_CHARACTERS = 40
# Four times as many save 5 % of the time, and take 120 MB more where the rows have a text.
BATCH_ROWS = 65_536
_SITE = "docs"


def expectation_suite(contract: Contract, view: View) -> "ExpectationSuite":
    """Builds the suite: an expectation per rule, in the order of the contract.

    Each expectation's `meta["name"]` is the name of its check.

    Raises:
        InputError: if a rule of the contract has no row in the rule table.
    """
    from great_expectations import ExpectationSuite
    from great_expectations.expectations.registry import get_expectation_impl

    return ExpectationSuite(
        name=f"{contract.table}-{view}",
        expectations=[
            get_expectation_impl(item.kind)(**item.arguments, meta={"name": item.name})
            for item in expectations(contract, view)
        ],
    )


def to_check(expectation: Expectation, result: Any) -> Check:
    """Converts a result to a check.

    The check's value is the number of failing rows (or their percentage, if the rule allows some)
    or the observed number. An exception in the expectation is a failed check with a separate name,
    since Great Expectations reports it like a failing value.
    """
    # An exception is at the top level, or below a metric's id.
    info = result.exception_info
    for entry in [info] if "raised_exception" in info else info.values():
        if entry.get("raised_exception"):
            return Check(
                name=f"{expectation.name} (expectation could not run)",
                passed=False,
                reason=" ".join(str(entry.get("exception_message")).split()),
                try_="check the data for a missing column or a wrong type, then check the rule",
            )
    passed = bool(result.success)
    value, threshold, comparison = _numbers(expectation, result.result)
    return Check(
        name=expectation.name,
        value=value,
        threshold=threshold,
        comparison=comparison,
        passed=passed,
        reason="" if passed else _reason(expectation, result.result),
        try_="" if passed else expectation.advice,
    )


def _numbers(
    expectation: Expectation, details: Mapping[str, Any]
) -> tuple[float | None, Threshold, str]:
    """Returns value, threshold and comparison; None and `none` if they are not numbers."""
    arguments, observed = expectation.arguments, details.get("observed_value")
    if "unexpected_count" in details:
        if "mostly" in arguments:
            return float(details["unexpected_percent"]), _percent(arguments["mostly"]), "<="
        return float(details["unexpected_count"]), 0.0, "<="
    if not isinstance(observed, Real):
        return None, None, "none"
    value = float(observed)
    or_equal = "" if {"strict_min", "strict_max"} & set(arguments) else "="
    if expectation.kind in COMPLEMENTS:
        # The rule limits missing or repeated values, the expectation the remaining ones.
        return _percent(value), _percent(arguments["min_value"]), f"<{or_equal}"
    low: Any = arguments.get("min_value")
    high: Any = arguments.get("max_value")
    if low is not None and high is not None:
        return value, (float(low), float(high)), "in_range"
    end, sign = (low, ">") if high is None else (high, "<")
    return value, float(end), f"{sign}{or_equal}"


def _percent(remaining: float) -> float:
    return round(100 * (1 - remaining), 6)


def _reason(expectation: Expectation, details: Mapping[str, Any]) -> str:
    if mismatched := details.get("details", {}).get("mismatched"):
        words = sorted(mismatched.items())
        return "; ".join(f"{word}: {', '.join(names)}" for word, names in words)
    if "unexpected_count" in details:
        reason = f"{details['unexpected_count']:,} of {details['element_count']:,} rows fail"
        # No value that is sensitive, personal, or a long free text.
        if expectation.confidential or expectation.kind in (LENGTH, NOT_NULL):
            return reason
        texts = dict.fromkeys(str(value) for value in details.get("partial_unexpected_list", []))
        examples = [repr(text[:_EXAMPLE_CHARACTERS]) for text in texts][:_EXAMPLES]
        return f"{reason}, such as {', '.join(examples)}" if examples else reason
    observed = details.get("observed_value")
    if isinstance(observed, dt.datetime):
        return f"the newest is {observed.isoformat()}"
    if observed is None:
        return "the column has no values"
    return f"found {observed}" if isinstance(observed, str) else ""


def run_checks(
    stream: TableStream, contract: Contract, view: View, *, docs: Path | None = None
) -> tuple[Check, ...]:
    """Runs the suite of a view, on a batch of `BATCH_ROWS` rows at a time.

    Verdicts, counts and examples equal those of the suite on the whole table. The context is in
    memory, and analytics are disabled. The rows have the Arrow types of `derive.ARROW_TYPES`. Data
    Docs go to the folder `docs`; None builds none.

    Returns:
        A check per expectation, in the order of the contract.

    Raises:
        InputError: if the disk is full while duplicates are counted.
    """
    from sashiko.contract.merged_metrics import MergedMetrics

    context = _context(docs)
    frames = context.data_sources.add_pandas("pandas")
    asset = frames.add_dataframe_asset(contract.table)
    batch = asset.add_batch_definition_whole_dataframe("all").build_batch_request(
        {"dataframe": _frame(stream.schema.empty_table())}
    )
    suite = context.suites.add(expectation_suite(contract, view))
    validator = context.get_validator(batch_request=batch, expectation_suite=suite)
    metrics = MergedMetrics(
        validator.execution_engine,
        batch_id=validator.active_batch_id,
        stream=stream,
        frame=_frame,
        rows=BATCH_ROWS,
    )
    # There is no public API: a validator creates its calculator itself.
    validator._metrics_calculator = metrics
    # Sensitive and personal values stay out of the Data Docs. Great Expectations has one setting
    # for all columns, so a view with any such column has no failing values in its results.
    form: dict[str, Any] = {"result_format": "SUMMARY"}
    if docs and any(item.classification != "none" for item in contract.view_columns(view)):
        form["partial_unexpected_count"] = 0
    outcome = validator.validate(suite, result_format=form)
    if metrics.fault is not None:
        raise metrics.fault
    if docs is not None:
        _build_docs(context, outcome)
    results = {item.expectation_config.meta["name"]: item for item in outcome.results}
    return tuple(to_check(item, results[item.name]) for item in expectations(contract, view))


def _build_docs(
    context: "EphemeralDataContext", outcome: "ExpectationSuiteValidationResult"
) -> None:
    from great_expectations.data_context.types import resource_identifiers as identifiers

    # It is the fingerprint of the empty frame that represents the table.
    outcome.meta["batch_markers"].pop("pandas_data_fingerprint", None)
    suite = identifiers.ExpectationSuiteIdentifier(name=outcome.suite_name)
    escaped = copy.deepcopy(outcome)
    for item in escaped.results:
        item.result = _escape_html(item.result)
        item.exception_info = _escape_html(item.exception_info)
    context.validation_results_store.store_validation_results(
        suite_validation_result=escaped,
        suite_validation_result_identifier=identifiers.ValidationResultIdentifier(
            batch_identifier=outcome.batch_id,
            expectation_suite_identifier=suite,
            run_id=outcome.meta["run_id"],
        ),
        expectation_suite_identifier=suite,
    )
    context.build_data_docs(site_names=[_SITE])


def _escape_html(value: Any) -> Any:
    """Escapes the texts in a result, since Great Expectations writes values unescaped to HTML."""
    if isinstance(value, str):
        return html.escape(value)
    if isinstance(value, dict):
        return {_escape_html(key): _escape_html(item) for key, item in value.items()}
    return [_escape_html(item) for item in value] if isinstance(value, list | tuple) else value


def _context(docs: Path | None) -> "EphemeralDataContext":
    import great_expectations as gx
    from great_expectations.data_context.types import base

    site = {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
        "store_backend": {
            "class_name": "TupleFilesystemStoreBackend",
            "base_directory": str(docs and docs.absolute()),
        },
    }
    config = base.DataContextConfig(
        store_backend_defaults=base.InMemoryStoreBackendDefaults(),
        data_docs_sites={_SITE: site} if docs else {},
        analytics_enabled=False,
        progress_bars=base.ProgressBarsConfig(globally=False),
    )
    return gx.get_context(mode="ephemeral", project_config=config)


def _frame(table: pa.Table) -> "pd.DataFrame":
    """Converts a table to pandas with the types of the rule table; integers may be null."""
    import pandas as pd

    nullable = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    frame: pd.DataFrame = table.to_pandas(date_as_object=False, types_mapper=nullable.get)
    return frame
