"""Target gpu: the model itself, which a job without a GPU runs on its CPU."""

import json

import compile_model
import pytest
import torch

from sashiko.errors import InputError
from sashiko.serving.artifact import open_artifact
from tests.e2e.serving.compile_job import TEXTS, eager_scores, job


@pytest.fixture(scope="module")
def output(model, tmp_path_factory):
    root = job(tmp_path_factory.mktemp("compiled"), model, target="gpu")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("OPT_ML", str(root))
        patched.setenv("SERVING_IMAGE", "gpu:1")
        compile_model.main()
    return root / "processing" / "output"


def test_a_job_without_a_gpu_scores_the_model_in_every_shape(output, model):
    archive = output / "artifact" / "model.tar.gz"
    texts = TEXTS * 2 + TEXTS[:1]
    with open_artifact(archive, threshold=0.5, on_cpu=True) as artifact:
        scores = [answer.score for answer in artifact.predict(texts)]
    assert scores == pytest.approx(eager_scores(model, texts), abs=1e-5)


def test_the_lock_names_the_model_and_no_compiler(output):
    lock = json.loads((output / "lock" / "compile-lock.json").read_text())
    assert (lock["target"], lock["image"], lock["dtype"]) == ("gpu", "gpu:1", "float32")
    assert (lock["compiler"], lock["cores"], lock["largest_difference"]) == (None, None, None)
    assert lock["weights_sha256"] == lock["artifact"]["eager/model.safetensors"]
    assert not [name for name in lock["artifact"] if name.startswith("model_")]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine serves it")
def test_elsewhere_the_artifact_says_what_it_needs(output):
    archive = output / "artifact" / "model.tar.gz"
    says = "compiled for gpu, and torch finds no CUDA device here: .* or compile for cpu"
    with pytest.raises(InputError, match=says), open_artifact(archive, threshold=0.5):
        pass
