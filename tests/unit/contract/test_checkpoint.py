import datetime as dt
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sashiko.base.parquet import TableStream
from sashiko.contract import suite_checks
from sashiko.contract.model import Contract, View
from sashiko.contract.rule_expectations import RULE_TABLE, expectations
from sashiko.contract.suite_checks import expectation_suite, run_checks
from sashiko.errors import InputError
from sashiko.evaluation.gates.verdict import Check
from tests.unit.contract.documents import (
    column_of,
    contract_of,
    document,
    every_rule,
    rows,
    stream_of,
)


def _checks(edited: dict[str, Any], folder: Path, **changes: list[Any]) -> dict[str, Check]:
    contract = contract_of(edited, folder)
    return {c.name: c for c in run_checks(stream_of(rows(contract, **changes)), contract, "all")}


def test_every_row_of_the_rule_table_passes_good_rows(tmp_path):
    contract = contract_of(every_rule(), tmp_path)
    kinds = {item.kind for item in expectations(contract, "all")}
    assert kinds == {row.kind for row in RULE_TABLE}
    checks = run_checks(stream_of(rows(contract)), contract, "all")
    assert [c.name for c in checks] == [e.name for e in expectations(contract, "all")]
    assert [c for c in checks if not c.passed] == []


def test_every_row_of_the_rule_table_blocks_bad_rows(tmp_path):
    when = [dt.datetime(2025, 3, 1, tzinfo=dt.UTC)] * 7
    checks = _checks(
        every_rule(), tmp_path, loan_id=["a", "a", "b", None, "c", "d", "e"],
        lent_at=[*when[:5], dt.datetime(2026, 1, 1, tzinfo=dt.UTC), None],
        pages=[0, 500, 500, None, None, 1, 2], price=[99.5, 99.5, 99.5, None, None, None, 1.0],
        title=["?", "?", None, "lower case title", "x", "y", "A9"],
        reader=["not an address", "a", *["a@x.org"] * 5],
        age=["young", "young", "old", "old", "ancient", None, "old"],
        late=["yes", "no", "maybe", None, "no", "yes", "yes"],
        due=[dt.date(2024, 3, 1), dt.date(2025, 4, 1), *[None] * 5],
    )  # fmt: skip
    fine = {name for name, check in checks.items() if check.passed}
    assert {name for name in fine if ": type " not in name} == {
        "table: exactly the contract's columns",
        "table: more than 3 rows",
        "table: at least 4 rows",
    }


def test_a_failing_check_says_how_many_which_and_what_to_try(tmp_path):
    check = _checks(document(), tmp_path, late=["yes", "maybe", "no", "maybe"])[
        "late: allowed values"
    ]
    assert not check.passed
    assert (check.value, check.threshold, check.comparison) == (2.0, 0.0, "<=")
    assert check.reason == "2 of 4 rows fail, such as 'maybe'"
    assert "say so in the contract" in check.try_


def test_no_failing_value_of_a_sensitive_or_personal_column_is_repeated(tmp_path):
    changes = {
        "reader": ["Ann Lee", "a@x.org", "b@x.org", None],
        "age": ["young", "old", "x9", "old"],
    }
    checks = _checks(document(), tmp_path, **changes)
    failed = [check for check in checks.values() if not check.passed]
    assert [check.name for check in failed] == ["reader: matches @", "age: allowed values"]
    text = " ".join(check.model_dump_json() for check in failed)
    assert "Ann Lee" not in text
    assert "x9" not in text


def test_a_share_of_nulls_is_reported_in_percent_and_blocks_above_its_limit(tmp_path):
    edited = document()
    limit = {"metric": "nullValues", "mustBeLessThan": 25, "unit": "percent"}
    column_of(edited, "price")["quality"] = [limit]
    check = _checks(edited, tmp_path)["price: less than 25 % nulls"]
    assert not check.passed
    assert (check.value, check.threshold, check.comparison) == (25.0, 25.0, "<")


@pytest.mark.parametrize("day", [7, 11])
def test_rows_too_old_or_from_the_future_are_not_fresh(day, tmp_path):
    late = [dt.datetime(2025, 3, day, tzinfo=dt.UTC)] * 4
    check = _checks(document(), tmp_path, lent_at=late)[
        "lent_at: newest row from 2025-03-08 to 2025-03-10"
    ]
    assert not check.passed
    assert f"2025-03-{day:02}" in check.reason


def test_a_wrong_type_and_a_foreign_column_fail(contract):
    table = rows(contract)
    table = table.set_column(2, "pages", pa.array(["1", "2", "3", "4"]))
    table = table.append_column("shoe_size", pa.array([1, 2, 3, 4]))
    failed = {c.name: c for c in run_checks(stream_of(table), contract, "all") if not c.passed}
    assert failed["pages: type integer"].reason == "found str"
    assert failed["table: exactly the contract's columns"].reason == "unexpected: shoe_size"


