"""A number from Train's rows to the handler's answers, of each family."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from sklearn.linear_model import Ridge
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from sashiko.base.files import sha256_file
from sashiko.errors import InputError
from sashiko.serving.artifact import Artifact, open_artifact
from sashiko.training.linear_model import load_linear, matrix
from tests.e2e.serving.compile_job import Compiled
from tests.e2e.serving.tiny_artifact import OUTCOMES
from tests.unit.steps.train.test_linear_job import lay_out
from tests.unit.training.tiny_job import (
    metric_lines,
    save_encoder,
    save_job,
    save_weights,
)

PLAIN = {"epochs": "14", "learning_rate": "0.003", "dropout": "0", "frozen_layers": "0"}
JSON = "application/json"
Run = Callable[[Path], None]


@pytest.fixture(scope="module")
def encoder(run_train: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    base, root = tmp_path_factory.mktemp("base"), tmp_path_factory.mktemp("encoder")
    save_encoder(base)
    save_job(root, encoder=base, labels=OUTCOMES, rows=120, is_number=True, **PLAIN)
    run_train(root)
    return root


@pytest.fixture(scope="module")
def linear(run_train: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = lay_out(tmp_path_factory.mktemp("linear"), is_number=True)
    run_train(root)
    return root


def rows_of(root: Path, split: str = "validation") -> tuple[list[str], np.ndarray]:
    table = pq.read_table(root / f"input/data/{split}/data.parquet")
    return table["text"].to_pylist(), table["value"].to_numpy()


def outputs_of(folder: Path, texts: list[str]) -> np.ndarray:
    """The output for each text by itself, without padding, as transformers alone gives it."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.inference_mode():
        return np.array([
            model(torch.tensor([tokenizer(text)["input_ids"]])).logits.item() for text in texts
        ])  # fmt: skip


def answered(artifact: Artifact, inputs: list[Any], expected: np.ndarray, half: float) -> None:
    """Holds that the handler gives each value with its interval, and nothing else."""
    body = json.dumps({"inputs": inputs, "ids": [f"ü{place}" for place in range(len(inputs))]})
    answers = json.loads(artifact.respond(body.encode(), content_type=JSON, accept=JSON))
    assert [list(answer) for answer in answers] == [["id", "value", "interval"]] * len(inputs)
    assert [answer["value"] for answer in answers] == pytest.approx(expected, abs=1e-3)
    ends = np.array([answer["interval"] for answer in answers])
    assert ends == pytest.approx(np.stack([expected - half, expected + half], axis=1), abs=1e-3)
    predicted = artifact.predict(inputs)
    assert [answer.value for answer in predicted] == [answer["value"] for answer in answers]
    assert [answer.label for answer in predicted] == [
        OUTCOMES[int(value > 0)] for value in expected
    ]
    assert artifact.half_width == half


def half_width_of(errors: np.ndarray) -> float:
    """The interval of 90 %, counted out: at least 0.9 (n + 1) of the errors are no larger."""
    needed = 0.9 * (len(errors) + 1)
    return min(error for error in errors if np.sum(errors <= error) >= needed)


def test_an_encoder_learns_a_number_and_the_handler_answers_in_its_unit(
    encoder: Path, compiled: Compiled
) -> None:
    (texts, values), (_, learned) = rows_of(encoder), rows_of(encoder, "train")
    expected = learned.mean() + learned.std() * outputs_of(encoder / "model", texts)
    assert np.square(values - expected).mean() < 0.2 * np.var(values)
    number = json.loads((encoder / "model/number.json").read_text())
    half = half_width_of(np.abs(values - expected))
    assert number.pop("half_width") == pytest.approx(half, abs=1e-3)
    scale = {"mean": learned.mean(), "scale": learned.std(), "coverage": 0.9, "above": 0.0}
    assert number == pytest.approx(scale)
    written = (encoder / "output/data/number.json").read_bytes()
    assert written == (encoder / "model/number.json").read_bytes()
    last = metric_lines(encoder)[-1]
    loss = np.square((values - expected) / learned.std()).mean()
    assert last["validation_loss"] == pytest.approx(loss, abs=1e-4)
    archive = compiled(encoder / "model", sequence_lengths=[32])
    with open_artifact(archive, threshold=0.0) as artifact:
        assert artifact.labels == OUTCOMES
        answered(artifact, texts, expected, json.loads(written)["half_width"])
        together = artifact.predict(texts)
        alone = [artifact.predict([text])[0].value for text in texts]
    # A row's value does not hang on the rows beside it.
    assert alone == pytest.approx([answer.value for answer in together], abs=1e-3)


