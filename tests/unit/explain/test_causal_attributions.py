"""A causal LM's attributions: Shapley values of words that are removed from its prompt."""

from itertools import combinations
from math import factorial

import numpy as np
import pytest

from sashiko.explain.attribution import ExplainedModel, RowAttribution
from sashiko.explain.explanation_checks import deletion_test
from sashiko.explain.explanation_notes import convergence
from sashiko.explain.tokens import Row, read_tokens
from sashiko.serving.container.adapter import merge
from tests.unit.training.tiny_job import BAD, GOOD, PLAIN
from tests.unit.training.tiny_llama import save_llama, save_trained_adapter

LABELS = ("bad", "good")
TEXTS = ("kind", "rude desk", "my quick letter", "the slow desk was very wrong and unfairly late")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ExplainedModel:
    root = tmp_path_factory.mktemp("causal")
    base, adapter, merged = root / "base", root / "adapter", root / "merged"
    save_llama(base, [" ".join(words) for words in (PLAIN, GOOD, BAD)])
    save_trained_adapter(base, adapter, labels=LABELS)
    merge(adapter, base, merged)
    return ExplainedModel(merged)


def read(model: ExplainedModel, *texts: str) -> tuple[Row, ...]:
    return read_tokens([(("note", text),) for text in texts], model.tokenizer, max_length=64,
                       truncate=False, prompt=model.prompt)  # fmt: skip


@pytest.fixture(scope="module")
def rows(model: ExplainedModel) -> tuple[Row, ...]:
    return read(model, *TEXTS)


@pytest.fixture(scope="module")
def attributions(model: ExplainedModel, rows: tuple[Row, ...]) -> tuple[RowAttribution, ...]:
    return model.attribute(rows, steps=0, pairs=1, seed=0)


def _log_odds(model: ExplainedModel, row: Row, without: list[int]) -> float:
    probability = model.scores([np.delete(row.ids, without)])[0, 1]
    return float(np.log(probability / (1 - probability)))


def _shapley(model: ExplainedModel, row: Row) -> list[float]:
    """Shapley's own formula, over every set of words."""
    count = len(row.word_tokens)
    values = []
    for word in range(count):
        others = [other for other in range(count) if other != word]
        value = 0.0
        for size in range(count):
            weight = factorial(size) * factorial(count - size - 1) / factorial(count)
            for kept in combinations(others, size):
                gone = [t for other in others if other not in kept for t in row.word_tokens[other]]
                added = _log_odds(model, row, gone) - _log_odds(
                    model, row, [*gone, *row.word_tokens[word]]
                )
                value += weight * added
        values.append(value)
    return values


@pytest.mark.parametrize("index", [0, 1])
def test_the_words_values_are_shapleys_where_an_order_and_its_reverse_are_all_there_are(
    model, rows, attributions, index
) -> None:
    row = rows[index]
    values = [attributions[index].tokens[tokens].sum() for tokens in row.word_tokens]
    assert values == pytest.approx(_shapley(model, row), abs=1e-4)
    assert max(map(abs, values)) > 0.01


def test_more_orders_come_nearer_to_shapleys_values(model, rows) -> None:
    [many] = model.attribute(rows[2:3], steps=0, pairs=300, seed=0)
    values = [many.tokens[tokens].sum() for tokens in rows[2].word_tokens]
    assert values == pytest.approx(_shapley(model, rows[2]), abs=0.02)


def test_they_add_up_from_the_prompt_without_a_text_to_the_whole(model, rows, attributions) -> None:
    assert model.prompt is not None
    empty = model.scores([np.array(model.prompt.around([]))])[0, 1]
    scores = model.scores([row.ids for row in rows])[:, 1]
    for row, score, item in zip(rows, scores, attributions, strict=True):
        assert item.baseline == pytest.approx(np.log(empty / (1 - empty)), abs=1e-5)
        assert item.score == pytest.approx(np.log(score / (1 - score)), abs=1e-5)
        assert not item.tokens[row.pieces_of < 0].any()
    assert convergence(attributions).largest < 1e-4


def test_a_text_without_a_word_has_no_attributions(model: ExplainedModel) -> None:
    [item] = model.attribute(read(model, ""), steps=0, pairs=1, seed=0)
    assert not item.tokens.any()
    assert item.score == pytest.approx(item.baseline, abs=1e-6)


def test_the_deletion_test_passes_for_them(model: ExplainedModel) -> None:
    words = (*GOOD, *BAD, *PLAIN)
    random = np.random.default_rng(5)
    rows = read(model, *(" ".join(random.choice(words, 8)) for _ in range(20)))
    test = deletion_test(
        rows,
        model.attribute(rows, steps=0, pairs=1, seed=0),
        predicted=model.scores([row.ids for row in rows])[:, 1] >= 0.5,
        probabilities=lambda texts: model.scores(texts)[:, 1],
        seed=0,
    )
    assert test.faithful
