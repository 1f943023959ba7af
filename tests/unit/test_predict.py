import csv
import datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sashiko.errors import InputError
from sashiko.predict import predict_file
from tests.serving.tiny_artifact import build_artifact, expected_score


@pytest.fixture
def archive(tmp_path):
    return build_artifact(tmp_path / "built")


def score(archive, path, out=None, threshold=0.5):
    predict_file(archive, threshold=threshold, path=path, out=out)


def rows_of(text: str):
    return list(csv.DictReader(text.splitlines()))


def test_a_csv_is_scored_in_its_order_whatever_its_other_columns(archive, tmp_path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('\ufeffnote,id,tone\nx,1,bad\n"fine\nfine",2,good\n,3,bad\n')
    score(archive, path, tmp_path / "out.csv")
    rows = rows_of((tmp_path / "out.csv").read_text())
    assert [row["label"] for row in rows] == ["yes", "no", "yes"]
    expected = [expected_score(text) for text in ("bad x", "good fine fine", "bad unknown")]
    assert [float(row["score"]) for row in rows] == pytest.approx(expected, abs=1e-6)


def test_a_parquet_goes_to_stdout_without_an_out_file(archive, tmp_path, capsys) -> None:
    table = pa.table(
        {"tone": ["awful", None], "note": [datetime.date(2026, 1, 2), None], "other": [1, 2]}
    )
    pq.write_table(table, tmp_path / "rows.parquet")
    score(archive, tmp_path / "rows.parquet", threshold=0.9)
    rows = rows_of(capsys.readouterr().out)
    assert [row["label"] for row in rows] == ["yes", "no"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["built", "rows.parquet"]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", b"", "column `tone` is missing"),
        ("a.csv", b"tone\nbad\n", "column `note` is missing; the model needs tone, note"),
        ("a.csv", b"tone,note\n", "has no rows"),
        ("a.csv", b"tone,note\nbad\n", "line 2 has 1 fields, the header 2"),
        ("a.csv", 'tone,note\nbad,"caf\u00e9"\n'.encode("latin-1"), "not UTF-8"),
        ("a.csv", b'tone,note\nbad,"open\n', "not CSV"),
        ("a.csv", b"tone,note\nbad,x\nbad,a b c d e f g h\n", "row 2: the text has 11 tokens"),
        ("a.parquet", b"PAR1", "not a whole Parquet file"),
        ("a.xlsx", b"", r"expected a \.csv or a \.parquet file"),
    ],
)
def test_a_bad_file_ends_with_one_message_and_no_output(
    archive, tmp_path, name, content, says
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=says):
        score(archive, tmp_path / name, tmp_path / "out" / "scores.csv")
    assert not list((tmp_path / "out").glob("*"))


def test_a_missing_file_is_named(archive, tmp_path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.csv does not exist"):
        score(archive, tmp_path / "nowhere.csv")
