"""Compile on a small random encoder: run as the job runs it, and read as the endpoint reads it."""

import collections
import errno
import hashlib
import json
import math
import os
import shutil
import subprocess
import sys
import tarfile

import bundle
import classifier
import compile_model
import numpy as np
import onnx
import onnx_backend
import pytest

from sashiko.serving.artifact import open_artifact
from sashiko.training.scoring import divide_logits
from tests.e2e.serving.compile_job import TEXTS, eager_scores, job
from tests.e2e.serving.tiny_artifact import HANDLER_FILES
from tests.unit.training.tiny_llama import save_llama, save_trained_adapter


@pytest.fixture(scope="module")
def outputs(model, tmp_path_factory):
    """Two jobs in folders of their own: a process with a hash seed of its own, and this process."""
    apart, here = (job(tmp_path_factory.mktemp("job"), model) for _ in range(2))
    variables = {"SERVING_IMAGE": "serving:1", "OMP_NUM_THREADS": "1"}
    process = subprocess.run(
        [sys.executable, "-B", apart / "processing" / "input" / "code" / "compile_model.py"],
        env=os.environ | variables | {"OPT_ML": str(apart), "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPT_ML", str(here))
        patch.setenv("SERVING_IMAGE", "serving:1")
        compile_model.main()
    return [root / "processing" / "output" for root in (apart, here)]


def test_the_same_model_gives_the_same_bytes(outputs):
    first, second = outputs
    for name in ("artifact/model.tar.gz", "lock/compile-lock.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_the_served_scores_are_the_eager_models(outputs, model):
    expected = eager_scores(model)
    with open_artifact(outputs[0] / "artifact" / "model.tar.gz", threshold=0.5) as artifact:
        answers = artifact.predict(TEXTS)
        (row,) = artifact.predict([{"first": "v w", "second": "x y z"}])
    assert [answer.score for answer in answers] == pytest.approx(expected, abs=1e-6)
    assert [answer.label for answer in answers] == ["yes" if s >= 0.5 else "no" for s in expected]
    assert row == answers[3]
    assert np.ptp(expected) > 0.1, "the sample must tell a wrong model from a right one"


def test_a_temperature_in_the_weights_is_in_the_served_scores_and_labels(
    model, tmp_path, monkeypatch
):
    import torch
    from transformers import AutoModelForSequenceClassification

    scaled = tmp_path / "scaled"
    shutil.copytree(model, scaled)
    trained = AutoModelForSequenceClassification.from_pretrained(model)
    divide_logits(trained, 2.5)
    trained.save_pretrained(scaled)
    root = job(tmp_path / "job", scaled)
    monkeypatch.setenv("OPT_ML", str(root))
    monkeypatch.setenv("SERVING_IMAGE", "serving:1")
    compile_model.main()
    expected = torch.logit(torch.tensor(eager_scores(model), dtype=torch.float64)) / 2.5
    scores = torch.sigmoid(expected).tolist()
    threshold = float(np.median(scores))
    archive = root / "processing" / "output" / "artifact" / "model.tar.gz"
    with open_artifact(archive, threshold=threshold) as artifact:
        answers = artifact.predict(TEXTS)
    assert [answer.score for answer in answers] == pytest.approx(scores, abs=1e-6)
    assert [answer.label for answer in answers] == [
        "yes" if score >= threshold else "no" for score in scores
    ]


def test_the_graph_is_fused_takes_any_length_and_names_no_path(outputs, tmp_path):
    graph = unpacked_graph(outputs[0], tmp_path)
    dims = [dim for value in graph.input for dim in value.type.tensor_type.shape.dim]
    assert [dim.dim_param for dim in dims] == ["batch", "length"] * 2
    shared = [item for item in graph.initializer if item.external_data]
    assert {item.external_data[0].value for item in shared} == {"weights.bin"}
    assert "classifier.bert.embeddings.word_embeddings.weight" in {item.name for item in shared}
    content = (tmp_path / "model.onnx").read_bytes()
    assert len(content) < 100_000
    assert not [word for word in (b"/site-packages", b"File \\", b".py") if word in content]
    operators = collections.Counter(node.op_type for node in graph.node)
    assert (operators["MultiHeadAttention"], operators["Gelu"]) == (2, 2)
    # Of the model's five, each one operator. The one softmax left is the score's.
    assert (operators["LayerNormalization"], operators["Softmax"]) == (5, 1)
    assert not operators["Transpose"]


def test_the_last_layer_computes_what_the_classifier_reads(outputs, tmp_path):
    """Holds that its queries, and all that follows them, are of the first token alone."""
    graph = unpacked_graph(outputs[0], tmp_path)
    sizes = {
        value.name: [dim.dim_value or dim.dim_param for dim in value.type.tensor_type.shape.dim]
        for value in graph.value_info
    }
    attention = [node for node in graph.node if node.op_type == "MultiHeadAttention"]
    assert [
        [sizes[name][1] for name in (*node.input[:3], node.output[0])] for node in attention
    ] == [["length"] * 4, [1, "length", "length", 1]]
    assert [sizes[node.output[0]][1] for node in graph.node if node.op_type == "Gelu"] == [
        "length",
        1,
    ]


def unpacked_graph(outputs, folder) -> onnx.GraphProto:
    with tarfile.open(outputs / "artifact" / "model.tar.gz") as tar:
        tar.extractall(folder, filter="data")
    (path,) = folder.glob("*.onnx")
    return onnx.load(path, load_external_data=False).graph


@pytest.mark.parametrize("wrong", [(1, 2), (1, 8), (4, 16)], ids=str)
def test_a_shape_with_other_scores_is_noticed(wrong, outputs, model, tmp_path, monkeypatch):
    unpacked_graph(outputs[0], tmp_path)
    about = bundle.read_bundle(tmp_path)
    right = onnx_backend.OnnxBackend.run

    def run(self, bucket, ids, mask):
        return right(self, bucket, ids, mask) + 0.5 * (ids.shape == wrong)

    eager = classifier.load_classifier(model)
    assert compile_model.largest_difference(eager, tmp_path, about) < 1e-6
    monkeypatch.setattr(onnx_backend.OnnxBackend, "run", run)
    assert compile_model.largest_difference(eager, tmp_path, about) > 0.4


def test_the_lock_says_what_was_compiled(outputs):
    lock = json.loads((outputs[0] / "lock" / "compile-lock.json").read_text())
    assert (lock["target"], lock["image"]) == ("cpu", "serving:1")
    assert (lock["neuron_sdk"], lock["compiler"], lock["cores"]) == (None, None, None)
    assert (lock["batch_sizes"], lock["sequence_lengths"]) == ([1, 4], [8, 16])
    assert 0 <= lock["largest_difference"] <= lock["tolerance"]
    assert {"torch", "onnx", "onnxruntime"} <= set(lock["packages"])
    assert {"weights.bin", "serving.json", "code/inference.py"} <= set(lock["artifact"])
    assert "code/compile_model.py" not in lock["artifact"]
    archive = (outputs[0] / "artifact" / "model.tar.gz").read_bytes()
    assert lock["artifact_sha256"] == hashlib.sha256(archive).hexdigest()


def test_the_artifact_has_the_handler_that_other_tests_use_and_no_other_targets_files(outputs):
    lock = json.loads((outputs[0] / "lock" / "compile-lock.json").read_text())
    code = {name.partition("/")[2] for name in lock["artifact"] if name.startswith("code/")}
    assert code == set(HANDLER_FILES)


@pytest.fixture(scope="module")
def int8(model, tmp_path_factory):
    """The outputs of a job with `quantization: int8`."""
    changes = {"quantization": "int8", "batch_sizes": [1], "tolerance": 0.2}
    root = job(tmp_path_factory.mktemp("int8"), model, **changes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPT_ML", str(root))
        patch.setenv("SERVING_IMAGE", "serving:1")
        compile_model.main()
    return root / "processing" / "output"


@pytest.mark.slow
def test_an_int8_artifact_multiplies_integers_and_keeps_no_floats_of_them(int8, tmp_path):
    graph = unpacked_graph(int8, tmp_path)
    weights = graph.initializer
    integers = {item.name for item in weights if item.data_type == onnx.TensorProto.INT8}
    multiplied = [node for node in graph.node if node.op_type == "MatMulInteger"]
    # Six products in each of two layers, pooler and classifier.
    assert len(multiplied) == 14
    assert {node.input[1] for node in multiplied} <= integers
    assert not [node for node in graph.node if node.op_type == "Gemm"]
    assert len([node for node in graph.node if node.op_type == "MultiHeadAttention"]) == 2
    assert {name for node in graph.node for name in node.input} >= {w.name for w in weights}
    lock = json.loads((int8 / "lock" / "compile-lock.json").read_text())
    assert lock["dtype"] == "int8"
    assert 0 < lock["largest_difference"] <= lock["tolerance"] == 0.2


def test_an_int8_score_is_near_the_eager_models_and_no_other_rows_business(int8, model):
    expected = eager_scores(model)
    with open_artifact(int8 / "artifact" / "model.tar.gz", threshold=0.5) as artifact:
        together = [answer.score for answer in artifact.predict(TEXTS)]
        alone = [artifact.predict([text])[0].score for text in TEXTS]
    assert together == alone
    assert together == pytest.approx(expected, abs=0.05)
    assert together != pytest.approx(expected, abs=1e-5), "it was not rounded"


def failure(monkeypatch, root) -> str:
    monkeypatch.setenv("OPT_ML", str(root))
    with pytest.raises(SystemExit) as caught:
        compile_model.main()
    outputs = [path for path in (root / "processing" / "output").rglob("*") if path.is_file()]
    assert not outputs
    message = (root / "output" / "failure").read_text().strip()
    assert str(caught.value) == f"error: {message}"
    return message


def test_a_difference_over_the_tolerance_is_an_error(model, tmp_path, monkeypatch):
    message = failure(monkeypatch, job(tmp_path, model, tolerance=1e-12))
    assert "more than compile.tolerance=1e-12" in message


def test_weights_that_are_missing_are_not_made_up(model, tmp_path, monkeypatch):
    from shutil import copytree

    from safetensors.torch import load_file, save_file

    broken = copytree(model, tmp_path / "broken")
    tensors = load_file(broken / "model.safetensors")
    kept = {name: value for name, value in tensors.items() if not name.startswith("classifier")}
    save_file(kept, broken / "model.safetensors", {"format": "pt"})
    message = failure(monkeypatch, job(tmp_path / "job", broken))
    assert "lacks classifier.bias, classifier.weight" in message


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"sequence_lengths": [64]}, "compile.sequence_lengths: 64 is over the 32 tokens"),
        ({"target": "inf2"}, "this machine lacks neuronx-cc: compile for cpu here"),
    ],
)
def test_settings_that_cannot_be_met_are_named(model, tmp_path, monkeypatch, changes, says):
    assert says in failure(monkeypatch, job(tmp_path, model, **changes))


@pytest.mark.slow
def test_a_full_disk_is_named_with_what_helps(model, tmp_path, monkeypatch):
    def full(source, target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))

    monkeypatch.setattr(compile_model.shutil, "copyfile", full)
    message = failure(monkeypatch, job(tmp_path, model))
    assert message.startswith("cannot write ")
    assert message.endswith("No space left on device; free some space and run again")


@pytest.mark.slow
def test_a_merge_whose_scores_are_no_numbers_is_refused(tmp_path, monkeypatch):
    base, source = tmp_path / "base", tmp_path / "adapter"
    save_llama(base, ["a bad day", "a good day"])
    save_trained_adapter(base, source, labels=("bad", "good"))
    monkeypatch.setattr(compile_model.adapter, "merge_difference", lambda *_: math.nan)
    with pytest.raises(compile_model.adapter.AdapterError, match="a probability by nan"):
        compile_model.merge_model(source, base, tmp_path / "merged")
