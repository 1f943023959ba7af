"""Runs a contract's suite on a table and turns what Great Expectations says into checks."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from sashiko.contract.model import Contract, View
from sashiko.contract.results import to_check
from sashiko.contract.rules import expectations
from sashiko.contract.suite import expectation_suite
from sashiko.gates.verdict import Check

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations.data_context import EphemeralDataContext

_SITE = "docs"


def run_checks(
    table: pa.Table, contract: Contract, view: View, *, docs: Path | None = None
) -> tuple[Check, ...]:
    """Runs the suite of a view.

    Nothing is sent anywhere: the context lives in memory, without analytics.

    Args:
        table: the rows, with the Arrow types of `derive.ARROW_TYPES`.
        contract: the contract.
        view: which columns the table shows.
        docs: a folder for the Data Docs; none are built without it.

    Returns:
        A check per expectation, in the order of the contract.
    """
    import great_expectations as gx

    context = _context(docs)
    frames = context.data_sources.add_pandas("pandas")
    batch = frames.add_dataframe_asset(contract.table).add_batch_definition_whole_dataframe("all")
    suite = context.suites.add(expectation_suite(contract, view))
    definition = context.validation_definitions.add(
        gx.ValidationDefinition(name=suite.name, data=batch, suite=suite)
    )
    checkpoint = context.checkpoints.add(
        gx.Checkpoint(
            name=suite.name,
            validation_definitions=[definition],
            result_format=_result_format(contract, view, docs),
        )
    )
    outcome = checkpoint.run(batch_parameters={"dataframe": _frame(table)})
    if docs is not None:
        context.build_data_docs(site_names=[_SITE])
    (run,) = outcome.run_results.values()
    results = {item.expectation_config.meta["name"]: item for item in run.results}
    return tuple(to_check(item, results[item.name]) for item in expectations(contract, view))


def _result_format(contract: Contract, view: View, docs: Path | None) -> dict[str, Any]:
    """Keeps sensitive and personal values out of the Data Docs.

    Great Expectations has one setting for all columns, so a view that shows any such column has
    no failing values in its results at all.
    """
    discreet = any(column.classification != "none" for column in contract.view_columns(view))
    hidden = {"partial_unexpected_count": 0} if docs is not None and discreet else {}
    return {"result_format": "SUMMARY", **hidden}


def _context(docs: Path | None) -> "EphemeralDataContext":
    import great_expectations as gx
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    sites: dict[str, Any] = {}
    if docs is not None:
        sites[_SITE] = {
            "class_name": "SiteBuilder",
            "show_how_to_buttons": False,
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
            "store_backend": {
                "class_name": "TupleFilesystemStoreBackend",
                "base_directory": str(docs.absolute()),
            },
        }
    config = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(),
        data_docs_sites=sites,
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False),
    )
    return gx.get_context(mode="ephemeral", project_config=config)


def _frame(table: pa.Table) -> "pd.DataFrame":
    """Makes the pandas columns whose types the rule table names; nulls keep integers integers."""
    import pandas as pd

    nullable = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    frame: pd.DataFrame = table.to_pandas(date_as_object=False, types_mapper=nullable.get)
    return frame
