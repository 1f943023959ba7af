import datetime as dt
import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from sashiko.errors import InputError
from sashiko.serving.local_capture import CaptureSettings
from sashiko_packs.monitoring.capture.reading import read_captures
from sashiko_packs.monitoring.capture.requests import replay_file
from sashiko_packs.monitoring.window import Window
from tests.e2e.serving.tiny_artifact import build_artifact, expected_score, expected_scores
from tests.unit.contract import documents

MARCH = Window(dt.datetime(2025, 3, 1, tzinfo=dt.UTC), dt.datetime(2025, 4, 1, tzinfo=dt.UTC))
ROWS = """loan_id,lent_at,tone,note
b,2025-03-02 10:00:00,bad,late
a,2025-03-01 23:30:00,good,early
c,2025-03-02 10:00:00,bad,again
"""


@pytest.fixture
def contract(tmp_path):
    document = documents.document()
    text = {"logicalType": "string", "classification": "none", "description": "A text."}
    documents.table_of(document)["properties"] += [
        {"name": name, **text} for name in ("tone", "note")
    ]
    return documents.contract_of(document, tmp_path)


@pytest.fixture
def replay(tmp_path, contract):
    two = build_artifact(tmp_path / "built")

    def run(rows=ROWS, *, archive=two, since=None, until=None, contract=contract, classes=()):
        path = tmp_path / "rows.csv"
        path.write_text(rows)
        capture = CaptureSettings(
            folder=tmp_path / "capture", endpoint="loans", variant="primary", version=3,
            percent=100, retention=10**9,
        )  # fmt: skip
        requests = replay_file(
            archive, threshold=0.5, contract=contract, path=path, capture=capture, since=since,
            until=until,
        )  # fmt: skip
        out = tmp_path / "captured.parquet"
        read_captures(
            capture.folder / "loans", out, window=MARCH, now=MARCH.end, columns=("tone", "note"),
            has_texts=True, classes=classes,
        )  # fmt: skip
        return requests, pq.read_table(out).to_pylist()

    return run


def test_rows_are_answered_at_their_times_under_their_keys(replay) -> None:
    requests, rows = replay()
    assert requests == 3
    assert [(row["key"], row["time"].isoformat()) for row in rows] == [
        ("a", "2025-03-01T23:30:00+00:00"),
        ("b", "2025-03-02T10:00:00+00:00"),
        ("c", "2025-03-02T10:00:00+00:00"),
    ]
    assert {row["version"] for row in rows} == {3}
    assert rows[1]["input"] == {"tone": "bad", "note": "late"}
    assert rows[1]["score"] == pytest.approx(expected_score("bad late"), abs=1e-6)


def test_answers_of_three_classes_are_read_as_the_handler_gave_them(replay, tmp_path) -> None:
    classes = ("lost", "late", "fine")
    _, rows = replay(archive=build_artifact(tmp_path / "three", labels=classes), classes=classes)
    expected = expected_scores("bad late", classes=3)
    assert rows[1]["scores"] == pytest.approx(list(expected), abs=1e-6)
    assert rows[1]["score"] == pytest.approx(expected[1] + expected[2], abs=1e-6)
    assert rows[1]["decision"] == classes[int(np.argmax(expected))]


def test_only_rows_of_the_period_are_answered_and_without_any_its_times_are_named(replay) -> None:
    with pytest.raises(InputError, match=r"of 2025-03-01 23:30.* to 2025-03-02 10:00"):
        replay(since=dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    second = dt.datetime(2025, 3, 2, tzinfo=dt.UTC)
    assert [row["key"] for row in replay(since=second)[1]] == ["b", "c"]


def test_a_refused_row_is_captured_without_an_output(replay, tmp_path, capsys) -> None:
    requests, rows = replay(ROWS.replace("again", "a b c d e f g h"))
    assert (requests, len(rows)) == (3, 2)
    assert "1 requests were refused" in capsys.readouterr().err
    lines = [
        json.loads(line)
        for file in (tmp_path / "capture").rglob("*.jsonl")
        for line in file.read_text().splitlines()
    ]
    assert sum("endpointOutput" not in line["captureData"] for line in lines) == 1


def test_rows_without_a_time_cannot_be_replayed(replay, contract) -> None:
    with pytest.raises(InputError, match="have no time"):
        replay(contract=contract.model_copy(update={"freshness": None}))