def test_an_expectation_that_cannot_run_is_a_failure_of_its_own_name(contract):
    failed = [
        c
        for c in run_checks(stream_of(rows(contract).drop_columns(["title"])), contract, "all")
        if not c.passed
    ]
    names = [check.name for check in failed]
    assert "title: no nulls (expectation could not run)" in names
    assert all(check.reason and check.try_ for check in failed)


def test_data_docs_show_the_rules_and_lie_in_their_folder(tmp_path, contract):
    run_checks(stream_of(rows(contract)), contract, "all", docs=tmp_path / "docs")
    pages = list((tmp_path / "docs").rglob("*.html"))
    assert tmp_path / "docs" / "index.html" in pages
    assert any(re.search("loan_id", page.read_text()) for page in pages)


def _shown(folder: Path, *, view: View, **values: list[str]) -> str:
    """The text of all pages about rows of which some break a rule."""
    contract = contract_of(document(), folder)
    columns = [column.name for column in contract.view_columns(view)]
    table = rows(contract, **values).select(columns)
    run_checks(stream_of(table), contract, view, docs=folder / "docs")
    return "".join(page.read_text() for page in (folder / "docs").rglob("*.html"))


def test_data_docs_show_what_fails_but_no_value_of_a_view_with_sensitive_columns(tmp_path):
    shown = _shown(
        tmp_path, view="all", age=["centenarian", "young", "old", "old"],
        reader=["a secret name", "b@x", "c@x", "d@x"], late=["perhaps", "no", "yes", "no"],
    )  # fmt: skip
    assert "must belong to this set" in shown
    for value in ("centenarian", "a secret name", "perhaps"):
        assert value not in shown
    assert "perhaps" in _shown(tmp_path, view="training", late=["perhaps", "no", "yes", "no"])


DAYS = [dt.datetime(2025, 3, day, 12, tzinfo=dt.UTC) for day in (1, 8, 9, 20)]

CELLS: dict[str, list[Any]] = {
    "loan_id": ["a", "b", "c", "d", "e", "f", None], "lent_at": [*DAYS, None],
    "pages": [0, 100, 200, 400, 2**60, 2**60 + 1, None],
    "price": [0.0, -0.0, 1.25, 9.5, 99.5, float("nan"), None],
    "title": ["Emma", "Dune", "?", "lower case title", "", None],
    "reader": ["b@x.org", "a", "A\nb@x.org", None], "age": ["young", "old", "ancient", None],
    "late": ["yes", "no", None], "due": [dt.date(2025, 3, 1), dt.date(2025, 4, 1), None],
}  # fmt: skip

LINES = st.lists(st.tuples(*(st.sampled_from(cells) for cells in CELLS.values())), max_size=30)


@pytest.fixture(scope="module")
def contract(tmp_path_factory):
    return contract_of(every_rule(), tmp_path_factory.mktemp("every"))


def _results(checks: Sequence[Any]) -> list[str]:
    """Great Expectations' result of each expectation, independent of number types."""
    return [
        json.dumps(
            [item.expectation_config.meta["name"], item.success, item.to_json_dict()["result"]]
        )
        for item in checks
    ]


def _plain_results(frame: pd.DataFrame, contract: Contract) -> list[Any]:
    """Runs a contract's suite on a whole pandas frame, as the manual of Great Expectations does."""
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("pandas").add_dataframe_asset(contract.table)
    suite = context.suites.add(expectation_suite(contract, "all"))
    whole = asset.add_batch_definition_whole_dataframe("all")
    definition = context.validation_definitions.add(
        gx.ValidationDefinition(name="all", data=whole, suite=suite)
    )
    results = definition.run(
        batch_parameters={"dataframe": frame}, result_format={"result_format": "SUMMARY"}
    ).results
    by_name = {item.expectation_config.meta["name"]: item for item in results}
    return [by_name[item.name] for item in expectations(contract, "all")]


@pytest.mark.slow
@given(lines=LINES, batch=st.integers(1, 7), read=st.integers(1, 5))
@example(lines=[], batch=3, read=1)
@example(lines=[(None,) * len(CELLS)] * 5, batch=2, read=2)
@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_table_in_any_batches_gives_the_results_of_the_whole(lines, batch, read, contract):
    columns = dict(zip(CELLS, zip(*lines, strict=True), strict=True)) if lines else {}
    table = rows(contract, **{name: list(columns.get(name, ())) for name in CELLS})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(suite_checks, "BATCH_ROWS", batch)
        patch.setattr(suite_checks, "to_check", lambda _, result: result)
        merged = suite_checks.run_checks(stream_of(table, batch_rows=read), contract, "all")
        whole = _plain_results(suite_checks._frame(table), contract)
    assert _results(merged) == _results(whole)