def test_the_model_itself_scores_where_the_artifact_is_for_an_accelerator(
    encoder: Path, compiled: Compiled
) -> None:
    texts, _ = rows_of(encoder)
    archive = compiled(encoder / "model", target="gpu", sequence_lengths=[32])
    _, learned = rows_of(encoder, "train")
    expected = learned.mean() + learned.std() * outputs_of(encoder / "model", texts)
    with open_artifact(archive, threshold=0.0, on_cpu=True) as artifact:
        values = [answer.value for answer in artifact.predict(texts)]
    assert values == pytest.approx(expected, abs=1e-3)


def test_a_linear_model_is_ridge_regression_and_is_served_as_it_was_trained(
    linear: Path, compiled: Compiled
) -> None:
    (texts, values), (train_texts, learned) = rows_of(linear), rows_of(linear, "train")
    model = load_linear(linear / "model")
    of_train, of_validation = (
        matrix(model.features, rows).toarray() for rows in (train_texts, texts)
    )
    ridge = Ridge(alpha=1.0, solver="cholesky")
    ridge.fit(of_train, (learned - learned.mean()) / learned.std())
    expected = learned.mean() + learned.std() * ridge.predict(of_validation)
    assert np.square(values - expected).mean() < 0.2 * np.var(values)
    half = half_width_of(np.abs(values - expected))
    number = json.loads((linear / "model/number.json").read_text())
    assert number["half_width"] == pytest.approx(half, abs=1e-3)
    [line] = metric_lines(linear)
    loss = np.square((values - expected) / learned.std()).mean()
    assert line["validation_loss"] == pytest.approx(loss, abs=1e-4)
    with open_artifact(compiled(linear / "model"), threshold=0.0) as artifact:
        assert artifact.labels == OUTCOMES
        answered(artifact, [json.loads(text) for text in texts], expected, number["half_width"])


def test_fewer_validation_rows_than_the_interval_needs_are_an_error_and_write_no_model(
    run_train: Run, tmp_path: Path
) -> None:
    few, enough = (lay_out(tmp_path / str(n), is_number=True, validation=n) for n in (8, 9))
    with pytest.raises(
        InputError, match="8 rows, and an interval that holds 90% of the labels needs 9"
    ):
        run_train(few)
    assert not (few / "model").exists()
    run_train(enough)
    texts, values = rows_of(enough)
    model, learned = load_linear(enough / "model"), rows_of(enough, "train")[1]
    outputs = model.logits(matrix(model.features, texts))[:, 0]
    errors = np.abs(values - learned.mean() - learned.std() * outputs)
    number = json.loads((enough / "model/number.json").read_text())
    assert number["half_width"] == pytest.approx(errors.max())


def test_a_linear_model_takes_weights_and_the_same_rows_give_the_same_bytes(
    run_train: Run, linear: Path, tmp_path: Path
) -> None:
    again, weighted = (lay_out(tmp_path / name, is_number=True) for name in ("again", "weighted"))
    weights = [3.0] * 60 + [0.2] * 140
    save_weights(weighted / "input/data/weights", weights)
    for root in (again, weighted):
        run_train(root)
    for name in ("linear.json", "model.safetensors", "number.json"):
        assert sha256_file(again / "model" / name) == sha256_file(linear / "model" / name)
    texts, learned = rows_of(linear, "train")
    model = load_linear(weighted / "model")
    features = matrix(model.features, texts).toarray()
    ridge = Ridge(alpha=1.0, solver="cholesky")
    targets = (learned - learned.mean()) / learned.std()
    ridge.fit(features, targets, sample_weight=weights)
    assert model.coefficients[0] == pytest.approx(ridge.coef_, abs=1e-5)
    assert np.abs(ridge.coef_ - load_linear(linear / "model").coefficients[0]).max() > 0.01
