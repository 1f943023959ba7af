from collections.abc import Sequence
from functools import cache

import numpy as np
import pyarrow as pa
import pytest
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.metrics import roc_auc_score

from sashiko.base.parquet import write_table
from sashiko.data.generators.base import Order
from sashiko.data.generators.complaints import Complaints
from sashiko.evaluation.reference import ColumnCounts
from sashiko.settings.shifts import Shift, ShiftPlan
from sashiko_packs.monitoring import text_drift
from sashiko_packs.monitoring.capture import record
from sashiko_packs.monitoring.capture.record import row_schema
from sashiko_packs.monitoring.clusters import ClusteredCounts, Clusters
from sashiko_packs.monitoring.steps.drift import measure_odd_texts
from sashiko_packs.monitoring.text_drift import (
    TextSample,
    measure_text_drift,
    sample_test,
    sample_window,
)
from tests.packs.monitoring.steps.window_job import make_reference


@cache
def _texts(phrases: float = 0.0) -> tuple[list[str], list[str]]:
    """Returns texts of a quiet week, and of one with a share of new phrases."""
    shifts = (Shift(kind="phrases", size=phrases, week=2),) if phrases else ()
    plan = ShiftPlan(weeks=2, rows_per_week=400, shifts=shifts)
    rows = pa.Table.from_batches(Complaints().batches(Order(rows=1, seed=7, plan=plan)))
    texts = rows["complaint_text"].to_pylist()[1:]
    return texts[:400], texts[400:]


def _measure(reference: Sequence[str], window: Sequence[str], **options):
    defaults = {"tolerance": 0.05, "permutations": 199, "clusters": np.arange(len(window))}
    return measure_text_drift("drift of the texts", reference, window, **(defaults | options))


def test_a_quarter_of_new_phrases_is_detected() -> None:
    measured = _measure(*_texts(0.25), permutations=1999)
    assert measured.p_unchanged == 1 / 2000
    assert measured.p_tolerated < 0.05
    # Half of a quarter is the most that a perfect judge of them could add.
    assert 0.57 < measured.value < 0.5 + 0.125 + 0.02


def test_p_values_of_the_same_kind_of_texts_are_even() -> None:
    """The window comes from the reference's distribution, in which texts repeat."""
    vocabulary = np.array([f"word{number} and more" for number in range(80)])
    shares = np.random.default_rng(0).dirichlet(np.full(80, 0.5))
    generator = np.random.default_rng(1)
    p_values = [
        _measure(*(generator.choice(vocabulary, rows, p=shares) for rows in (300, 120)),
                 permutations=99).p_unchanged
        for _ in range(120)
    ]  # fmt: skip
    assert np.mean(np.array(p_values) <= 0.1) == pytest.approx(0.1, abs=0.08)


def test_one_text_sent_again_and_again_is_one_cluster_and_a_change_of_all_clients_is_one() -> None:
    quiet, _ = _texts()
    window = [*quiet[200:380], *["Please call me back."] * 40]
    clusters = np.concatenate([np.arange(180), np.full(40, 180)])
    assert _measure(quiet[:200], window).p_unchanged < 0.01
    measured = _measure(quiet[:200], window, clusters=clusters)
    assert (measured.is_judged, measured.value) == (False, None)
    assert measured.rows < 100

    quiet, shifted = _texts(0.25)
    measured = _measure(quiet, shifted, clusters=np.arange(400) % 40)
    assert measured.p_unchanged < 0.01
    assert not _measure(quiet, shifted, clusters=np.arange(400) % 4).is_judged


def test_equal_texts_are_no_change_and_too_few_are_not_judged() -> None:
    texts = [f"Order {number} of  the day" for number in range(150)]
    measured = _measure(texts, [text.upper() for text in texts])
    assert measured.value == 0.5
    assert measured.p_unchanged > 0.05
    assert _measure(*_texts()) == _measure(*_texts())
    quiet, other = _texts()
    assert not _measure(quiet, other[:99]).is_judged
    assert _measure(quiet[:50], other).reason == "the reference has 50 texts, 100 are needed"


def test_each_text_is_scored_by_a_model_that_is_fitted_without_it() -> None:
    """Fits a ridge regression without each distinct text in turn, and compares the AUC."""
    quiet, shifted = _texts(0.25)
    before, now = [*quiet[:100], *quiet[:40]], [*shifted[:100], *quiet[:10]]
    distinct = sorted({text.casefold() for text in (*before, *now)})
    position = {text: number for number, text in enumerate(distinct)}
    rows = np.zeros((2, len(distinct)))
    for side, texts in enumerate((before, now)):
        for text in texts:
            rows[side, position[text.casefold()]] += 1
    both = rows.sum(axis=0)
    words = HashingVectorizer(
        n_features=2**16, ngram_range=(1, 2), norm=None, alternate_sign=False, binary=True
    )
    features = TfidfTransformer().fit_transform(words.transform(distinct)).toarray()
    features -= both / both.sum() @ features
    kernel, labels = features @ features.T, rows[1] / both - rows[1].sum() / both.sum()
    scores = []
    for left_out in range(len(distinct)):
        others = np.arange(len(distinct)) != left_out
        ridge = kernel[np.ix_(others, others)] + np.diag(1 / both[others])
        scores.append(kernel[left_out, others] @ np.linalg.solve(ridge, labels[others]))
    expected = roc_auc_score(
        np.repeat([0, 1], len(distinct)), np.tile(scores, 2), sample_weight=rows.ravel()
    )
    assert _measure(before, now).value == pytest.approx(expected, abs=1e-3)


