"""How a file is written: detected, stated in the contract, and read so by the contract."""

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from sashiko.commands.contract import app
from sashiko.contract.load import load_contract
from sashiko.contract.model import TextHashSplit, TimeSplit
from sashiko.data.ingest import check_file, typed_batches
from sashiko.errors import InputError
from tests.unit.data.draft.conftest import ROWS, columns, write_csv

DAYS = [dt.date(2025, 1, 1) + dt.timedelta(days=n) for n in range(ROWS)]
FIRSTS = [f"{1 + n % 12:02d}/{1 + n // 12 % 12:02d}/2025" for n in range(ROWS)]  # no day above 12
PRICES = [f"{n * 7.25:,.2f}".translate(str.maketrans(",.", ".,")) for n in range(ROWS)]


def _typed(contract, name: str) -> list:
    batches = typed_batches(Path("visits.csv"), contract)
    return pa.Table.from_batches(batches).column(name).to_pylist()


@pytest.mark.parametrize("encoding", ["windows-1252", "utf-16", "utf-8-sig"])
def test_a_german_file_is_read_and_split_by_time(draft, encoding):
    table = columns(
        Preis=PRICES,
        Gewicht=[f"{200 + 9 * n:,}".replace(",", ".") for n in range(ROWS)],
        Am=[f"{day:%d.%m.%Y}" for day in DAYS],
        Kind=[("früh", "spät", "über Nacht")[n % 3] for n in range(ROWS)],
    )
    contract, _ = draft(
        write_csv(Path("visits.csv"), table, delimiter=";", encoding=encoding), facets=["Group"]
    )
    rules = contract.ingest
    assert (rules.delimiter, rules.decimal, rules.thousands) == (";", ",", ".")
    assert rules.encoding == encoding.removesuffix("-sig")
    assert _typed(contract, "preis")[-1] == (ROWS - 1) * 7.25
    assert _typed(contract, "gewicht")[-1] == 200 + 9 * (ROWS - 1)
    assert contract.column("gewicht").logical_type == "integer"
    assert contract.column("am").options.format == "dd.MM.yyyy"
    assert _typed(contract, "am") == DAYS
    assert isinstance(contract.split, TimeSplit)
    assert check_file(Path("visits.csv"), contract).passed
    written = Path("contracts/visits.odcs.yaml").read_text()
    assert "digits that no number keeps" not in written
    assert draft.notes[-1] == "split: by time, on am"


