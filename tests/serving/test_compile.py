"""Compile on a small random encoder: run as the job runs it, and read as the endpoint reads it."""

import errno
import json
import os
import subprocess
import sys
import tarfile

import compile_model
import numpy as np
import onnx
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from sashiko.artifact import open_artifact
from tests.serving.tiny_artifact import SERVING

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
VOCABULARY = {word: index for index, word in enumerate([*SPECIAL, *"abcdefghijklmnopqrstuvwxyz"])}
COMPILE = {"target": "cpu", "batch_sizes": [4, 1], "sequence_lengths": [16, 8], "tolerance": 1e-4}
TEXT = {"template": "{first} {second}", "missing": "z", "truncate": False}
TEXTS = ["a", "b c d e f g", "h i j k l m n o p q r s t u", "v w x y z"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A Hugging Face folder as Train writes it."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=len(VOCABULARY), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=32, pad_token_id=0, initializer_range=0.3,
        id2label={0: "no", 1: "yes"}, label2id={"no": 0, "yes": 1},
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("model")
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer().save(str(folder / "tokenizer.json"))
    return folder


def tokenizer() -> Tokenizer:
    made = Tokenizer(models.WordLevel(VOCABULARY, "[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return made


def job(root, model, **changes):
    """Lays out a job's inputs."""
    inputs = root / "processing" / "input"
    (inputs / "config").mkdir(parents=True)
    (inputs / "config" / "compile.json").write_text(json.dumps(COMPILE | changes))
    (inputs / "config" / "text.json").write_text(json.dumps(TEXT))
    (inputs / "code").symlink_to(SERVING)
    (inputs / "model").mkdir()
    with tarfile.open(inputs / "model" / "model.tar.gz", "w:gz") as tar:
        tar.add(model, arcname=".")
    return root


@pytest.fixture(scope="module")
def outputs(model, tmp_path_factory):
    """Two jobs in processes, folders and hash seeds of their own."""
    roots = [job(tmp_path_factory.mktemp("job"), model) for _ in range(2)]
    running = [
        subprocess.Popen(
            [sys.executable, "-B", root / "processing" / "input" / "code" / "compile_model.py"],
            env=os.environ
            | {"OPT_ML": str(root), "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1"}
            | {"SERVING_IMAGE": "serving:1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for root, seed in zip(roots, "12", strict=True)
    ]
    for process in running:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    return [root / "processing" / "output" for root in roots]


def test_the_same_model_gives_the_same_bytes(outputs) -> None:
    first, second = outputs
    for name in ("artifact/model.tar.gz", "lock/compile-lock.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_the_served_scores_are_the_eager_models(outputs, model) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification

    eager = AutoModelForSequenceClassification.from_pretrained(model).eval()
    expected = []
    for text in TEXTS:
        ids = torch.tensor([tokenizer().encode(text).ids])
        with torch.inference_mode():
            expected.append(torch.softmax(eager(ids).logits, dim=-1)[0, 1].item())
    with open_artifact(outputs[0] / "artifact" / "model.tar.gz", threshold=0.5) as artifact:
        answers = artifact.predict(TEXTS)
        (row,) = artifact.predict([{"first": "v w", "second": "x y z"}])
    assert [answer.score for answer in answers] == pytest.approx(expected, abs=1e-6)
    assert [answer.label for answer in answers] == ["yes" if s >= 0.5 else "no" for s in expected]
    assert row == answers[3]
    assert np.ptp(expected) > 0.1, "the sample must tell a wrong model from a right one"


def test_graphs_have_fixed_shapes_share_the_weights_and_name_no_path(outputs, tmp_path) -> None:
    with tarfile.open(outputs[0] / "artifact" / "model.tar.gz") as tar:
        tar.extractall(tmp_path, filter="data")
    graphs = sorted(tmp_path.glob("*.onnx"))
    assert len(graphs) == 4
    assert sum(path.stat().st_size for path in graphs) < 4 * 100_000
    for path in graphs:
        graph = onnx.load(path, load_external_data=False).graph
        values = [*graph.input, *graph.output, *graph.value_info]
        dims = [dim for value in values for dim in value.type.tensor_type.shape.dim]
        assert dims
        assert all(dim.HasField("dim_value") for dim in dims)
        shared = [item for item in graph.initializer if item.external_data]
        assert {item.external_data[0].value for item in shared} == {"weights.bin"}
        assert "classifier.bert.embeddings.word_embeddings.weight" in {item.name for item in shared}
        content = path.read_bytes()
        assert not [word for word in (b"/site-packages", b"File \\", b".py") if word in content]


def test_the_lock_says_what_was_compiled(outputs) -> None:
    lock = json.loads((outputs[0] / "lock" / "compile-lock.json").read_text())
    assert (lock["target"], lock["image"]) == ("cpu", "serving:1")
    assert (lock["neuron_sdk"], lock["compiler"]) == (None, None)
    assert (lock["batch_sizes"], lock["sequence_lengths"]) == ([1, 4], [8, 16])
    assert 0 <= lock["largest_difference"] <= lock["tolerance"]
    assert {"torch", "onnx", "onnxruntime"} <= set(lock["packages"])
    assert {"weights.bin", "serving.json", "code/inference.py"} <= set(lock["artifact"])
    assert "code/compile_model.py" not in lock["artifact"]


def failure(monkeypatch, root) -> str:
    monkeypatch.setenv("OPT_ML", str(root))
    with pytest.raises(SystemExit) as caught:
        compile_model.main()
    outputs = [path for path in (root / "processing" / "output").rglob("*") if path.is_file()]
    assert not outputs
    message = (root / "output" / "failure").read_text().strip()
    assert str(caught.value) == f"error: {message}"
    return message


def test_a_difference_over_the_tolerance_is_an_error(model, tmp_path, monkeypatch) -> None:
    message = failure(monkeypatch, job(tmp_path, model, tolerance=1e-12))
    assert "more than compile.tolerance=1e-12" in message


def test_weights_that_are_missing_are_not_made_up(model, tmp_path, monkeypatch) -> None:
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
        ({"target": "inf2"}, "compile.target: inf2 is not supported; allowed: cpu"),
    ],
)
def test_settings_that_cannot_be_met_are_named(model, tmp_path, monkeypatch, changes, says) -> None:
    assert says in failure(monkeypatch, job(tmp_path, model, **changes))


def test_a_full_disk_is_named_with_what_helps(model, tmp_path, monkeypatch) -> None:
    def full(source, target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))

    monkeypatch.setattr(compile_model.shutil, "copyfile", full)
    message = failure(monkeypatch, job(tmp_path, model))
    assert message.startswith("cannot write ")
    assert message.endswith("No space left on device; free some space and run again")