def test_a_change_at_the_tolerance_is_seldom_taken_for_a_larger_one() -> None:
    """A tenth of the window's rows has a word that tells them: an AUC of 0.55."""
    generator = np.random.default_rng(4)

    def texts(new: float) -> list[str]:
        words, topics = generator.integers(0, 40, (2, 300))
        kinds = np.where(generator.random(300) < new, "new", "known")
        return [
            f"{kind}{word % 4 if kind == 'new' else word} in topic{topic}"
            for kind, word, topic in zip(kinds, words, topics, strict=True)
        ]

    measured = [_measure(texts(0), texts(0.1), seed=number) for number in range(60)]
    assert 0.52 < np.mean([item.value for item in measured]) < 0.56
    assert np.mean([item.p_tolerated < 0.05 for item in measured]) <= 0.12


COLUMNS = ("product", "age")
REFERENCE = make_reference(
    template="{product}, {age}",
    columns=(
        ColumnCounts(column="product", kind="category", counts=(0, 0)),
        ColumnCounts(column="age", kind="number", counts=(0, 0, 0)),
    ),
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder whose rows are read in small pieces."""
    monkeypatch.setattr(record, "_STREAM_ROWS", 64)
    monkeypatch.setattr(text_drift, "MOST_TEXTS", 100)
    return tmp_path


def _write(path, rows) -> None:
    defaults = {"cluster": 0, "dominates": False}
    records = [defaults | row for row in rows]
    write_table(path, pa.Table.from_pylist(records, schema=row_schema(COLUMNS)))


def _request_texts(sizes) -> list[dict[str, str]]:
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


def test_few_rows_are_all_taken_and_those_of_left_out_clusters_are_not(folder) -> None:
    rows = _request_texts([1] * 90)
    assert _sample(folder, rows, [0, 1] * 45) == [row["text"] for row in rows]
    rows = _request_texts([40, 3, 1])
    sample = _sample(folder, rows, [0, 1] * 22)
    assert [text.split()[0] for text in sample] == ["0", "1", "2"]
    rows = [*_request_texts([1] * 150), *[{"event_id": f"b{n}", "text": "bot", "cluster": 150,
                                   "dominates": True} for n in range(100)]]  # fmt: skip
    assert "bot" not in _sample(folder, rows, [0, 1] * 75 + [0] * 100)


def test_many_single_rows_are_sampled_evenly(folder) -> None:
    rows = _request_texts([1] * 1000)
    sample = _sample(folder, rows, [0, 1] * 500)
    assert sample == _sample(folder, rows, [0, 1] * 500)
    numbers = [int(text.split()[0]) for text in sample]
    assert len(set(numbers)) == 100
    assert np.mean(numbers) == pytest.approx(500, abs=90)


def test_one_text_of_a_request_is_taken_where_its_rows_are_alike(folder) -> None:
    sizes = [1 + 3 * (number % 20) for number in range(80)]
    rows = _request_texts(sizes)
    sample = _sample(folder, rows, [int(row["text"].split()[0]) % 2 for row in rows])
    requests, places = np.array([text.split() for text in sample], dtype=int).T
    assert requests.tolist() == list(range(80))
    assert np.mean(places / np.array(sizes)) == pytest.approx(0.5, abs=0.1)


def test_each_text_has_its_cluster(folder) -> None:
    rows = _request_texts([3] * 40)
    _write(folder / "rows.parquet", rows)
    counts = _scores(rows, [int(row["text"].split()[0]) % 2 for row in rows])
    sample = sample_window(folder / "rows.parquet", REFERENCE, counts)
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
def test_rows_are_the_texts_that_the_model_read(folder, product, age, text) -> None:
    row = {"event_id": "e", "input": {"product": product, "age": age}}
    assert _sample(folder, [row], [0]) == [text]


def test_texts_of_the_test_split_are_sampled(folder) -> None:
    texts = [f"text {number}" for number in range(1000)]
    write_table(folder / "data.parquet", pa.table({"text": texts, "label": [0] * 1000}))
    sample = sample_test(folder / "data.parquet")
    assert sample == sample_test(folder / "data.parquet")
    assert len(set(sample)) == 100
    assert set(sample) < set(texts)


WORDS = ("branch", "queue", "fee", "form", "letter", "clerk", "office", "delay")
QUIET = [f"{a} {b} {c} über 12" for a in WORDS for b in WORDS for c in WORDS]
GERMAN = "Ich habe seit drei Wochen keine Antwort auf meine Beschwerde erhalten"
DAMAGED = "The Ã¼ber fee of the branch"


def _odd(window, reference=QUIET, clusters=None):
    numbers = np.arange(len(window)) if clusters is None else clusters
    return measure_odd_texts("odd", reference, TextSample(window, numbers), tolerance=0.01)


@pytest.mark.parametrize("odd", [GERMAN, DAMAGED, "a \ufffd fee", "the branchâ€™s fee"])
def test_a_tenth_of_texts_that_cannot_be_read_is_shown(odd: str) -> None:
    measured = _odd([*QUIET[:450], *[odd] * 50])
    assert measured.value == pytest.approx(0.1)
    assert measured.p_unchanged < 1e-6


def test_quiet_texts_as_many_odd_ones_and_one_sent_again_are_no_change() -> None:
    window = [*QUIET[:400], *[f"{text} app crashed" for text in QUIET[:100]]]
    measured = _odd(window)
    assert (measured.value, measured.p_unchanged) == (0, 1)
    reference = [*QUIET[:450], *[DAMAGED] * 50]
    assert _odd([*QUIET[:450], *[DAMAGED] * 50], reference).p_unchanged > 0.5
    clusters = np.concatenate([np.arange(480), np.full(20, 480)])
    measured = _odd([*QUIET[:480], *[GERMAN] * 20], clusters=clusters)
    assert measured.p_unchanged is None or measured.p_unchanged > 0.01
