"""A linear model's attributions are its coefficients, and sum to the score exactly."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import integrate, special

from sashiko.explain.linear_attribution import LinearExplanation
from sashiko.settings.recipe_data import TextSection
from sashiko.training.linear_model import LinearModel, matrix
from tests.unit.training.people import KINDS, TEMPLATE, fit_linear, labels_of, objects, people

TRAIN, TEST = people(300, seed=1), people(40, seed=2)
MISSING = dict.fromkeys(KINDS)


@pytest.fixture(scope="module")
def model() -> LinearModel:
    return fit_linear(objects(TRAIN), labels_of(TRAIN), kinds=KINDS, seed=0)


@pytest.fixture(scope="module")
def explained(model, tmp_path_factory) -> LinearExplanation:
    folder: Path = tmp_path_factory.mktemp("model")
    model.save(folder, labels=("no", "yes"))
    return LinearExplanation(folder, TextSection(template=TEMPLATE), first_favourable=1)


def log_odds(scores: np.ndarray) -> np.ndarray:
    return np.log(scores / (1 - scores))


def test_contributions_and_intercept_sum_to_the_score(explained, model) -> None:
    texts = objects([*TEST, MISSING])
    rows = explained.read(texts)
    attributions = explained.attribute(rows)
    sums = [item.tokens.sum() + model.intercept[0] for item in attributions]
    assert sums == pytest.approx(log_odds(model.scores(texts)[:, 1]), abs=1e-9)
    assert {item.baseline for item in attributions} == {model.intercept[0]}
    assert max(abs(item.delta) for item in attributions) < 1e-12
    scores = explained.scores([row.ids for row in rows])[:, 1]
    assert scores == pytest.approx(model.scores(texts)[:, 1], abs=1e-12)


@pytest.mark.parametrize("first_favourable", [1, 2])
def test_of_more_classes_tokens_add_their_parts_on_the_way_from_the_intercepts(
    first_favourable: int, tmp_path: Path
) -> None:
    model = fit_linear(objects(TRAIN), labels_of(TRAIN, (0, 0.8, 1.6)), kinds=KINDS, seed=0)
    model.save(tmp_path, labels=("a", "b", "c", "d"))
    section = TextSection(template=TEMPLATE)
    explained = LinearExplanation(tmp_path, section, first_favourable=first_favourable)

    def favourable(log_odds: np.ndarray) -> float:
        scores = special.softmax(np.append(0, log_odds))
        return float(special.logit(scores[first_favourable:].sum()))

    texts = objects([*TEST, MISSING])
    rows = explained.read(texts)
    attributions = explained.attribute(rows)
    sums = [item.tokens.sum() + item.baseline for item in attributions]
    scores = model.scores(texts)[:, first_favourable:].sum(axis=1)
    assert sums == pytest.approx(special.logit(scores), abs=1e-9)
    assert attributions[0].baseline == pytest.approx(favourable(model.intercept))
    by_class = explained.score_texts(texts)
    assert by_class[:, first_favourable:].sum(axis=1) == pytest.approx(scores)

    # The desk's part, by another rule of integration and a difference in place of the gradient.
    row, start = rows[3], model.intercept
    change = model.logits(matrix(model.features, texts[3:4]))[0, 1:] - start
    [number] = model.features.of_value("desk", TEST[3]["desk"])
    step = 1e-5 * model.coefficients[:, number]
    points = [start + part * change for part in np.linspace(0, 1, 2001)]
    slopes = [(favourable(at + step) - favourable(at - step)) / 2e-5 for at in points]
    [place] = [at for at, piece in enumerate(row.pieces_of) if row.column(int(piece)) == "desk"]
    assert attributions[3].tokens[place] == pytest.approx(integrate.simpson(slopes, dx=1 / 2000))


def test_a_number_and_a_category_add_their_coefficient_times_their_value(explained, model) -> None:
    [coefficients], first, columns = model.coefficients, {}, {}
    at = 0
    for column in model.features.columns:
        first[column.name], columns[column.name] = at, column
        at += column.size
    row = TEST[3]
    [read] = explained.read(objects([row]))
    [attribution] = explained.attribute([read])
    added = {
        read.column(int(piece)): value
        for piece, value in zip(read.pieces_of, attribution.tokens, strict=True)
    }
    ages = np.array([person["age"] for person in TRAIN])
    scaled = (row["age"] - ages.mean()) / ages.std()
    bin_ = 2 + np.digitize(row["age"], np.quantile(np.unique(ages), [n / 6 for n in range(1, 6)]))
    expected = coefficients[first["age"]] * scaled + coefficients[first["age"] + bin_]
    assert added["age"] == pytest.approx(expected)
    place = columns["desk"].terms.index(json.dumps(row["desk"], ensure_ascii=False))
    assert added["desk"] == pytest.approx(coefficients[first["desk"] + place])


def test_the_row_and_its_swapped_words_are_shown_as_the_model_reads_them(explained) -> None:
    row = TEST[0] | {"note": 'Früh "late" my\nlate parcel', "age": None}
    [read] = explained.read(objects([row]))
    shown = f"age unknown at {row['desk']}: {row['note']} {row['seen']} {row['income']}"
    assert read.text == shown
    spans = [read.text[a:b] for a, b in zip(read.starts, read.ends, strict=True)]
    words = ["Früh", "late", "my", "late", "parcel"]
    assert spans == ["unknown", row["desk"], *words, row["seen"], str(row["income"])]

    text = objects([TEST[0] | {"note": 'say "late"'}])[0]
    pieces = explained.pieces(text)
    assert "".join(part for _, part in pieces) == text
    assert dict(pieces)["note"] == '"say \\"late\\""'
    swapped = text.replace("late", "früh")
    one, other = explained.score_texts([text, swapped])[:, 1]
    assert one != other


def test_a_word_that_is_left_out_takes_its_pairs_with_it(explained, model) -> None:
    row = TEST[0] | {"note": "late again my parcel"}
    [read] = explained.read(objects([row]))
    without = [place for place in range(len(read.ids)) if place not in (2, 4)]
    [score] = explained.scores([read.ids[without]])[:, 1]
    expected = model.scores(objects([row | {"note": "again parcel"}]))[0, 1]
    assert score == pytest.approx(expected)
