"""Three classes from Train's rows to the handler's answers, of each family."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from scipy import optimize, special
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from sashiko.serving.artifact import Artifact, open_artifact
from sashiko.serving.container.adapter import merge
from sashiko.serving.container.prompt import RowTokenizer, read_prompt
from tests.e2e.serving.compile_job import Compiled
from tests.unit.training.people import KINDS, fit_linear, labels_of, objects, people
from tests.unit.training.tiny_job import save_encoder, save_job
from tests.unit.training.tiny_llama import causal_hyperparameters, save_base

CLASSES = ('Rückgabe, "defekt"', "Lieferung; früh", "it's \\ other")
JSON = "application/json"


@pytest.fixture(scope="module")
def trained(
    run_train: Callable[[Path], None], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Path]:
    """Runs Train on three classes; gives the job's folder."""

    def run(base: Path, **hyperparameters: str) -> Path:
        root = tmp_path_factory.mktemp("train")
        save_job(root, encoder=base, labels=CLASSES, rows=120, **hyperparameters)
        run_train(root)
        return root

    return run


@pytest.fixture(scope="module")
def encoder(trained: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("encoder")
    save_encoder(base)
    plain = {"epochs": "14", "learning_rate": "0.003", "dropout": "0", "frozen_layers": "0"}
    return trained(base, calibration="temperature", **plain)


def rows_of(root: Path) -> tuple[list[str], np.ndarray]:
    table = pq.read_table(root / "input/data/validation/data.parquet")
    return table["text"].to_pylist(), table["label"].to_numpy()


def logits_of(folder: Path, texts: list[str]) -> np.ndarray:
    """The logits of each text by itself, without padding, as transformers alone gives them."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.inference_mode():
        return np.array([
            model(torch.tensor([tokenizer(text)["input_ids"]])).logits[0].tolist() for text in texts
        ])  # fmt: skip


def answered(artifact: Artifact, inputs: list[Any], expected: np.ndarray) -> None:
    """Holds that the handler gives each class its probability by name, and the likeliest label."""
    body = json.dumps({"inputs": inputs, "ids": [f"ü{place}" for place in range(len(inputs))]})
    answers = json.loads(artifact.respond(body.encode(), content_type=JSON, accept=JSON))
    assert [list(answer) for answer in answers] == [["id", "label", "scores"]] * len(inputs)
    assert {tuple(answer["scores"]) for answer in answers} == {CLASSES}
    scores = np.array([list(answer["scores"].values()) for answer in answers])
    assert scores == pytest.approx(expected, abs=1e-5)
    assert [answer["label"] for answer in answers] == [CLASSES[n] for n in expected.argmax(axis=1)]
    predicted = artifact.predict(inputs)
    assert np.array([answer.scores for answer in predicted]) == pytest.approx(expected, abs=1e-5)
    assert np.ptp(expected, axis=0).min() > 0.05, "the sample must tell a wrong model from this one"


def test_an_encoder_learns_three_classes_and_the_handler_answers_with_their_names(
    encoder: Path, compiled: Compiled
) -> None:
    texts, labels = rows_of(encoder)
    expected = special.softmax(logits_of(encoder / "model", texts), axis=1)
    assert (expected.argmax(axis=1) == labels).mean() > 0.8
    archive = compiled(encoder / "model", sequence_lengths=[32])
    with open_artifact(archive, threshold=0.0) as artifact:
        assert artifact.labels == CLASSES
        answered(artifact, texts, expected)
        together = artifact.predict(texts)
        alone = [artifact.predict([text])[0] for text in texts]
    assert np.array([answer.scores for answer in together]) == pytest.approx(expected, abs=1e-6)
    # A row's scores do not hang on the rows beside it.
    assert [answer.label for answer in alone] == [answer.label for answer in together]
    assert np.array([answer.scores for answer in alone]) == pytest.approx(expected, abs=1e-6)


def test_the_temperature_of_three_classes_leaves_nothing_to_a_general_optimiser(
    encoder: Path,
) -> None:
    texts, labels = rows_of(encoder)
    logits = logits_of(encoder / "model", texts)
    rows = np.arange(len(labels))
    best = optimize.minimize_scalar(
        lambda inverse: -special.log_softmax(logits * inverse, axis=1)[rows, labels].mean(),
        bounds=(0.05, 20),
        method="bounded",
        options={"xatol": 1e-9},
    )
    assert best.x == pytest.approx(1, abs=1e-3)
    fit = json.loads((encoder / "output/data/temperature.json").read_text())
    assert fit["validation_loss_after"] == pytest.approx(best.fun, abs=1e-5)
    assert abs(fit["temperature"] - 1) > 0.05
    lines = (encoder / "output/data/metrics.jsonl").read_text().splitlines()
    before = json.loads(lines[-1])["validation_loss"]
    assert before == pytest.approx(fit["validation_loss_before"], abs=1e-5)


def test_a_linear_model_of_three_classes_is_served_as_it_was_trained(
    compiled: Compiled, tmp_path: Path
) -> None:
    rows, test = people(300, seed=1), people(80, seed=2)
    model = fit_linear(objects(rows), labels_of(rows, (0.4, 1.6)), kinds=KINDS, seed=0)
    (tmp_path / "model").mkdir()
    model.save(tmp_path / "model", labels=CLASSES)
    with open_artifact(compiled(tmp_path / "model"), threshold=0.0) as artifact:
        answered(artifact, test, model.scores(objects(test)))
        answers = artifact.predict(test)
        assert [artifact.predict([row])[0] for row in test[:20]] == answers[:20]


@pytest.mark.slow  # test_vllm.py serves three answers, test_causal.py trains two
def test_a_causal_lm_answers_for_three_classes_by_a_token_each(
    trained: Callable[..., Path], compiled: Compiled, tmp_path: Path
) -> None:
    base = save_base(tmp_path / "base")
    settings = {"max_length": "96", "epochs": "4", "learning_rate": "0.02"}
    settings |= {"lora": '{"rank": 8, "alpha": 16}'}
    root = trained(base, **causal_hyperparameters(*CLASSES) | settings)
    archive = compiled(root / "model", base=base, sequence_lengths=[96], batch_sizes=[4])
    texts, _ = rows_of(root)

    # The three tokens' logits of the whole LM, of which the merged model has these rows alone.
    merge(root / "model", base, tmp_path / "merged")
    whole = AutoModelForCausalLM.from_pretrained(base).eval()
    weights = load_file(tmp_path / "merged/model.safetensors")
    del weights["score.weight"]
    whole.load_state_dict(weights, strict=False)
    prompt = read_prompt(root / "model")
    assert prompt is not None
    tokenizer = AutoTokenizer.from_pretrained(base)
    assert [tokenizer.decode(token) for token in prompt.answers] == ["no", "yes", "user"]
    content = (base / "tokenizer.json").read_text()
    rows = RowTokenizer(content, max_length=96, truncate=False, prompt=prompt).rows(texts)
    with torch.inference_mode():
        logits = [whole(torch.tensor([row])).logits[0, -1, list(prompt.answers)] for row in rows]
    with open_artifact(archive, threshold=0.0) as artifact:
        answered(artifact, texts, torch.stack(logits).double().softmax(dim=1).numpy())
