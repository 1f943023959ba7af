"""The step as a job on a tiny model, in this process."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sashiko.steps import train
from sashiko.training.loop import Loop
from tests.unit.training.tiny_job import BAD, GOOD, PLAIN, Job, Train, save_encoder, save_job
from tests.unit.training.tiny_llama import save_llama

AtStep = Callable[..., None]


@pytest.fixture(scope="module")
def encoder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT, or the causal LM that a test, or its module's BASE, names."""
    folder = tmp_path_factory.mktemp("base")
    if getattr(request, "param", getattr(request.module, "BASE", "bert")) == "llama":
        save_llama(folder, [" ".join(PLAIN), " ".join(GOOD), " ".join(BAD)])
    else:
        save_encoder(folder)
    return folder


@pytest.fixture
def job(tmp_path: Path, encoder: Path) -> Job:
    """Makes a job's folder, a new one for each name."""

    def make(name: str = "job", **hyperparameters: str) -> Path:
        save_job(tmp_path / name, encoder=encoder, **hyperparameters)
        return tmp_path / name

    return make


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[Train]:
    """Runs the step in this process, and leaves torch as it was."""
    import torch

    threads = torch.get_num_threads()
    monkeypatch.setattr(sys, "argv", ["train"])
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for name in ("CUBLAS_WORKSPACE_CONFIG", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, os.environ.get(name, "PASSIVE"))

    def step(root: Path) -> None:
        monkeypatch.setenv("OPT_ML", str(root))
        train.main()

    yield step
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(threads)


@pytest.fixture
def at_step(monkeypatch: pytest.MonkeyPatch) -> AtStep:
    """Lets something happen once, right after a step's gradients are applied; by default a death.

    It is as sudden as a kill: nothing of the step runs after it.
    """
    apply = Loop._step

    def die() -> None:
        raise MemoryError

    def plan(step: int, event: Callable[[], None] = die) -> None:
        waiting = [event]

        def act(self, rows, done, optimiser):
            loss = apply(self, rows, done, optimiser)
            if done + 1 == step and waiting:
                waiting.pop()()
            return loss

        monkeypatch.setattr(Loop, "_step", act)

    return plan
