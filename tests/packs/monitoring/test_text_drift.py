from collections.abc import Sequence
from functools import cache

import numpy as np
import pyarrow as pa
import pytest
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.metrics import roc_auc_score

from sashiko.data.generators.base import Order
from sashiko.data.generators.complaints import Complaints
from sashiko.settings.shifts import Shift, ShiftPlan
from sashiko_packs.monitoring.text_drift import measure_text_drift


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


def test_one_text_sent_again_and_again_is_one_cluster_and_no_change() -> None:
    quiet, _ = _texts()
    window = [*quiet[200:380], *["Please call me back."] * 40]
    clusters = np.concatenate([np.arange(180), np.full(40, 180)])
    assert _measure(quiet[:200], window).p_unchanged < 0.01
    measured = _measure(quiet[:200], window, clusters=clusters)
    assert (measured.is_judged, measured.value) == (False, None)
    assert measured.rows < 100


def test_a_change_of_all_clients_is_a_change() -> None:
    quiet, shifted = _texts(0.25)
    measured = _measure(quiet, shifted, clusters=np.arange(400) % 40)
    assert measured.p_unchanged < 0.01


def test_texts_of_fewer_than_five_clients_are_not_judged() -> None:
    quiet, shifted = _texts(0.25)
    measured = _measure(quiet, shifted, clusters=np.arange(400) % 4)
    assert not measured.is_judged


def test_case_digits_and_white_space_make_no_other_text() -> None:
    texts = [f"Order {number} of  the day" for number in range(150)]
    measured = _measure(texts, [text.upper() for text in texts])
    assert measured.value == 0.5
    assert measured.p_unchanged > 0.05


def test_equal_texts_and_seeds_give_equal_numbers() -> None:
    assert _measure(*_texts()) == _measure(*_texts())


def test_too_few_texts_are_not_judged() -> None:
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
