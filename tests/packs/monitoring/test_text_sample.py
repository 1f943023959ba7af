import numpy as np
import pyarrow as pa
import pytest

from sashiko.base.parquet import write_table
from sashiko.evaluation.reference import ColumnCounts
from sashiko_packs.monitoring import text_drift
from sashiko_packs.monitoring.capture import rows as captured_rows
from sashiko_packs.monitoring.capture.record import row_schema
from sashiko_packs.monitoring.clusters import ClusteredCounts, Clusters
from sashiko_packs.monitoring.text_drift import sample_test, sample_window
from tests.packs.monitoring.steps.monitor_job import make_reference

COLUMNS = ("product", "age")
REFERENCE = make_reference(
    template="{product}, {age}",
    columns=(
        ColumnCounts(column="product", kind="category", counts=(0, 0)),
        ColumnCounts(column="age", kind="number", counts=(0, 0, 0)),
    ),
)


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch) -> None:
    monkeypatch.setattr(captured_rows, "_STREAM_ROWS", 64)
    monkeypatch.setattr(text_drift, "MOST_TEXTS", 100)


def _write(path, rows) -> None:
    defaults = {"cluster": 0, "dominates": False}
    records = [defaults | row for row in rows]
    write_table(path, pa.Table.from_pylist(records, schema=row_schema(COLUMNS)))


def _texts(sizes) -> list[dict[str, str]]:
    return [
        {"event_id": f"e{request}", "text": f"{request} {row}", "cluster": request}
        for request, size in enumerate(sizes)
        for row in range(size)
    ]


def _scores(rows, cells) -> ClusteredCounts:
    scores = Clusters(2)
    numbers = np.array([row.get("cluster", 0) for row in rows])
    scores.add(np.array(cells), numbers, np.array([row.get("dominates", False) for row in rows]))
    return scores.summarise()


def _sample(path, rows, cells) -> list[str]:
    _write(path / "rows.parquet", rows)
    return list(sample_window(path / "rows.parquet", REFERENCE, _scores(rows, cells)).texts)


def test_all_texts_of_few_single_rows_are_taken(tmp_path) -> None:
    rows = _texts([1] * 90)
    assert _sample(tmp_path, rows, [0, 1] * 45) == [row["text"] for row in rows]


def test_many_single_rows_are_sampled_evenly(tmp_path) -> None:
    rows = _texts([1] * 1000)
    sample = _sample(tmp_path, rows, [0, 1] * 500)
    assert sample == _sample(tmp_path, rows, [0, 1] * 500)
    numbers = [int(text.split()[0]) for text in sample]
    assert len(set(numbers)) == 100
    assert np.mean(numbers) == pytest.approx(500, abs=90)


def test_one_text_of_a_request_is_taken_where_its_rows_are_alike(tmp_path) -> None:
    sizes = [1 + 3 * (number % 20) for number in range(80)]
    rows = _texts(sizes)
    sample = _sample(tmp_path, rows, [int(row["text"].split()[0]) % 2 for row in rows])
    requests, places = np.array([text.split() for text in sample], dtype=int).T
    assert requests.tolist() == list(range(80))
    assert np.mean(places / np.array(sizes)) == pytest.approx(0.5, abs=0.1)


def test_one_text_of_a_request_is_taken_where_too_few_requests_can_tell(tmp_path) -> None:
    rows = _texts([40, 3, 1])
    sample = _sample(tmp_path, rows, [0, 1] * 22)
    assert [text.split()[0] for text in sample] == ["0", "1", "2"]


def test_texts_of_clusters_that_are_left_out_are_left_out(tmp_path) -> None:
    rows = [*_texts([1] * 150), *[{"event_id": f"b{n}", "text": "bot", "cluster": 150,
                                   "dominates": True} for n in range(100)]]  # fmt: skip
    assert "bot" not in _sample(tmp_path, rows, [0, 1] * 75 + [0] * 100)


def test_each_text_has_its_cluster(tmp_path) -> None:
    rows = _texts([3] * 40)
    _write(tmp_path / "rows.parquet", rows)
    counts = _scores(rows, [int(row["text"].split()[0]) % 2 for row in rows])
    sample = sample_window(tmp_path / "rows.parquet", REFERENCE, counts)
    assert sample.clusters.tolist() == [int(text.split()[0]) for text in sample.texts]


@pytest.mark.parametrize(
    ("product", "age", "text"),
    [
        ("Card", "40", "Card, 40"),
        ("Card", "40.0", "Card, 40"),
        ("Card", "1.50", "Card, 1.5"),
        ("Card", "1e2", "Card, 100"),
        ("Card", None, "Card, unknown"),
        (None, "old", "unknown, old"),
        ("40.0", "4 or 5", "40.0, 4 or 5"),
        ("{age}", "[" * 10_000, "{age}, " + "[" * 10_000),
    ],
    ids=["whole", "point", "decimal", "exponent", "null", "no number", "two", "brackets"],
)
def test_rows_are_the_texts_that_the_model_read(tmp_path, product, age, text) -> None:
    row = {"event_id": "e", "input": {"product": product, "age": age}}
    assert _sample(tmp_path, [row], [0]) == [text]


def test_texts_of_the_test_split_are_sampled(tmp_path) -> None:
    texts = [f"text {number}" for number in range(1000)]
    write_table(tmp_path / "data.parquet", pa.table({"text": texts, "label": [0] * 1000}))
    sample = sample_test(tmp_path / "data.parquet")
    assert sample == sample_test(tmp_path / "data.parquet")
    assert len(set(sample)) == 100
    assert set(sample) < set(texts)
