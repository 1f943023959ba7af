from typing import Any

import pytest

from sashiko.errors import InputError
from tests.unit.contract.documents import contract_of, document, table_of


def _with(*filters: dict[str, Any]) -> dict[str, Any]:
    edited = document()
    rows = {"property": "rowFilters", "value": list(filters)}
    table_of(edited)["customProperties"].append(rows)
    return edited


def _filter(condition: str = "late = 'yes'", **more: Any) -> dict[str, Any]:
    columns = {"persona": "data-scientist", "columns": ["loan_id", "late"]}
    return columns | {"filter": condition} | more


@pytest.mark.parametrize(
    "condition",
    [
        "late = 'yes'",
        "late <> 'it''s; late' AND (pages >= 100 OR price < -1.5)",
        "title like 'A%' and lent_at is not null",
        "pages between 10 and 20 or late in ('yes', 'no')",
        "lent_at > timestamp '2025-01-01 00:00:00'",
    ],
)
def test_a_condition_that_lake_formation_reads_is_taken_as_it_stands(condition, tmp_path):
    contract = contract_of(_with(_filter(condition)), tmp_path)
    assert contract.row_filters[0].filter == condition


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ([_filter(columns=["loan_id", "lateness"])], r"persona data-scientist: no column `latenes"),
        ([_filter(columns=["loan_id", "reader"])], r"column `reader` is pii; it may read none,"),
        ([_filter(columns=["loan_id", "age"])], r"column `age` is sensitive; it may read none,"),
        ([_filter("lat = 'yes'")], r"key `filter`: no column `lat`; the columns are loan_id"),
        ([_filter("reader = 'a@x.org'")], r"key `filter`: column `reader` is pii"),
        ([_filter("late = 'yes'; drop")], r"key `filter`: cannot read '; drop'"),
        ([_filter('late = "yes"')], r"key `filter`: cannot read"),
        ([_filter("late =")], r"key `filter`: 'late =' is not a valid condition: "),
        ([_filter("late and and pages > 1")], r"is not a valid condition: "),
        ([_filter("pages > 'many'")], r"is not a valid condition: .*'many'"),
        ([_filter("late = 'yes') or (1 = 1")], r"is not a valid condition: "),
        ([_filter(), _filter("pages > 1")], r"data-scientist has 2; join them by OR into one"),
        ([_filter(persona="training")], r"key `rowFilters.0.persona`.*'broker'"),
        ([_filter(columns=[])], r"key `rowFilters.0.columns`"),
        ([_filter(persona="broker")], r"broker and bias-evaluator .* the same `filter`"),
        ([_filter(persona="broker")], r"its snapshot needs lent_at, pages, price, title as well"),
    ],
)
def test_what_is_wrong_with_a_row_filter_is_reported_with_reader_and_column(
    filters, message, tmp_path
):
    with pytest.raises(InputError, match=message) as error:
        contract_of(_with(*filters), tmp_path)
    assert str(tmp_path) in str(error.value).splitlines()[0]
    assert "rowFilters" in str(error.value)


def test_both_snapshots_may_be_of_the_same_part_of_the_rows(tmp_path):
    training = ["loan_id", "lent_at", "pages", "price", "title", "late"]
    facets = ["loan_id", "age", "late"]
    filters = [
        _filter(persona="broker", columns=training),
        _filter(persona="bias-evaluator", columns=facets),
    ]
    assert len(contract_of(_with(*filters), tmp_path).row_filters) == 2
    filters[1]["filter"] = "late = 'no'"
    with pytest.raises(InputError, match=r"the same `filter`"):
        contract_of(_with(*filters), tmp_path)
