"""The Train step on a tiny random Llama: LoRA in the same loop as an encoder's training."""

import signal
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from sashiko.base.files import sha256_tree
from sashiko.serving.container.adapter import merge
from sashiko.serving.container.answers import SHOWN, Answered, read_answered
from sashiko.serving.container.classifier import load_classifier
from sashiko.serving.container.prompt import RowTokenizer, read_prompt
from tests.unit.training.tiny_job import BAD, GOOD, Job, Train, metric_lines
from tests.unit.training.tiny_llama import causal_hyperparameters, save_base

BASE = "llama"  # for the fixture of jobs
_SETTINGS = causal_hyperparameters() | {"max_length": "64"}


def _predictions(folder: Path) -> list[float]:
    """Scores a few texts as Explain and the target gpu do: by the merged model."""
    rows = RowTokenizer(
        (folder / "tokenizer.json").read_text(),
        max_length=64,
        truncate=True,
        prompt=read_prompt(folder),
    ).rows([*GOOD, *BAD])
    model = load_classifier(folder)
    with torch.inference_mode():
        return [
            float(model(torch.tensor([row]), torch.ones(1, len(row), dtype=torch.long))[0, 1])
            for row in rows
        ]


def _losses(root: Path) -> list[float | None]:
    return [line["train_loss"] for line in metric_lines(root)]


def test_it_learns_and_the_same_seed_gives_the_same_bytes(job, run, encoder, tmp_path) -> None:
    jobs = [
        job(name, **(_SETTINGS | {"epochs": "6", "seed": seed}))
        for name, seed in (("one", "3"), ("again", "3"), ("other", "4"))
    ]
    for root in jobs:
        run(root)
        merge(root / "model", encoder, tmp_path / f"merged-{root.name}")
    for folder in (lambda root: root / "model", lambda root: tmp_path / f"merged-{root.name}"):
        one, again, other = (sha256_tree(folder(root)) for root in jobs)
        assert one == again
        assert one != other
    one, again, other = (_predictions(tmp_path / f"merged-{root.name}") for root in jobs)
    assert one == again
    assert one != other
    losses = _losses(jobs[0])
    assert losses[-1] < 0.8 * losses[0]


def test_after_training_both_answers_are_among_the_most_probable_of_all_tokens(job, run, tmp_path):
    base = save_base(tmp_path / "base")
    settings = {"epochs": "3", "learning_rate": "0.02", "lora": '{"rank": 8, "alpha": 16}'}
    root = job(**(_SETTINGS | settings | {"max_length": "96"}))
    (root / "input/data/model").unlink()
    (root / "input/data/model").symlink_to(base)
    run(root)
    merge(root / "model", base, tmp_path / "merged")
    whole = AutoModelForCausalLM.from_pretrained(base).eval()
    merged = load_file(tmp_path / "merged/model.safetensors")
    del merged["score.weight"]
    assert whole.load_state_dict(merged, strict=False).missing_keys == ["lm_head.weight"]  # tied

    prompt = read_prompt(root / "model")
    assert prompt is not None
    split = pq.read_table(root / "input/data/validation/data.parquet")
    content = (base / "tokenizer.json").read_text()
    rows = RowTokenizer(content, max_length=96, truncate=False, prompt=prompt)
    losses = []
    for row, label in zip(
        rows.rows(split["text"].to_pylist()), split["label"].to_pylist(), strict=True
    ):
        with torch.inference_mode():
            shown = whole(torch.tensor([row])).logits[0, -1].double().log_softmax(0)
        assert set(prompt.answers) <= set(shown.topk(SHOWN).indices.tolist())
        losses.append(-float(shown[prompt.answers[label]]))
    last = metric_lines(root)[-1]
    assert last["validation_loss"] == pytest.approx(np.mean(losses), abs=1e-4)
    assert read_answered(root / "model") == Answered(rows=40, missed=0)


def test_a_model_that_says_something_else_is_recorded_as_one(job: Job, run: Train) -> None:
    root = job(**(_SETTINGS | {"epochs": "1", "learning_rate": "1e-6"}))
    run(root)
    answered = read_answered(root / "model")
    assert answered.missed == metric_lines(root)[-1]["validation_missed"] > 0.9 * answered.rows


def test_sigterm_saves_a_checkpoint_and_the_training_goes_on_to_the_same_bytes(job, run, at_step):
    settings = _SETTINGS | {"accumulation_steps": "2", "checkpoint_every_steps": "100"}
    whole, stopped = job("whole", **settings), job("stopped", **settings)
    run(whole)
    at_step(6, lambda: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(SystemExit) as exit_:
        run(stopped)
    assert exit_.value.code == 128 + signal.SIGTERM
    assert not (stopped / "model").exists()
    with safe_open(stopped / "checkpoints" / "checkpoint.safetensors", framework="pt") as file:
        weights = {name for name in file.keys() if name.startswith("model.")}  # noqa: SIM118 - a safetensors file is no mapping
    assert weights
    assert all(".lora_" in name for name in weights), "none of the base model's"
    run(stopped)
    assert sha256_tree(stopped / "model") == sha256_tree(whole / "model")
    assert metric_lines(stopped) == metric_lines(whole)


@pytest.mark.parametrize(
    "setting",
    [{"accumulation_steps": "4"}, {"gradient_checkpointing": "true"}],
    ids=["accumulation", "checkpointing"],
)
def test_less_memory_gives_the_same_losses(job: Job, run: Train, setting: dict[str, str]) -> None:
    settings = _SETTINGS | {"dropout": "0"}
    plain, sparing = job("plain", **settings), job("sparing", **settings, **setting)
    run(plain)
    run(sparing)
    assert _losses(sparing) == pytest.approx(_losses(plain), abs=1e-3)


def test_the_temperature_becomes_part_of_the_adapters_head(job: Job, run: Train) -> None:
    plain, scaled = job("plain", **_SETTINGS), job("scaled", **_SETTINGS, calibration="temperature")
    run(plain)
    run(scaled)
    heads = []
    for root in (plain, scaled):
        with safe_open(root / "model" / "adapter_model.safetensors", framework="pt") as file:
            heads.append(file.get_tensor("base_model.model.score.weight"))
    ratio = heads[0] / heads[1]
    assert ratio.std() < 1e-4
    assert abs(float(ratio.mean()) - 1) > 1e-3
