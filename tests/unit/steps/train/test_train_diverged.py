"""The Train step when training diverges: it ends with one error, and writes no model."""

import math
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from sashiko.base.files import sha256_tree
from sashiko.errors import InputError
from sashiko.training.compute import Compute
from tests.unit.steps.train.faulty_processes import spread
from tests.unit.training.tiny_job import Job, Train


@pytest.mark.parametrize(
    ("strategy", "processes"),
    [
        ("none", 1),
        pytest.param("ddp", 2, marks=pytest.mark.slow),
        pytest.param("fsdp", 2, marks=pytest.mark.slow),
    ],
)
def test_a_loss_that_is_not_a_number_ends_the_training(job, strategy, processes) -> None:
    root = job(learning_rate="1e30", checkpoint_every_steps="1")
    if processes > 1:
        spread(root, strategy, processes)
    done = subprocess.run(
        [sys.executable, "-m", "sashiko.steps.train"],
        env=os.environ | {"OPT_ML": str(root), "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert 1 <= done.stderr.count("error: training diverged: the loss is nan at step ") <= processes
    assert "Traceback" not in done.stderr
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
