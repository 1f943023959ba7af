"""What is guessed of a data set, read back as a run reads it."""

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sashiko.contract.model import TextHashSplit, TimeSplit
from sashiko.data.draft.review import review_lines
from sashiko.data.ingest import check_file
from sashiko.errors import InputError
from tests.unit.data.draft.conftest import ROWS, columns

DAYS = [(dt.date(2025, 1, 1) + dt.timedelta(days=n // 2)).isoformat() for n in range(ROWS)]


def test_the_draft_is_valid_and_its_own_file_passes_it(draft):
    contract, recipe = draft(columns(), facets=["Group"])
    assert (contract.table, recipe.name, contract.key) == ("visits", "visits", "visit_id")
    assert contract.column("visit_id").physical_name == "Visit ID"
    verdict = check_file(Path("visits.csv"), contract)
    assert verdict.passed, verdict.summary


def test_the_rarer_label_is_the_positive_one(draft):
    contract, _ = draft(columns())
    assert (contract.label.column, contract.label.positive) == ("no_show", "yes")


def test_the_group_with_the_smallest_share_is_the_one_that_bias_may_harm(draft):
    labels = ["yes" if n % 10 == 0 else "no" for n in range(ROWS)]  # all of group a
    contract, recipe = draft(
        columns(No_Show=labels, Group=["ab"[n % 2] for n in range(ROWS)]), facets=["group"]
    )
    assert contract.facets[0].disadvantaged == ("b",)
    [gate] = recipe.bias.gates
    assert recipe.reweighing.facets == ("group",)
    assert (gate.metric, gate.facet, gate.minimum, gate.maximum) == ("DI", "group", 0.8, 1.25)


def test_every_facet_is_gated_and_reweighed(draft):
    bands = ["18-39", "40-59", "60+", "unknown"] * (ROWS // 4)
    _, recipe = draft(columns(Age_Band=bands), facets=["Age Band", "Group"])
    assert [(gate.metric, gate.facet, gate.minimum) for gate in recipe.bias.gates] == [
        ("DI", "age_band", 0.8),
        ("DI", "group", 0.8),
    ]
    assert recipe.reweighing.facets == ("age_band", "group")


def test_a_model_must_be_better_than_the_linear_one_as_in_the_shipped_recipes(draft):
    _, recipe = draft(columns())
    gates = [(gate.metric, gate.better_than, gate.margin) for gate in recipe.quality.gates]
    assert ("auc", "tfidf_logistic_regression", 0) in gates
    [line] = [
        line
        for line in Path("recipes/visits.yaml").read_text().splitlines()
        if "tfidf_logistic_regression" in line
    ]
    assert "# review: if it closes: train on more rows" in line


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (list(range(ROWS)), "integer"),
        ([n / 8 for n in range(ROWS)], "number"),
        (["true", "false"] * (ROWS // 2), "boolean"),
        (DAYS, "date"),
        ([f"{day}T08:30:00" for day in DAYS], "timestamp"),
        ([f"{n:05d}" for n in range(ROWS)], "string"),  # leading zeros are no number
        (["31/12/2024"] * ROWS, "date"),
        (["" if n % 5 else "7" for n in range(ROWS)], "integer"),
        ([""] * ROWS, "string"),
    ],
)
def test_types(draft, values, kind):
    contract, _ = draft(columns(Extra=values))
    assert contract.column("extra").logical_type == kind
    assert check_file(Path("visits.csv"), contract).passed


def test_a_date_splits_by_time_into_three_parts_with_both_labels(draft):
    contract, _ = draft(columns(Seen_On=DAYS))
    split = contract.split
    assert isinstance(split, TimeSplit)
    assert split.column == "seen_on"
    parts = [day < str(split.validation_from) for day in DAYS]
    assert 0.6 < sum(parts) / ROWS < 0.8
    assert str(split.validation_from) < str(split.test_from) <= DAYS[-1]


@pytest.mark.parametrize(
    "dates", [None, ["2025-01-01"] * ROWS, ["", *DAYS[1:]], ["2025-01-01", *DAYS[-1:] * (ROWS - 1)]]
)
def test_without_a_date_that_will_do_the_split_is_by_text(draft, dates):
    contract, _ = draft(columns(Seen_On=dates))
    assert isinstance(contract.split, TextHashSplit)


def test_a_date_does_not_split_if_a_part_would_lack_a_label(draft):
    labels = ["yes"] * 40 + ["no"] * (ROWS - 40)
    contract, _ = draft(columns(Seen_On=DAYS, No_Show=labels))
    assert isinstance(contract.split, TextHashSplit)


def test_a_file_without_a_key_is_numbered(draft):
    contract, _ = draft(columns(Visit_ID=None))
    assert (contract.key, contract.ingest.row_number) == ("row_number", "row_number")
    assert check_file(Path("visits.csv"), contract).passed


def test_an_unnamed_index_is_skipped(draft):
    contract, _ = draft({"": range(ROWS), **columns()})
    assert contract.key == "row_number"
    assert check_file(Path("visits.csv"), contract).passed


def test_persons_are_kept_from_training_and_their_values_out_of_the_files(draft):
    secret = [("ana@x.org", "bo@y.org")[n % 2] for n in range(ROWS)]
    contract, recipe = draft(
        columns(
            Client_Name=["Ana", "Bo"] * (ROWS // 2),
            Reached_At=secret,
            Sex=["f", "m"] * (ROWS // 2),
            Phone=[str(5_550_000 + n) for n in range(ROWS)],
        )
    )
    classes = {column.name: column.classification for column in contract.columns}
    assert (classes["client_name"], classes["phone"]) == ("pii", "pii")
    assert (classes["reached_at"], classes["sex"]) == ("pii", "sensitive")
    assert contract.text_columns == ("kind", "group")
    assert recipe.text.template == "kind {kind}, group {group}"
    written = (
        Path("contracts/visits.odcs.yaml").read_text() + Path("recipes/visits.yaml").read_text()
    )
    for value in ("ana@x.org", "Ana", "5550000"):
        assert value not in written


def test_300_categories_are_text_and_not_a_list_of_allowed_values(draft):
    table = columns(Code=[f"P-{n % 100}" for n in range(ROWS)])
    contract, _ = draft(table)
    assert contract.column("code").allowed_values == ()
    assert contract.column("kind").allowed_values == ("first", "follow-up", "second")
    assert "code" in contract.text_columns


def test_without_a_facet_bias_is_not_judged_and_a_candidate_is_named(draft):
    contract, recipe = draft(columns(Age_Band=["18-39", "40+"] * (ROWS // 2)))
    assert (contract.facets, recipe.bias.judged) == ((), False)
    assert "age_band may tell groups" in Path("recipes/visits.yaml").read_text()


def test_blanks_and_stand_ins_for_missing_are_recognized(draft):
    kinds = [(" first", "?", "second ")[n % 3] for n in range(ROWS)]
    contract, _ = draft(columns(Kind=kinds))
    assert contract.ingest.trim
    assert contract.ingest.null_values == ("", "?")
    assert contract.column("kind").allowed_values == ("first", "second")
    assert not contract.column("kind").required
    assert check_file(Path("visits.csv"), contract).passed


def test_parquet_with_its_own_types(draft, repository):
    table = columns(No_Show=[n % 5 == 0 for n in range(ROWS)])
    paid = [n / 2 for n in range(ROWS)]
    when = [dt.datetime(2025, 1, 1 + n // 10, 8) for n in range(ROWS)]
    parquet = pa.table(table | {"Paid": paid, "When": when})
    kinds = pa.chunked_array([parquet["Kind"].combine_chunks().dictionary_encode()])
    parquet = parquet.set_column(parquet.column_names.index("Kind"), "Kind", kinds)
    pq.write_table(parquet, repository / "visits.parquet")
    contract, _ = draft(repository / "visits.parquet")
    assert (contract.label.positive, contract.label.negative) == ("true", "false")
    assert contract.column("when").logical_type == "timestamp"
    assert check_file(repository / "visits.parquet", contract).passed


def test_hostile_names_and_values_stay_values(draft):
    hostile = "# review: {a}, 'b': [\"c\"]\n- d"
    kinds = [(hostile, "yes", "null: ~")[n % 3] for n in range(ROWS)]
    contract, _ = draft(
        columns(Kind=kinds) | {"Füße: {x} #1": kinds, "Kind ": kinds, "年齢": kinds}
    )
    assert set(contract.column("kind").allowed_values) == {hostile, "yes", "null: ~"}
    names = [column.name for column in contract.columns]
    assert names[-3:] == ["fusse_x_1", "kind_2", "column_7"]
    assert check_file(Path("visits.csv"), contract).passed


def test_every_guess_is_marked(draft):
    draft(columns(Paid=[n / 2 for n in range(ROWS)]), facets=["Group"])
    fixed = "    logicalType: object"
    guessed = ("logicalType:", "logicalTypeOptions:", "classification:", "description: ", "enum:",
               "primaryKey:", "required:", "disadvantaged:", "positive:", "kind: text_hash",
               "template:", "minimum:", "strength:")  # fmt: skip
    for file in ("contracts/visits.odcs.yaml", "recipes/visits.yaml"):
        marked = review_lines(Path(file))
        for number, line in enumerate(Path(file).read_text().splitlines(), 1):
            if any(word in line for word in guessed) and line != fixed:
                assert number in marked, line


def test_nothing_is_ever_overwritten(draft):
    draft(columns())
    before = Path("contracts/visits.odcs.yaml").read_bytes()
    with pytest.raises(InputError, match=r"contracts/visits.odcs.yaml is there already: add --rep"):
        draft(columns(), facets=["Group"])
    assert Path("contracts/visits.odcs.yaml").read_bytes() == before
    Path("contracts/visits.odcs.yaml").unlink()
    with pytest.raises(InputError, match=r"recipes/visits.yaml is there already"):
        draft(columns())
    assert not Path("contracts/visits.odcs.yaml").exists()


@pytest.mark.parametrize(
    ("table", "options", "expected"),
    [
        (columns(), {"label": "Noshow"}, "no column `Noshow` for --label; the file has `Visit ID`"),
        (columns(), {"facets": ["Grp"]}, "no column `Grp` for --facet"),
        (columns(), {"label": "Kind"}, "`Kind` has 3 values ('first', 'follow-up', 'second')"),
        (columns(No_Show=["no"] * ROWS), {}, "`No Show` has 1 value ('no')"),
        (columns(No_Show=["", *["yes", "no"] * 99, "no"]), {}, "no value in 1 of 200 rows"),
        (
            columns(Group=["", *["a"] * 99, *["b"] * 100]),
            {"facets": ["Group"]},
            "such as `unknown`",
        ),
        (columns(), {"facets": ["Visit ID"]}, "200 different values"),
        (columns(), {"facets": ["Group", "Group"]}, "named twice"),
        (columns(), {"facets": ["No Show"]}, "`No Show` is the label"),
        (columns(Kind=None, Group=None), {}, "no column is left for the text"),
    ],
)
def test_what_cannot_be_drafted_is_one_clear_error(draft, table, options, expected):
    with pytest.raises(InputError) as caught:
        draft(table, **options)
    assert expected in str(caught.value)
    assert not Path("contracts").exists()
