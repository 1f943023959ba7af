import csv

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sashiko.errors import InputError
from sashiko.serving.file_prediction import predict_file
from tests.e2e.serving.tiny_artifact import build_artifact, expected_score
from tests.unit.contract import documents


@pytest.fixture
def archive(tmp_path):
    return build_artifact(tmp_path / "built")


@pytest.fixture
def contract(tmp_path):
    document = documents.document()
    text = {"logicalType": "string", "classification": "none", "description": "A text."}
    documents.table_of(document)["properties"] += [
        {"name": "tone", **text},
        {"name": "note", "physicalName": "the-note", **text},
    ]
    rules = {"trim": True, "null_values": ["", "?"]}
    documents.table_of(document)["customProperties"].append({"property": "ingest", "value": rules})
    return documents.contract_of(document, tmp_path)


def test_a_file_is_read_as_the_contract_says_that_it_is_written(archive, contract, tmp_path):
    written = {"delimiter": ";", "encoding": "windows-1252"}
    ingest = contract.ingest.model_copy(update=written)
    (tmp_path / "raw.csv").write_bytes("tone;the-note\nbad;schön, früh\n".encode("windows-1252"))
    predict_file(
        archive,
        threshold=0.5,
        contract=contract.model_copy(update={"ingest": ingest}),
        path=tmp_path / "raw.csv",
        out=tmp_path / "out.csv",
    )
    [row] = rows_of((tmp_path / "out.csv").read_text())
    assert float(row["score"]) == pytest.approx(expected_score("bad schön, früh"), abs=1e-6)


@pytest.fixture
def score(archive, contract):
    def run(path, out=None, threshold=0.5):
        predict_file(archive, threshold=threshold, contract=contract, path=path, out=out)

    return run


def rows_of(text: str):
    return list(csv.DictReader(text.splitlines()))


def test_a_csv_is_scored_in_its_order_whatever_its_other_columns(score, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text('\ufeffnote,id,tone\nx,1,bad\n"fine\nfine",2,good\n,3,bad\n')
    score(path, tmp_path / "out.csv")
    rows = rows_of((tmp_path / "out.csv").read_text())
    assert [row["label"] for row in rows] == ["yes", "no", "yes"]
    expected = [expected_score(text) for text in ("bad x", "good fine fine", "bad unknown")]
    assert [float(row["score"]) for row in rows] == pytest.approx(expected, abs=1e-6)


def test_values_are_cleaned_as_they_were_for_training(score, tmp_path):
    (tmp_path / "raw.csv").write_text("tone,the-note\n bad , x\ngood,?\n")
    score(tmp_path / "raw.csv", tmp_path / "out.csv")
    rows = rows_of((tmp_path / "out.csv").read_text())
    expected = [expected_score(text) for text in ("bad x", "good unknown")]
    assert [float(row["score"]) for row in rows] == pytest.approx(expected, abs=1e-6)


def test_a_parquet_goes_to_stdout_without_an_out_file(score, tmp_path, capsys):
    table = pa.table({"tone": ["awful", None], "note": ["2026-01-02", None], "other": [1, 2]})
    pq.write_table(table, tmp_path / "rows.parquet")
    score(tmp_path / "rows.parquet", threshold=0.9)
    rows = rows_of(capsys.readouterr().out)
    assert [row["label"] for row in rows] == ["yes", "no"]
    assert not list(tmp_path.glob("*.csv"))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv", b"tone\nbad\n", "column `note` is missing; needed are `tone`, `note`"),
        ("a.csv", b"tone,note\n", "no rows"),
        ("a.csv", b"tone,note\nbad\n", "Expected 2 columns, got 1"),
        ("a.csv", 'tone,note\nbad,"caf\u00e9"\n'.encode("latin-1"), "not UTF-8"),
        ("a.csv", b"tone,note\nbad,x\nbad,a b c d e f g h\n", "row 2: the text has 11 tokens"),
        ("a.parquet", b"PAR1", "not a whole Parquet file"),
        ("a.xlsx", b"", r"ends in \.csv or \.parquet"),
    ],
)
def test_a_bad_file_ends_with_one_message_and_no_output(score, tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=says):
        score(tmp_path / name, tmp_path / "out" / "scores.csv")
    assert not list((tmp_path / "out").glob("*"))


def test_a_missing_file_is_named(score, tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.csv does not exist"):
        score(tmp_path / "nowhere.csv")