def test_no_more_than_a_batch_is_in_pandas_at_once(contract, monkeypatch):
    sizes = []
    frame = suite_checks._frame

    def spy(table: pa.Table) -> Any:
        sizes.append(table.num_rows)
        return frame(table)

    monkeypatch.setattr(suite_checks, "BATCH_ROWS", 30)
    monkeypatch.setattr(suite_checks, "_frame", spy)
    table = pa.concat_tables([rows(contract)] * 20)
    checks = suite_checks.run_checks(stream_of(table), contract, "all")
    assert max(sizes) == 30
    (unique,) = (check for check in checks if check.name == "loan_id: unique")
    assert unique.reason == "80 of 80 rows fail, such as 'b', 'a', 'd'"


def test_a_rule_that_no_merge_is_known_for_is_an_error_and_not_judged_by_the_last_batch(
    tmp_path, monkeypatch
):
    other = "expect_column_mean_to_be_between"
    edited = [
        row.__class__(row.rule, row.title, other, lambda _: {"min_value": 0}, row.advice)
        if row.rule == "minimum"
        else row
        for row in RULE_TABLE
    ]
    monkeypatch.setattr("sashiko.contract.rule_expectations.RULE_TABLE", edited)
    small = contract_of(document(), tmp_path)
    assert other in {item.kind for item in expectations(small, "all")}
    with pytest.raises(NotImplementedError, match=r"merge the metric column\.mean of two batches"):
        suite_checks.run_checks(stream_of(rows(small)), small, "all")


def _column(kind: pa.DataType, *values: Any) -> TableStream:
    return stream_of(pa.table({"x": pa.array(values, kind)}), batch_rows=2)


@pytest.fixture
def merged_metrics() -> Any:
    """Its Great Expectations takes seconds to import, in each process that collects tests."""
    from sashiko.contract import merged_metrics

    return merged_metrics


def test_values_with_one_hash_are_distinguished(merged_metrics, monkeypatch):
    monkeypatch.setattr(merged_metrics, "_HASH", "length")
    stream = _column(pa.string(), "ab", "cd", None, "ef", "cd", "g", "hi")
    counts = merged_metrics.find_duplicates(stream, ["x"], examples=20)
    assert (counts.filled, counts.distinct, counts.rows) == (6, 5, 2)
    assert (counts.first["x"].to_pylist(), counts.positions) == (["cd", "cd"], (1, 4))


def test_repetitions_far_apart_are_counted_and_a_nan_is_missing(merged_metrics):
    stream = _column(pa.int64(), *range(500), 7, None, 3, 3)
    counts = merged_metrics.find_duplicates(stream, ["x"], examples=3)
    assert (counts.filled, counts.distinct, counts.rows) == (503, 500, 5)
    assert (counts.first["x"].to_pylist(), counts.positions) == ([3, 7, 7], (3, 7, 500))

    nan = float("nan")
    counts = merged_metrics.find_duplicates(
        _column(pa.float64(), nan, 0.0, nan, -0.0), ["x"], examples=9
    )
    assert (counts.filled, counts.distinct, counts.rows, counts.positions) == (2, 1, 2, (1, 3))


def test_a_disk_with_no_room_to_count_on_is_an_error_and_no_verdict(
    merged_metrics, contract, monkeypatch
):
    """A validator turns any exception into a failed expectation, which would block the run."""
    monkeypatch.setattr(merged_metrics, "_MEMORY_MB", 1)
    keys = [f"a key that is long enough to need room {number}" for number in range(50_000)]
    table = pa.concat_tables([rows(contract)] * (len(keys) // 4))
    table = table.set_column(0, "loan_id", pa.array(keys))
    with pytest.raises(
        InputError, match=r"look for repeated values in .*: Out of Memory.*; free some"
    ):
        suite_checks.run_checks(stream_of(table), contract, "all")


def test_a_batch_that_great_expectations_gives_up_on_is_an_error_and_no_verdict(
    contract, monkeypatch
):
    """It only logs the error, and the counts of the other batches would be taken for all rows."""
    from great_expectations.execution_engine import PandasExecutionEngine

    resolve = PandasExecutionEngine.resolve_metrics

    def broken(engine: Any, *arguments: Any, **keywords: Any) -> Any:
        batches = engine.batch_manager.batch_data_cache.values()
        if any(batch.dataframe.index.start == 3 for batch in batches):
            raise ZeroDivisionError
        return resolve(engine, *arguments, **keywords)

    monkeypatch.setattr(suite_checks, "BATCH_ROWS", 3)
    monkeypatch.setattr(PandasExecutionEngine, "resolve_metrics", broken)
    with pytest.raises(RuntimeError, match="gave up on a batch"):
        suite_checks.run_checks(stream_of(rows(contract)), contract, "all")
