import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import bundle
import eager_backend
import inference
import pytest

from tests.e2e.serving.tiny_artifact import build_artifact


@pytest.fixture
def folder(tmp_path):
    build_artifact(tmp_path)
    return str(tmp_path / "artifact")


def ask(model, inputs):
    body = json.dumps({"inputs": inputs})
    return json.loads(inference.transform_fn(model, body, "application/json", None))


@pytest.fixture(autouse=True)
def threshold(monkeypatch):
    monkeypatch.setenv("SASHIKO_THRESHOLD", "0.5")


def test_without_a_threshold_nothing_is_served(folder, monkeypatch):
    monkeypatch.delenv("SASHIKO_THRESHOLD")
    with pytest.raises(ValueError, match=r"decision\.json"):
        inference.model_fn(folder)


def test_a_score_at_the_threshold_is_positive(folder, monkeypatch):
    """Two words without weight score 0.5, which is a float32 as it is."""
    monkeypatch.setenv("SASHIKO_THRESHOLD", "0.5")
    (answer,) = ask(inference.model_fn(folder), ["neither nor"])
    assert (answer["score"], answer["label"]) == (0.5, "yes")


@pytest.mark.parametrize("threshold", ["1.5", "nan", "high"])
def test_a_threshold_that_is_no_probability_stops_the_start(folder, monkeypatch, threshold):
    monkeypatch.setenv("SASHIKO_THRESHOLD", threshold)
    with pytest.raises(ValueError):
        inference.model_fn(folder)


@pytest.mark.parametrize(("gpu", "device"), [(None, "cuda:0"), (3, "cuda:3")])
def test_each_worker_takes_the_gpu_that_the_model_server_gives_it(folder, monkeypatch, gpu, device):
    opened = []
    monkeypatch.setattr(
        eager_backend, "EagerBackend", lambda folder, *, device: opened.append((folder, device))
    )
    path = Path(folder)
    bundle.write_bundle(replace(bundle.read_bundle(path), backend="eager_backend"), path)
    inference.model_fn(folder, SimpleNamespace(system_properties={"gpu_id": gpu}))
    assert opened == [(path / "eager", device)]


def test_a_backend_that_the_artifact_lacks_is_refused(folder):
    path = Path(folder)
    bundle.write_bundle(replace(bundle.read_bundle(path), backend="tpu_backend"), path)
    with pytest.raises(inference.CannotServeError, match=r"serving.json: .*code/tpu_backend.py"):
        inference.model_fn(folder)
