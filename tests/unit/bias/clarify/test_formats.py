from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from sashiko.bias.clarify.analysis import AnalysisConfig, FacetConfig
from sashiko.bias.clarify.counting import count_groups, rows_with
from sashiko.bias.clarify.dataset import read_dataset
from sashiko.errors import InputError
from tests.unit.bias.clarify.configs import GUIDE, NAMES, ROWS, csv_text, folder_of, read, texts

EXPECTED = {"Target": ["0", "0", "1", "1"], "Gender": ["0", "0", "0", "1"]}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(csv_text(), id="as it is"),
        pytest.param("\ufeff" + csv_text(), id="byte order mark"),
        pytest.param(csv_text().replace("\n", "\r\n"), id="line ends of Windows"),
        pytest.param(csv_text().replace("Target", '"Target"'), id="quoted"),
        pytest.param(csv_text().rstrip("\n"), id="no last line end"),
    ],
)
def test_a_csv_is_read_by_name(tmp_path: Path, text: str) -> None:
    folder = folder_of(tmp_path / "data", a_csv=text)
    assert texts(read(GUIDE, folder)) == EXPECTED


def test_a_csv_without_a_header_is_named_by_headers(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "data", a_csv=csv_text(header=()))
    assert texts(read(GUIDE | {"headers": NAMES}, folder)) == EXPECTED


def test_a_first_row_of_texts_is_a_header_but_never_in_silence(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "data", a_csv="yes,old\nno,young\nyes,young\n")
    config = GUIDE | {"label": "yes", "facet": [{"name_or_index": "old"}]}
    with pytest.raises(InputError, match=r"a\.csv: column `yes` also has the value yes.*`headers`"):
        read(config, folder)


def test_unicode_in_names_and_values_is_kept(tmp_path: Path) -> None:
    text = "étiquette,gënre\noui,femme ♀\nnon,Übrige\n"
    folder = folder_of(tmp_path / "data", a_csv="\ufeff" + text)
    config = GUIDE | {"label": "étiquette", "facet": [{"name_or_index": "gënre"}]}
    assert texts(read(config, folder)) == {
        "étiquette": ["oui", "non"], "gënre": ["femme ♀", "Übrige"]
    }  # fmt: skip


def test_parquet_of_any_type_that_has_values(tmp_path: Path) -> None:
    table = pa.table(
        {
            "Target": pa.array([0.0, 1.0, 1.0, 0.0]),
            "Age": pa.array([25, 36, 22, 48], pa.int8()),
            "Gender": pa.array(["0", "0", "1", "0"]).dictionary_encode(),
            "many": [[1], [2], [3], [4]],
        }
    )
    (tmp_path / "data").mkdir()
    pq.write_table(table, tmp_path / "data/a.parquet")
    config = GUIDE | {"dataset_type": "application/x-parquet"}
    assert texts(read(config, tmp_path / "data")) == EXPECTED
    with pytest.raises(InputError, match="column `many` is of type list"):
        read(config | {"facet": [{"name_or_index": "many"}]}, tmp_path / "data")
    with pytest.raises(InputError, match="columns Target, Age, Gender, many, but `headers`"):
        read(config | {"headers": NAMES}, tmp_path / "data")


def test_files_are_read_in_order_and_must_agree(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path / "data", b_csv=csv_text(ROWS[2:]), a_csv=csv_text(ROWS[:2])
    )  # fmt: skip
    assert texts(read(GUIDE, folder)) == EXPECTED
    folder_of(folder, c_csv="Gender,Age,Target,Income,Occupation\n0,1,1,1,1\n")
    assert texts(read(GUIDE, folder))["Target"] == [*EXPECTED["Target"], "1"]
    folder_of(folder, d_csv="Target,Age\n0,1\n")
    with pytest.raises(InputError, match=r"d\.csv lacks column `Gender`"):
        read(GUIDE, folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": "Goal"}, r"a\.csv lacks column `Goal` .* \(`label`\); it has Target, Age"),
        ({"excluded_columns": ["Nothing"]}, r"lacks column `Nothing` .*\(`excluded_columns`\)"),
        ({"group_variable": "Region"}, r"lacks column `Region` .*\(`group_variable`\)"),
    ],
)
def test_a_column_that_is_not_there_is_named_with_its_key(tmp_path, change, message) -> None:
    with pytest.raises(InputError, match=message):
        read(GUIDE | change, folder_of(tmp_path / "data", a_csv=csv_text()))


