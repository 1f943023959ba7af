"""An artifact whose scores are known: its words' weights add up, and class k has k times the sum.

The scores are the softmax of these logits; of a number, the sum itself. It has the layout, the
handler and the fixed-shape graphs of a compiled model, and is made in milliseconds without torch.
"""

import itertools
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

import sashiko.serving.container
from sashiko.serving.container.pack import pack

SERVING = Path(sashiko.serving.container.__file__).parent
HANDLER_FILES = (
    "backend.py", "bundle.py", "inference.py", "linear.py", "number.py", "onnx_backend.py",
    "payload.py", "prompt.py", "scorer.py", "text.py",
)  # fmt: skip
WORDS = {"bad": 2.0, "awful": 3.0, "fine": -1.0, "good": -2.0, "unknown": 0.5}
# The output of "good", -2, is the bound itself, and that of "bad" is 6.
NUMBER = {"mean": 3.0, "scale": 1.5, "half_width": 4.5, "coverage": 0.9, "above": 0.0}
OUTCOMES = ("at most 0", "above 0")
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


def build_artifact(
    folder: Path,
    *,
    words: Mapping[str, float] = WORDS,
    labels: tuple[str, ...] = ("no", "yes"),
    template: str = "{tone} {note}",
    truncate: bool = False,
    batch_sizes: Sequence[int] = (1, 4),
    lengths: Sequence[int] = (4, 8),
    number: Mapping[str, float] | None = None,
) -> Path:
    """Writes an unpacked artifact into `folder/artifact` and returns its `model.tar.gz`.

    With `number`, the scale of a number, its labels are the outcomes at its bound.
    """
    if number:
        labels = tuple(f"{side} {number['above']:g}" for side in ("at most", "above"))
    artifact = folder / "artifact"
    (artifact / "code").mkdir(parents=True)
    for name in HANDLER_FILES:
        shutil.copyfile(SERVING / name, artifact / "code" / name)
    vocabulary = {word: index for index, word in enumerate([*_SPECIAL, *words])}
    _tokenizer(vocabulary).save(str(artifact / "tokenizer.json"))
    # Padding that is not masked shows.
    known = {"[PAD]": 50.0, **words}
    weights = np.array([[known.get(word, 0.0)] for word in vocabulary], dtype=np.float32)
    buckets = []
    for length, batch in itertools.product(lengths, batch_sizes):
        graph = f"model_b{batch}_l{length}.onnx"
        classes = 1 if number else len(labels)
        made = _graph(weights, batch=batch, length=length, classes=classes)
        onnx.save(made, artifact / graph)
        buckets.append({"batch": batch, "length": length, "graph": graph})
    about = {
        "target": "cpu", "backend": "onnx_backend", "labels": labels, "template": template,
        "missing": "unknown", "truncate": truncate, "pad_id": 0, "buckets": buckets,
        "number": number,
    }  # fmt: skip
    (artifact / "serving.json").write_text(json.dumps(about))
    pack(artifact, folder / "model.tar.gz")
    return folder / "model.tar.gz"


def expected_score(text: str, words: Mapping[str, float] = WORDS) -> float:
    """Returns the score that an artifact of two classes must give to a text."""
    return expected_scores(text, words)[1]


def expected_scores(
    text: str, words: Mapping[str, float] = WORDS, *, classes: int = 2
) -> tuple[float, ...]:
    """Returns the probabilities that the artifact must give to a text."""
    total = sum(words.get(word, 0.0) for word in text.lower().split())
    odds = np.exp(total * np.arange(classes))
    return tuple((odds / odds.sum()).tolist())


def _tokenizer(vocabulary: Mapping[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel(dict(vocabulary), "[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")],
    )
    # As saved by some trainers: the handler must not let the file decide on lengths.
    tokenizer.enable_truncation(6)
    tokenizer.enable_padding(length=6)
    return tokenizer


def _graph(weights: np.ndarray, *, batch: int, length: int, classes: int) -> onnx.ModelProto:
    shape = [batch, length]
    factors = np.arange(classes, dtype=np.float32)[None] if classes > 1 else np.float32([[1]])
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["weights", "input_ids"], ["each"]),
            helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
            helper.make_node("Unsqueeze", ["mask", "last"], ["mask3"]),
            helper.make_node("Mul", ["each", "mask3"], ["kept"]),
            helper.make_node("ReduceSum", ["kept", "tokens"], ["sum"], keepdims=0),
            helper.make_node("Mul", ["sum", "classes"], ["logits"]),
            helper.make_node("Softmax" if classes > 1 else "Identity", ["logits"], ["scores"]),
        ],
        "tiny",
        [helper.make_tensor_value_info(name, TensorProto.INT64, shape)
         for name in ("input_ids", "attention_mask")],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [batch, classes])],
        [
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(np.array([2]), "last"),
            numpy_helper.from_array(np.array([1]), "tokens"),
            numpy_helper.from_array(factors, "classes"),
        ],
    )  # fmt: skip
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10, producer_name="test"
    )
