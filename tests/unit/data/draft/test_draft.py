"""What is guessed of a data set, read back as a run reads it."""

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from sashiko.commands.contract import app
from sashiko.contract.model import TextHashSplit, TimeSplit
from sashiko.data.draft.column_drafts import describe_personal
from sashiko.data.draft.review import review_lines
from sashiko.data.ingest import check_file
from sashiko.errors import InputError
from tests.unit.data.draft.conftest import ROWS, columns, write_csv

DAYS = [(dt.date(2025, 1, 1) + dt.timedelta(days=n // 2)).isoformat() for n in range(ROWS)]


def test_the_draft_is_valid_and_its_own_file_passes_it(draft):
    contract, recipe = draft(columns(), facets=["Group"])
    assert (contract.table, recipe.name, contract.key) == ("visits", "visits", "visit_id")
    assert contract.column("visit_id").physical_name == "Visit ID"
    verdict = check_file(Path("visits.csv"), contract)
    assert verdict.passed, verdict.summary


@pytest.mark.parametrize(("name", "values", "favourable"), [
    ("No Show", ["yes", "no"], ["no"]),
    ("Defaulted", ["1", "0"], ["0"]),
    ("Decision", ["granted", "not granted"], ["granted"]),
    ("Antrag", ["abgelehnt", "genehmigt", "teilweise genehmigt"],
     ["genehmigt", "teilweise genehmigt"]),
    ("Result", ["late", "open", "closed"], ["closed", "open"]),
    ("Check", ["no fraud", "fraud"], ["no fraud"]),
    ("Desk", ["cards", "loans", "loans", "cards", "mortgages, \"old\""], ["mortgages, \"old\""]),
    ("Colour", ["yes", "no", "no"], ["yes"]),
])  # fmt: skip
def test_what_is_favourable_is_told_by_words_or_else_the_rarest(draft, name, values, favourable):
    labels = [values[n % len(values)] for n in range(ROWS)]
    contract, _ = draft(columns(No_Show=None) | {name: labels}, label=name)
    assert list(contract.label.favourable) == favourable
    assert set(contract.classes) == set(values)
    assert check_file(Path("visits.csv"), contract).passed


def test_a_label_of_numbers_is_drafted_as_classes_and_says_so(draft):
    contract, recipe = draft(columns(No_Show=[1 + n % 5 for n in range(ROWS)]))
    assert sorted(contract.classes) == ["1", "2", "3", "4", "5"]
    assert [(gate.metric, gate.minimum) for gate in recipe.quality.gates if gate.minimum] == [
        ("balanced_accuracy", 0.3),
        ("worst_class_recall", 0.1),
    ]
    text = Path("contracts/visits.odcs.yaml").read_text()
    assert "each a class of its own without an order" in text


@pytest.mark.parametrize(("values", "kind", "above"), [
    ([n % 60 - 20 for n in range(ROWS)], "integer", 6),
    ([n / 8 for n in range(ROWS)], "number", 99 / 8),
    ([(n % 3) / 2 for n in range(ROWS)], "number", 0.5),
    # Above the median there would be no row.
    ([n if n < 60 else 250 for n in range(ROWS)], "integer", 59),
])  # fmt: skip
def test_a_number_is_favourable_above_the_middle(draft, values, kind, above):
    contract, recipe = draft(columns(No_Show=None, Days_Left=values), label="Days Left")
    assert (contract.is_number, contract.label.above) == (True, above)
    column = contract.column("days_left")
    assert (column.logical_type, column.required, column.allowed_values) == (kind, True, ())
    assert check_file(Path("visits.csv"), contract).passed
    gates = [(gate.metric, gate.better_than) for gate in recipe.quality.gates]
    assert gates == [
        ("r2", None), ("interval_coverage", None), ("r2", "mean"),
        ("r2", "tfidf_ridge_regression"), ("r2", "champion"),
    ]  # fmt: skip
    [line] = [
        line
        for line in Path("contracts/visits.odcs.yaml").read_text().splitlines()
        if "kind: number" in line
    ]
    share = sum(value > above for value in values) / ROWS
    assert f"# review: a value near the middle, with {100 * share:.1f} % of the rows above" in line
    assert "turn the sign of the column in the data" in line


def test_the_group_with_fewer_rows_above_the_bound_is_disadvantaged(draft):
    table = columns(No_Show=None, Amount=[n / 8 for n in range(ROWS)])
    table["Group"] = ["a" if n % 2 and n < 100 else "b" for n in range(ROWS)]
    contract, _ = draft(table, label="Amount", facets=["Group"])
    assert contract.facets[0].disadvantaged == ("a",)


def test_the_group_with_the_smallest_share_is_the_one_that_bias_may_harm(draft):
    labels = ["yes" if n % 10 == 0 else "no" for n in range(ROWS)]  # each no-show is of group a
    contract, recipe = draft(
        columns(No_Show=labels, Group=["ab"[n % 2] for n in range(ROWS)]), facets=["group"]
    )
    assert contract.facets[0].disadvantaged == ("a",)
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
    assert "# review: if it fails: train on more rows" in line


@pytest.mark.parametrize(("values", "kind"), [
    (list(range(ROWS)), "integer"),
    ([n / 8 for n in range(ROWS)], "number"),
    (["true", "false"] * (ROWS // 2), "boolean"),
    (DAYS, "date"),
    ([f"{day}T08:30:00" for day in DAYS], "timestamp"),
    ([f"{n:05d}" for n in range(ROWS)], "string"),  # leading zeros are no number
    (["31/12/2024"] * ROWS, "date"),
    (["" if n % 5 else "7" for n in range(ROWS)], "integer"),
    ([""] * ROWS, "string"),
])  # fmt: skip
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
    assert contract.label.favourable == ("false",)
    assert set(contract.classes) == {"false", "true"}
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
               "primaryKey:", "required:", "disadvantaged:", "favourable:", "kind: text_hash",
               "template:", "minimum:", "strength:")  # fmt: skip
    for file in ("contracts/visits.odcs.yaml", "recipes/visits.yaml"):
        marked = review_lines(Path(file))
        for number, line in enumerate(Path(file).read_text().splitlines(), 1):
            if any(word in line for word in guessed) and line != fixed:
                assert number in marked, line


@pytest.mark.parametrize(("table", "options", "expected"), [
    (columns(), {"label": "Noshow"}, "no column `Noshow` for --label; the file has `Visit ID`"),
    (columns(), {"facets": ["Grp"]}, "no column `Grp` for --facet"),
    (columns(No_Show=[f"desk {n % 21}" for n in range(ROWS)]), {}, "2 to 20 classes: join rare"),
    (columns(No_Show=[f"{n} days" for n in range(ROWS)]), {},
     "they look like numbers: write each as a plain number; '0 days' is none"),
    (columns(No_Show=[f"{n:03}" for n in range(ROWS)]), {}, "plain number, without leading zeros"),
    (columns(No_Show=["unknown", *range(1, ROWS)]), {}, "plain number; 'unknown' is none"),
    (columns(No_Show=["inf", *range(1, ROWS)]), {}, "`No Show` is infinite in 1 of 200 rows"),
    (columns(No_Show=["nan", *range(1, ROWS)]), {}, "no value in 1 of 200 rows"),
    (columns(No_Show=[7.5] * ROWS), {}, "`No Show` has 1 value ('7.5')"),
    (columns(No_Show=["no"] * ROWS), {}, "`No Show` has 1 value ('no')"),
    (columns(No_Show=["", *["yes", "no"] * 99, "no"]), {}, "no value in 1 of 200 rows"),
    (columns(Group=["", *["a"] * 99, *["b"] * 100]), {"facets": ["Group"]}, "such as `unknown`"),
    (columns(), {"facets": ["Visit ID"]}, "200 different values"),
    (columns(), {"facets": ["Group", "Group"]}, "named twice"),
    (columns(), {"facets": ["No Show"]}, "`No Show` is the label"),
    (columns(Kind=None, Group=None), {}, "no column is left for the text"),
])  # fmt: skip
def test_what_cannot_be_drafted_is_one_clear_error(draft, table, options, expected):
    with pytest.raises(InputError) as caught:
        draft(table, **options)
    assert expected in str(caught.value)
    assert not Path("contracts").exists()


FEW = ["a", "b"] * (ROWS // 2)

# The same 150 customers come again and again.
CUSTOMERS = [f"K{7 * n % 150:03d}" for n in range(ROWS)]


def _kept_out(contract, recipe, name: str) -> bool:
    return (
        contract.column(name).classification == "pii"
        and name not in contract.text_columns
        and f"{{{name}}}" not in recipe.text.template
    )


@pytest.mark.parametrize(("name", "values"), [
    ("Kundennummer", CUSTOMERS),
    ("Customer No", [f"C{n}" for n in range(ROWS)]),
    ("Postcode", [f"AB{n % 40} 1XY" for n in range(ROWS)]),
    ("Straße", ["Am Markt 1", "Am Ring 2"] * (ROWS // 2)),
    ("Case Ref", [f"{n // 2}" for n in range(ROWS)]),  # called as a key is
    ("rownames", [f"Mazda RX{n}" for n in range(ROWS)]),
    ("Konto", [4_000_000 + 37 * n for n in range(ROWS)]),  # many digits in every value
    ("Folge", list(range(1, ROWS + 1))),  # a running number
    ("Marke", [f"x{n:04x}" for n in range(ROWS - 4)] + ["x0000"] * 4),  # nearly a key
    ("Token", [f"{n:08x}-aaaa-bbbb-cccc-{n:012x}" for n in range(ROWS)]),
])  # fmt: skip
def test_what_finds_a_row_or_a_person_again_is_kept_from_training(draft, name, values):
    contract, recipe = draft(columns() | {name: values})
    [column] = [column for column in contract.columns if column.physical_name == name]
    assert _kept_out(contract, recipe, column.name)
    text = Path("contracts/visits.odcs.yaml").read_text()
    assert "classification: pii  # review: " in text
    assert contract.key == "visit_id"
    assert check_file(Path("visits.csv"), contract).passed


@pytest.mark.parametrize(("name", "values"), [
    ("Amount", [37 * n * n % 9973 for n in range(ROWS)]),  # nearly all different
    ("Price", [n * 1.25 for n in range(ROWS)]),
    ("Product No", [f"P{n % 40}" for n in range(ROWS)]),  # a thing's, many rows to each
    ("Ward No", [n % 9 for n in range(ROWS)]),
    ("Note", [f"arrived late by {n} minutes and left" for n in range(ROWS)]),
    ("備考", [f"予約は{n}分遅れて到着しましたが、診察は予定どおりでした。" for n in range(ROWS)]),
])  # fmt: skip
def test_what_describes_a_row_is_trained_on(draft, name, values):
    contract, _ = draft(columns() | {name: values})
    column = contract.columns[-1]
    assert (column.physical_name, column.classification) == (name, "none")
    assert column.name in contract.text_columns


def test_a_customer_number_is_no_key_although_it_tells_the_rows_apart(draft):
    numbers = [f"K{n}" for n in range(ROWS)]
    contract, recipe = draft(columns(Visit_ID=None) | {"Kundennummer": numbers})
    assert contract.key == "row_number"
    assert _kept_out(contract, recipe, "kundennummer")


def test_rows_that_come_twice_are_named_with_count_rows_and_advice(draft):
    table = {name: [*values, *values[10:14]] for name, values in columns().items()}
    contract, _ = draft(table)
    assert contract.limitations == "4 rows repeat an earlier one in every column."
    line = "review: such as rows 201, 202, 203: remove what was loaded twice, or say why"
    assert line in Path("contracts/visits.odcs.yaml").read_text()
    assert (
        "4 rows repeat an earlier one in every column, such as rows 201, 202, 203: remove at the "
        "source what was loaded twice, and start again"
    ) in draft.notes
    assert any(
        note.startswith("visit_id is nearly a key: 4 of 204 rows repeat an earlier value, such as")
        for note in draft.notes
    )
    assert contract.key == "row_number"
    assert contract.column("visit_id").classification == "pii"


def test_rows_that_differ_in_their_key_alone_are_named_as_well(draft):
    notes = [f"seen for the {n % 190}th time in this room, and then sent home" for n in range(ROWS)]
    table = {"Visit ID": columns()["Visit ID"], "Note": notes, "No Show": FEW}
    contract, _ = draft(table)
    assert contract.limitations == "10 rows repeat an earlier one in every column but visit_id."
    assert contract.key == "visit_id"


def test_a_file_without_repetition_says_nothing_of_it(draft):
    texts = [f"seen for the {n}th time in this room, and then sent home" for n in range(ROWS)]
    contract, _ = draft(columns(Note=texts))
    assert contract.limitations == "Not known."
    assert not any("repeat" in note for note in draft.notes)


LABELS = ["yes" if n % 5 == 0 else "no" for n in range(ROWS)]
_LEFT_OUT = "Left out, as each predicts the label alone: "


def test_a_leaking_column_is_left_out_of_the_text_and_a_guess_to_review(draft):
    table = columns(No_Show=LABELS, Reason=["ill" if x == "yes" else "" for x in LABELS])
    contract, recipe = draft(table)
    assert contract.text_columns == ("kind", "group")
    assert "{reason}" not in recipe.text.template
    assert contract.column("reason").classification == "none"
    text = Path("contracts/visits.odcs.yaml").read_text()
    assert (
        "# review: alone it predicts the label yes with an AUC of 1.000 (filled in 100.0 % of the "
        "rows with it and 0.0 % of the others)" in text
    )
    assert f"{_LEFT_OUT}reason" in text
    [note] = [note for note in draft.notes if "each predicts the label alone" in note]
    assert note.endswith(": reason (AUC 1.000)")


def test_a_column_that_nearly_tells_the_label_apart_is_a_question(draft):
    waits = [n % 7 + (40 if x == "yes" and n % 100 else 0) for n, x in enumerate(LABELS)]
    contract, _ = draft(columns(No_Show=LABELS, Wait=waits))
    assert "wait" in contract.text_columns
    text = Path("contracts/visits.odcs.yaml").read_text()
    assert "is it known when the model predicts?" in text
    assert _LEFT_OUT not in text
    assert any(note.startswith("nearly predicts the label") for note in draft.notes)


def test_rows_are_not_split_by_a_date_that_tells_the_label_apart(draft):
    rows = 2000
    late = {*range(1800, rows)} - {1850, 1900} | {700, 1500}  # each part in time has both labels
    days = [dt.date(2020, 1, 1) + dt.timedelta(days=n) for n in range(rows)]
    table = {
        "Kind": [("first", "second", "follow-up")[n % 3] for n in range(rows)],
        "Missed On": [day.isoformat() for day in days],
        "No Show": ["yes" if n in late else "no" for n in range(rows)],
    }
    contract, _ = draft(table)
    assert contract.split.kind == "text_hash"


@pytest.mark.parametrize(("text", "what"), [
    ("call me under 0171 2345678 please", "a phone number"),
    ("call +44 20 7946 0000", "a phone number"),
    ("Telefon (030) 901820-11", "a phone number"),
    ("write to ana.lind@example.org, thanks", "an e-mail address"),
    ("card 4111 1111 1111 1111 was charged twice", "a card number"),
    ("card 5500005555555559", "a card number"),
    ("to DE89 3704 0044 0532 0130 00", "an IBAN"),
])  # fmt: skip
def test_personal_data_with_a_form_are_counted(text, what):
    texts = pa.array([text, "nothing here", "nor here", None, "nor here"])
    assert f"25.0 % have {what}" in describe_personal(texts)


@pytest.mark.parametrize("text", [
    "paid 1.234,56 on 02.01.2023 and 0.75 later",
    "on 2023-01-02 at 10:30, order 2023-000123",
    "number 4111 1111 1111 1112 fails its check digit",
    "the score was 3:2 @ home",
])  # fmt: skip
def test_amounts_dates_and_numbers_are_none(text):
    assert describe_personal(pa.array([text])) == ""


def test_the_draft_says_so_in_its_note_and_on_the_columns_line(draft):
    texts = [f"I could not come, {n % 9} days of fever{' 0171 2345678' * (n % 5 == 0)}" for n in
             range(ROWS)]  # fmt: skip
    draft(columns(Reason_Given=texts))
    assert "reason_given: of the texts 20.0 % have a phone number" in draft.notes
    written = Path("contracts/visits.odcs.yaml").read_text()
    assert (
        "# review: of the texts 20.0 % have a phone number: read some, and classify it" in written
    )


WRITTEN_DAYS = [f"{1 + n % 28:02d}.{1 + n // 28 % 12:02d}.2025" for n in range(ROWS)]


@pytest.mark.parametrize("first", ["17,50", "03.04.2025", "42"])
def test_a_file_without_a_header_is_refused_by_the_value_in_its_place(draft, first):
    table = columns(**{"No Show": None}) | {
        first: {"17,50": [f"{n},25" for n in range(ROWS)], "03.04.2025": WRITTEN_DAYS}.get(
            first, list(range(ROWS))
        ),
        "No Show": ["no", "yes"] * (ROWS // 2),
    }
    path = write_csv(Path("visits.csv"), table, delimiter=";")
    with pytest.raises(InputError, match="the first line seems to be a row") as error:
        draft(path)
    assert f"`{first}`" in str(error.value)


def test_years_are_names_of_columns(draft):
    contract, _ = draft(columns(**{"2024": list(range(5, ROWS + 5))}))
    assert contract.column("column_2024").logical_type == "integer"


@pytest.mark.parametrize(("rows", "positives"), [(49, 20), (ROWS, 4)])
def test_a_file_that_no_run_takes_is_drafted_with_a_warning(draft, rows, positives):
    table = {name: values[:rows] for name, values in columns().items()}
    table["No Show"] = ["yes"] * positives + ["no"] * (rows - positives)
    draft(table)
    warning = f"{rows} rows, {positives} of them labelled yes: `sashiko run` will refuse this"
    assert any(note.startswith(warning) for note in draft.notes)


def test_an_ordinary_file_has_no_warning(draft):
    draft(columns())
    assert not any("will refuse" in note for note in draft.notes)


def test_a_draft_is_replaced_on_request_alone():
    write_csv(Path("visits.csv"), columns())
    arguments = ["init", "visits.csv", "--label", "No Show"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    contract = Path("contracts/visits.odcs.yaml")
    contract.write_text("reviewed\n")
    again = CliRunner().invoke(app, [*arguments, "--facet", "Group"])
    assert "add --replace to draft both files again" in str(again.exception)
    assert contract.read_text() == "reviewed\n"
    contract.unlink()
    again = CliRunner().invoke(app, arguments)
    assert "recipes/visits.yaml is there already" in str(again.exception)
    assert not contract.exists()
    done = CliRunner().invoke(app, [*arguments, "--facet", "Group", "--replace"])
    assert done.exit_code == 0
    assert "disadvantaged" in contract.read_text()
