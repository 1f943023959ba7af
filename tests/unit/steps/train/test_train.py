"""The Train step: what it learns, writes, repeats and refuses, and how it resumes."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from sashiko.base.files import sha256_file, sha256_tree
from sashiko.contract.manifest import Snapshots, read_snapshots
from sashiko.data.splits import read_split_meta
from sashiko.errors import InputError
from sashiko.serving.container.classifier import load_classifier
from sashiko.steps.entry import run_step
from sashiko.training.checkpoint import Position
from sashiko.training.compute import Compute
from sashiko.training.encoder import load_tokenizer
from sashiko.training.examples import encoder_rows, read_split, tokenise
from sashiko.training.loop import Loop
from sashiko.training.scoring import outputs
from tests.full_disk import file_size_limit
from tests.unit.steps.train.faulty_processes import spread
from tests.unit.training.tiny_job import (
    FACETS,
    TRAIN_ROWS,
    TRAINING,
    Job,
    Train,
    metric_lines,
    save_weights,
)

_STEP = Loop._step


def _weights(root: Path) -> str:
    return sha256_file(root / "model" / "model.safetensors")


def test_it_learns_and_writes_a_model_that_says_nothing_of_where_it_was_made(job, run, tmp_path):
    root = job(epochs="8")
    run(root)
    lines = metric_lines(root)
    assert [line["step"] for line in lines][:6] == [8, 10, 16, 20, 24, 30]
    assert lines[-1]["step"] == lines[-1]["epoch"] * 8 == 64
    assert lines[-1]["validation_auc"] > 0.9
    assert lines[-1]["train_loss"] < lines[0]["train_loss"]
    assert lines[1]["validation_auc"] is None
    config = json.loads((root / "model" / "config.json").read_text())
    assert config["id2label"] == {"0": "bad", "1": "good"}
    assert config["label2id"] == {"bad": 0, "good": 1}
    names = {path.name for path in (root / "model").iterdir()}
    assert names >= {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    for path in (root / "model").iterdir():
        assert str(tmp_path).encode() not in path.read_bytes()
    with safe_open(root / "model" / "model.safetensors", framework="pt") as file:
        names = list(file.keys())
        assert {file.get_slice(name).get_dtype() for name in names} == {"F32"}
    assert list((root / "checkpoints").iterdir()) == []


def test_a_metric_line_tells_the_mean_loss_since_the_one_before(job, run, monkeypatch) -> None:
    losses = []

    def noting(self, rows, done, optimiser):
        losses.append(_STEP(self, rows, done, optimiser))
        return losses[-1]

    monkeypatch.setattr(Loop, "_step", noting)
    root = job()
    run(root)
    means = [sum(losses[a:b]) / (b - a) for a, b in ((0, 8), (8, 10), (10, 16))]
    assert [line["train_loss"] for line in metric_lines(root)] == pytest.approx(means)


def _margins(root: Path) -> np.ndarray:
    """The saved model's logits of the validation split, loaded as Compile loads it."""
    model = load_classifier(root / "model").classifier
    channels = root / "input" / "data"
    tokenizer = load_tokenizer(channels / "model")
    rows = read_split(channels / "validation")
    tokenize = encoder_rows(tokenizer, max_length=32, truncate=False)
    examples = tokenise(rows, tokenize, source="validation", max_length=32)
    with torch.no_grad():
        compute, pad = Compute(model, model), tokenizer.pad_token_id
        return outputs(compute, examples, classes=(0, 1), pad=pad).logits @ [-1, 1]


def test_temperature_scaling_is_part_of_the_saved_weights_and_of_no_other_layer(job, run) -> None:
    plain, scaled = job("plain", epochs="8"), job("scaled", epochs="8", calibration="temperature")
    run(plain)
    run(scaled)
    fit = json.loads((scaled / "output" / "data" / "temperature.json").read_text())
    assert not (plain / "output" / "data" / "temperature.json").exists()
    assert abs(fit["temperature"] - 1) > 0.05
    assert fit["validation_loss_after"] < fit["validation_loss_before"]
    assert _margins(scaled) == pytest.approx(_margins(plain) / fit["temperature"], rel=1e-4)
    assert metric_lines(scaled) == metric_lines(plain)
    one, two = (load_file(root / "model" / "model.safetensors") for root in (plain, scaled))
    changed = {name for name in one if bool((one[name] != two[name]).any())}
    assert changed == {"classifier.weight", "classifier.bias"}