def test_a_doubled_column_is_named_where_it_is_used(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "data", a_csv="Target,Gender,x,x\n1,0,2,3\n0,1,2,3\n")
    assert texts(read(GUIDE, folder))["Target"] == ["1", "0"]
    with pytest.raises(InputError, match="column `x` occurs more than once"):
        read(GUIDE | {"group_variable": "x"}, folder)


def test_what_the_model_does_not_see_is_still_analysed(tmp_path: Path) -> None:
    config = GUIDE | {"excluded_columns": ["Gender", "Income"], "group_variable": "Occupation"}
    data = read(config, folder_of(tmp_path / "data", a_csv=csv_text()))
    assert texts(data) == {
        "Target": ["0", "1", "1", "0"], "Gender": ["0", "0", "1", "0"],
        "Occupation": ["2", "0", "1", "1"],
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_file_of_many_pieces_counts_each_row_once(tmp_path: Path, kind: str) -> None:
    label, gender = ["1", "0", "1", "1"] * 20_000, ["0", "1", "1", "0"] * 20_000
    table = pa.table({"Target": label, "Gender": [*gender[:-1], None], "Note": ["x" * 90] * 80_000})
    (tmp_path / "data").mkdir()
    if kind == "csv":
        pa_csv.write_csv(table, tmp_path / "data/a.csv")
    else:
        pq.write_table(table, tmp_path / "data/a.parquet")
    types = {"csv": "text/csv", "parquet": "application/x-parquet"}
    config = AnalysisConfig.model_validate(GUIDE | {"dataset_type": types[kind]})
    counts = count_groups(config, read_dataset(config, tmp_path / "data")).facets["Gender"]["0"]
    assert (counts.n_disadvantaged, counts.n_advantaged, counts.missing) == (39_999, 40_000, 1)
    assert counts.cells[0, :, :, 0].tolist() == [[20_000, 20_000], [0, 39_999]]
    empty = config.model_copy(
        update={"label": "Gender", "facet": (FacetConfig(name_or_index="Target"),)}
    )
    with pytest.raises(InputError, match=r"column `Gender` .* has 1 empty values of 80000"):
        read_dataset(empty, tmp_path / "data")


CODES = ["0", "1", "2", "0"]


@pytest.mark.parametrize(
    ("texts", "values", "expected"),
    [
        pytest.param(["a", "b", "a"], ["a"], ["a", "a"], id="a text"),
        pytest.param(["a", "b", "c"], ["a", "c"], ["a", "c"], id="texts"),
        pytest.param(CODES, [1], ["1"], id="a code"),
        pytest.param(CODES, [0, "2"], ["0", "2", "0"], id="codes"),
        pytest.param(["0.0", "1.0"], [1], ["1.0"], id="a code as float"),
        pytest.param(["40", "40.0"], ["40"], ["40"], id="a number as text is a text"),
        pytest.param([None, "a"], ["a"], ["a"], id="null is no text"),
        pytest.param([None, None], [1], [], id="nothing but null"),
        pytest.param(["None", "1"], ["None"], ["None"], id="the text None"),
        pytest.param(["1", "x"], [1], ["1"], id="a number among texts"),
    ],
)
def test_which_rows_have_a_configured_value(texts, values, expected) -> None:
    column = pa.chunked_array([pa.array(texts, pa.string())])
    chosen = zip(texts, rows_with(column, values), strict=True)
    assert [text for text, is_chosen in chosen if is_chosen] == expected