def test_a_label_of_numbers_is_read_by_the_files_marks(draft):
    table = columns(No_Show=None, Preis=PRICES)
    contract, _ = draft(write_csv(Path("visits.csv"), table, delimiter=";"), label="Preis")
    assert contract.label.above == (ROWS // 2 - 1) * 7.25
    assert _typed(contract, "preis")[-1] == (ROWS - 1) * 7.25
    assert check_file(Path("visits.csv"), contract).passed


@pytest.mark.parametrize(("values", "delimiter", "options", "first"), [
    (["12.5", "1.234"], ",", {}, 12.5),
    (["12,5", "1.234,75"], ";", {}, 12.5),
    (["1.234", "850"], ";", {}, 1234),  # points are likelier between thousands here
    (["1.234", "850"], ";", {"decimal": "."}, 1.234),
    (["1.234", "850"], ",", {}, 1.234),
    (["1.234", "850"], ",", {"decimal": ","}, 1234),
    (["1,234", "850"], ",", {}, 1234),
    (["1,234", "850"], ";", {}, 1.234),
    (["1,234.5", "850"], ",", {}, 1234.5),
    (["1 234,5", "850"], ";", {}, 1234.5),
    (["1'234.5", "850"], ",", {}, 1234.5),
])  # fmt: skip
def test_numbers_are_read_by_the_marks_that_fit_the_file(draft, values, delimiter, options, first):
    table = columns(Paid=(values * ROWS)[:ROWS])
    contract, _ = draft(write_csv(Path("visits.csv"), table, delimiter=delimiter), **options)
    assert _typed(contract, "paid")[0] == first
    assert check_file(Path("visits.csv"), contract).passed


def test_a_number_that_could_be_another_one_is_named_unless_the_file_tells(draft):
    either = columns(Paid=["1.234", "850"] * (ROWS // 2))
    draft(write_csv(Path("visits.csv"), either, delimiter=";"))
    ambiguity = "`1.234` is read as 1234 but could be 1.234"
    assert any(ambiguity in note and "--decimal point" in note for note in draft.notes)
    assert f"# review: {ambiguity}" in Path("contracts/visits.odcs.yaml").read_text()

    unambiguous = write_csv(Path("other.csv"), either | {"Rate": ["0,5"] * ROWS}, delimiter=";")
    draft(unambiguous)
    assert not any("could be" in note for note in draft.notes)


@pytest.mark.parametrize(
    ("values", "pattern", "first"),
    [
        (["31.12.2024", "01.02.2025"], "dd.MM.yyyy", dt.date(2024, 12, 31)),
        (["1.2.2025", "31.12.2024"], "d.M.yyyy", dt.date(2025, 2, 1)),
        (["01.02.25", "03.04.25"], "dd.MM.yy", dt.date(2025, 2, 1)),
        (["01/02/2025", "31/01/2025"], "dd/MM/yyyy", dt.date(2025, 2, 1)),
        (["01/02/2025", "01/31/2025"], "MM/dd/yyyy", dt.date(2025, 1, 2)),
        (["2025/02/01", "2025/01/31"], "yyyy/MM/dd", dt.date(2025, 2, 1)),
        (["20250201", "20250131"], "yyyyMMdd", dt.date(2025, 2, 1)),
        (["01.02.2025 8:05", "31.01.2025 12:30"], "dd.MM.yyyy H:mm",
         dt.datetime(2025, 2, 1, 8, 5, tzinfo=dt.UTC)),
        (["2025-02-01", "2025-01-31"], None, dt.date(2025, 2, 1)),
    ],
)  # fmt: skip
def test_dates_are_read_by_the_format_that_every_value_has(draft, values, pattern, first):
    contract, _ = draft(columns(Seen_On=(values * ROWS)[:ROWS]))
    assert contract.column("seen_on").options.format == pattern
    assert _typed(contract, "seen_on")[0] == first
    assert check_file(Path("visits.csv"), contract).passed


def test_where_no_value_tells_day_and_month_apart_a_person_must(draft):
    with pytest.raises(
        InputError, match=r"`Seen On`.* dd/MM/yyyy and as MM/dd/yyyy.* --date-order"
    ):
        draft(columns(Seen_On=FIRSTS))
    contract, _ = draft(columns(Seen_On=FIRSTS), date_order="mdy")
    assert contract.column("seen_on").options.format == "MM/dd/yyyy"
    assert any("as --date-order says" in note for note in draft.notes)


@pytest.mark.parametrize(("other", "pattern"), [
    ({"Born": ["31/01/1990"] * ROWS}, "dd/MM/yyyy"),
    ({"Born": ["01/31/1990"] * ROWS}, "MM/dd/yyyy"),
    ({"Rate": ["0,5"] * ROWS}, "dd/MM/yyyy"),
])  # fmt: skip
def test_the_rest_of_the_file_tells_day_and_month_apart(draft, other, pattern):
    contract, _ = draft(columns(Seen_On=FIRSTS) | other)
    assert contract.column("seen_on").options.format == pattern


@pytest.mark.parametrize("value", ["17.13.2025", "30.02.2025", "soon"])
def test_a_column_that_is_nearly_of_dates_is_named_and_so_is_the_split_by_text(draft, value):
    days = [f"{day:%d.%m.%Y}" for day in DAYS]
    days[16] = value
    contract, _ = draft(columns(Seen_On=days))
    assert contract.column("seen_on").logical_type == "string"
    assert isinstance(contract.split, TextHashSplit)
    assert draft.notes[-1].startswith("split: by a hash of the text, not by time: no column is")
    assert "seen_on: most of its values are dates such as dd.MM.yyyy, but row 17" in draft.notes[-1]


def test_a_date_of_birth_splits_nothing_and_the_draft_says_so(draft):
    contract, _ = draft(columns(Geburtsdatum=[f"{day:%d.%m.%Y}" for day in DAYS]))
    assert isinstance(contract.split, TextHashSplit)
    assert "geburtsdatum may not be read for it, and no other column" in draft.notes[-1]


def test_a_delimiter_and_an_encoding_that_a_person_names_are_taken(draft):
    path = Path("visits.csv")
    table = columns(Kind=["früh|x", "spät|y"] * (ROWS // 2))
    contract, _ = draft(
        write_csv(path, table, delimiter="\t", encoding="iso-8859-15"),
        delimiter="\t",
        encoding="iso-8859-15",
    )
    assert (contract.ingest.delimiter, contract.ingest.encoding) == ("\t", "iso-8859-15")
    assert contract.column("kind").allowed_values == ("früh|x", "spät|y")
    assert check_file(path, contract).passed


def test_a_mark_that_parts_the_header_alone_is_no_delimiter(draft):
    contract, _ = draft(columns() | {"Side (a;b;c;d;e;f;g)": list("ab") * (ROWS // 2)})
    assert contract.ingest.delimiter == ","
    assert contract.columns[-1].physical_name == "Side (a;b;c;d;e;f;g)"


def test_bytes_of_no_known_encoding_are_refused_with_the_option_that_names_it(draft):
    path = write_csv(Path("visits.csv"), columns())
    path.write_bytes(path.read_bytes() + b"\x81,a,b,no\n")
    with pytest.raises(InputError, match=r"neither UTF-8 nor windows-1252 .* --encoding"):
        draft(path)


def test_texts_in_another_language_than_the_encoders_are_named(draft):
    draft(columns(Kind=["früh", "spät"] * (ROWS // 2)))
    recipe = Path("recipes/visits.yaml").read_text()
    assert "# review: an encoder for English, and the texts of 100 % of the rows" in recipe


def test_the_command_takes_what_a_person_says_in_words_that_a_shell_leaves_alone(repository):
    table = columns(Paid=["1.234", "850"] * (ROWS // 2), Seen_On=FIRSTS)
    write_csv(Path("visits.csv"), table, delimiter=";")
    options = ("--delimiter", "semicolon", "--decimal", "point", "--date-order", "mdy")
    result = CliRunner().invoke(app, ["init", "visits.csv", "--label", "No Show", *options])
    assert result.exit_code == 0, result.output
    assert "visits.csv: read with `;` between values; the contract says so" in result.stderr
    assert "visits.csv: seen_on: every value is a date, read as MM/dd/yyyy" in result.stderr
    contract = load_contract(Path("contracts/visits.odcs.yaml"))
    assert _typed(contract, "paid")[0] == 1.234