def test_embeddings_and_lower_layers_stay_as_they_were(job: Job, run: Train, encoder: Path) -> None:
    root = job()
    run(root)
    before = load_file(encoder / "model.safetensors")
    after = load_file(root / "model" / "model.safetensors")
    for name, tensor in before.items():
        frozen = name.startswith(("embeddings.", "encoder.layer.0."))
        changed = bool((after[f"bert.{name}"] != tensor).any())
        # A key's bias cancels in the softmax: its gradient is nothing but rounding.
        assert changed != frozen or name.endswith("key.bias"), name


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(job: Job, run: Train) -> None:
    """A temperature is fitted again to the same bytes too."""
    seeds = {"a": "3", "b": "3", "c": "4"}
    roots = [job(name, seed=seed, calibration="temperature") for name, seed in seeds.items()]
    for root in roots:
        run(root)
    for folder in ("model", "output"):
        digests = [sha256_tree(root / folder) for root in roots]
        assert digests[0] == digests[1] != digests[2]


def test_weights_of_one_change_nothing_and_others_do(job: Job, run: Train) -> None:
    roots = [job("none"), job("ones"), job("others")]
    save_weights(roots[1] / "input" / "data" / "weights", [1.0] * TRAIN_ROWS)
    save_weights(roots[2] / "input" / "data" / "weights", [0.5, 1.5] * (TRAIN_ROWS // 2))
    for root in roots:
        run(root)
    digests = [_weights(root) for root in roots]
    assert digests[0] == digests[1] != digests[2]
    # Each says which snapshots it is of, and how they were split.
    snapshots = [read_snapshots(root / "output" / "data") for root in roots[:2]]
    assert snapshots == [Snapshots(training=TRAINING), Snapshots(training=TRAINING, facets=FACETS)]
    dates = read_split_meta(roots[0] / "output" / "data").dates
    assert str(dates) == "validation from 2025-09-01, test from 2025-12-01"


@pytest.mark.parametrize(
    ("hyperparameters", "message"),
    [
        ({"epoch": "2"}, r"hyperparameters\.json: unknown key `epoch`"),
        ({"epochs": "two"}, r"hyperparameters\.json: key `epochs`"),
        ({"frozen_layers": "3"}, "train.frozen_layers is 3, model type `bert` has 2 layers"),
        ({"max_length": "128"}, "sequence_lengths go up to 128 tokens, the model reads 64"),
        ({"max_length": "16"}, r"train: \d+ of 60 texts are longer than 16 tokens \(the longest"),
    ],
)
def test_a_bad_hyperparameter_is_named(job, run, hyperparameters, message) -> None:
    with pytest.raises(InputError, match=message):
        run(job(**hyperparameters))


def test_long_texts_are_cut_where_the_recipe_says_so(job: Job, run: Train) -> None:
    root = job(max_length="8", truncate="true", epochs="1")
    run(root)
    assert metric_lines(root)[-1]["step"] == 8


def _with_copy(job: Job, encoder: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A job, and the folder of its own copy of the encoder."""
    root, folder = job(), tmp_path / "copy"
    shutil.copytree(encoder, folder)
    (root / "input" / "data" / "model").unlink()
    (root / "input" / "data" / "model").symlink_to(folder)
    return root, folder


def test_pickled_weights_are_refused(job: Job, run: Train, encoder: Path, tmp_path: Path) -> None:
    root, folder = _with_copy(job, encoder, tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"no \.safetensors file: pickled weights"):
        run(root)


def test_weights_that_lack_part_of_the_encoder_are_refused(job, run, encoder, tmp_path) -> None:
    root, folder = _with_copy(job, encoder, tmp_path)
    tensors = load_file(encoder / "model.safetensors")
    unchanged = {name: value for name, value in tensors.items() if "layer.1.output" not in name}
    save_file(unchanged, folder / "model.safetensors")
    with pytest.raises(InputError, match=r"the weights lack 4 tensors .*encoder\.layer\.1\.output"):
        run(root)


def test_a_loss_that_is_not_a_number_ends_the_training(job, run, capsys) -> None:
    root = job(learning_rate="1e30", checkpoint_every_steps="1")
    with pytest.raises(SystemExit, match="1"):
        run_step(lambda: run(root))
    diverged(root, capsys.readouterr().err, most=1)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_it_ends_each_of_several_processes(job, strategy) -> None:
    root = job(learning_rate="1e30", checkpoint_every_steps="1")
    spread(root, strategy, 2)
    done = subprocess.run(
        [sys.executable, "-m", "sashiko.steps.train"],
        env=os.environ | {"OPT_ML": str(root), "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    diverged(root, done.stderr, most=2)


def diverged(root: Path, errors: str, *, most: int) -> None:
    """Holds that a job said why it ended, at most so often, and left its checkpoints alone."""
    assert 1 <= errors.count("error: training diverged: the loss is nan at step ") <= most
    assert "Traceback" not in errors
    failure = (root / "output/failure").read_text()
    assert "of 16, with a learning rate of 1e+30: lower train.learning_rate, or raise" in failure
    assert not (root / "model").exists()
    assert not (root / "output/data").exists()
    assert any((root / "checkpoints").rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("spoilt", "message"),
    [
        ("loss", r"the loss is inf at step 7 of 16"),
        ("gradient", r"the norm of the gradients is inf at step 7 of 16"),
    ],
)
def test_the_checkpoint_before_the_step_that_diverged_stays_and_is_resumed(
    job: Job, run: Train, monkeypatch: pytest.MonkeyPatch, spoilt: str, message: str
) -> None:
    """The gradient may overflow where the loss does not."""
    whole, root = job("whole"), job(checkpoint_every_steps="1")
    run(whole)
    backward, steps = Compute.backward, []

    def overflow(self: Compute, loss: torch.Tensor) -> float:
        value = backward(self, loss)
        steps.append(value)
        if len(steps) == 7:
            weight = next(weight for weight in self.model.parameters() if weight.requires_grad)
            weight.grad.fill_(math.inf)
            return math.inf if spoilt == "loss" else value
        return value

    with monkeypatch.context() as patch, pytest.raises(InputError, match=message):
        patch.setattr(Compute, "backward", overflow)
        run(root)
    assert not (root / "model").exists()
    tensors = load_file(root / "checkpoints/checkpoint.safetensors")
    assert all(bool(value.isfinite().all()) for value in tensors.values())
    run(root)
    assert sha256_tree(root / "model") == sha256_tree(whole / "model")


def _assert_same_training(one: Path, other: Path) -> None:
    assert sha256_tree(one / "model") == sha256_tree(other / "model")
    assert metric_lines(one) == metric_lines(other)


def _position(root: Path) -> Position:
    with safe_open(root / "checkpoints" / "checkpoint.safetensors", framework="pt") as file:
        return Position.model_validate_json(file.metadata()["position"])


@pytest.mark.parametrize("killed_at", [(2, False), (6, True), (8, False), (13, True)])
def test_a_killed_training_resumes_to_the_same_bytes(job, run, at_step, capsys, killed_at) -> None:
    step, is_number = killed_at
    whole, killed = (job(name, is_number=is_number) for name in ("whole", "killed"))
    run(whole)
    at_step(step)
    with pytest.raises(MemoryError):
        run(killed)
    run(killed)
    resumed = (step - 1) // 4 * 4
    assert ("resuming" in capsys.readouterr().err) == (resumed > 0)
    _assert_same_training(killed, whole)


@pytest.mark.parametrize(("step", "number"), [(5, signal.SIGTERM), (8, signal.SIGINT)])
def test_a_signal_saves_a_checkpoint_at_the_next_step_and_leaves(job, run, at_step, number, step):
    whole, stopped = job("whole"), job("stopped")
    run(whole)
    at_step(step, lambda: signal.raise_signal(number))
    with pytest.raises(SystemExit) as left:
        run(stopped)
    assert left.value.code == 128 + number
    assert not (stopped / "model").exists()
    assert _position(stopped).step == step
    (stopped / "checkpoints" / ".tmp-half").touch()  # as if it were killed while it wrote one
    run(stopped)
    _assert_same_training(stopped, whole)
    assert list((stopped / "checkpoints").iterdir()) == []


def test_a_checkpoint_of_other_settings_or_a_damaged_one_is_ignored(job, run, at_step, capsys):
    whole, other, damaged = job("whole"), job("other", seed="9"), job("damaged")
    run(whole)
    at_step(6)
    with pytest.raises(MemoryError):
        run(other)
    checkpoint = other / "checkpoints" / "checkpoint.safetensors"
    (damaged / "checkpoints").mkdir()
    (damaged / "checkpoints" / checkpoint.name).write_bytes(checkpoint.read_bytes()[:-50])
    run(damaged)
    assert "ignoring a damaged checkpoint" in capsys.readouterr().err
    assert _weights(damaged) == _weights(whole)

    (damaged / "checkpoints" / checkpoint.name).write_bytes(checkpoint.read_bytes())
    run(damaged)
    assert "ignoring a checkpoint of other" in capsys.readouterr().err
    assert _weights(damaged) == _weights(whole)


def _two_at_step_six_and_ten(root, run, monkeypatch, at_step, capsys) -> tuple[Path, Path]:
    """Kills two jobs on the same rows, one further than the other; a third is to come."""
    for name, step in (("one", 6), ("two", 10)):
        monkeypatch.setenv("TRAINING_JOB_NAME", name)
        at_step(step)
        with pytest.raises(MemoryError):
            run(root)
    capsys.readouterr()
    monkeypatch.setenv("TRAINING_JOB_NAME", "three")
    folder = root / "checkpoints"
    return folder / "one.safetensors", folder / "two.safetensors"


def test_two_jobs_at_once_keep_a_checkpoint_each(job, run, monkeypatch, at_step, capsys) -> None:
    whole, shared = job("whole"), job("shared")
    run(whole)
    first, second = _two_at_step_six_and_ten(shared, run, monkeypatch, at_step, capsys)
    assert first.is_file()
    assert second.is_file()
    run(shared)
    assert "resuming after step 8" in capsys.readouterr().err
    assert sha256_tree(shared / "model") == sha256_tree(whole / "model")
    assert list((shared / "checkpoints").iterdir()) == []


def test_the_furthest_checkpoint_that_can_be_read_is_taken(job, run, monkeypatch, at_step, capsys):
    shared = job("shared")
    _, second = _two_at_step_six_and_ten(shared, run, monkeypatch, at_step, capsys)
    second.write_bytes(second.read_bytes()[:-50])
    other = second.with_name("other.safetensors")
    other.write_bytes(b"of nobody that is known here")
    run(shared)
    stderr = capsys.readouterr().err
    assert "ignoring a damaged checkpoint" in stderr
    assert "resuming after step 4" in stderr
    assert set((shared / "checkpoints").iterdir()) == {second, other}


def test_a_full_disk_leaves_one_message_and_nothing_half_written(job, run, monkeypatch) -> None:
    root = job()
    with file_size_limit(20_000):
        with pytest.raises(InputError, match=r"cannot write .*checkpoint\.safetensors"):
            run(root)
        assert list((root / "checkpoints").iterdir()) == []
        monkeypatch.setattr("sashiko.training.checkpoint.CheckpointStore.save", lambda *_: None)
        with pytest.raises(InputError, match=r"cannot write the model to .*model"):
            run(root)
        assert list((root / "model").iterdir()) == []
        assert not list(root.glob(".tmp*"))
