"""A fine-tuned classifier to ONNX: one graph for each (batch, length), one file of weights."""

import itertools
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx_ir
import torch
from bundle import WEIGHTS_FILE, Bucket
from onnxscript import optimizer
from transformers import AutoModelForSequenceClassification
from transformers.utils.logging import disable_progress_bar

OPSET = 18
_INLINE_BYTES = 1024  # smaller constants stay in the graphs
_FOLD_LIMIT = 1 << 20  # elements: masks and shapes of a bucket become constants


class CompileError(Exception):
    """The model cannot be compiled as asked; the message says why and what to change."""


class PositiveProbability(torch.nn.Module):
    """The classifier with its softmax: (batch, length) ids and mask to (batch,) probabilities.

    Attributes:
        config: the classifier's `config.json`.
    """

    def __init__(self, classifier: torch.nn.Module) -> None:
        """Wraps a classifier with two labels, the positive one last."""
        super().__init__()
        self.classifier = classifier
        self.config: Any = classifier.config

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Returns P(positive), float32."""
        logits = self.classifier(input_ids=input_ids, attention_mask=attention_mask).logits
        return torch.softmax(logits.float(), dim=-1)[:, 1]


def load_classifier(folder: Path) -> PositiveProbability:
    """Loads a Hugging Face folder in float32 with attention written out as plain operators.

    Raises:
        CompileError: if weights are missing (they would be random) or there are not two labels.
    """
    disable_progress_bar()
    with _quiet():
        model, report = AutoModelForSequenceClassification.from_pretrained(
            folder,
            attn_implementation="eager",
            dtype=torch.float32,
            local_files_only=True,
            output_loading_info=True,
            use_safetensors=True,
        )
    if report["missing_keys"]:
        missing = ", ".join(sorted(report["missing_keys"]))
        raise CompileError(f"model.safetensors lacks {missing}: give the output of Train")
    if model.config.num_labels != 2:
        raise CompileError(f"the model has {model.config.num_labels} labels, expected 2")
    return PositiveProbability(model).eval()


def export_graphs(
    model: PositiveProbability,
    folder: Path,
    *,
    batch_sizes: Sequence[int],
    sequence_lengths: Sequence[int],
) -> tuple[Bucket, ...]:
    """Writes a graph for each batch size and length, and the weights that they share.

    The exporter runs once, with open axes; each graph is that one with its axes fixed and all that
    follows from them folded.

    Args:
        model: what to export.
        folder: where the graphs and `weights.bin` go.
        batch_sizes: rows per run.
        sequence_lengths: tokens per row.

    Returns:
        The buckets, by length and batch.

    Raises:
        CompileError: if a length exceeds the model's, or a shape stays open.
    """
    longest = getattr(model.config, "max_position_embeddings", max(sequence_lengths))
    if max(sequence_lengths) > longest:
        raise CompileError(
            f"compile.sequence_lengths: {max(sequence_lengths)} is over the {longest} tokens that "
            "the model reads"
        )
    template = folder / "open.onnx"
    onnx_ir.save(
        _without_metadata(_export(model)),
        template,
        external_data=WEIGHTS_FILE,
        size_threshold_bytes=_INLINE_BYTES,
    )
    buckets = tuple(
        Bucket(batch=batch, length=length, graph=f"model_b{batch}_l{length}.onnx")
        for length, batch in itertools.product(sorted(sequence_lengths), sorted(batch_sizes))
    )
    for bucket in buckets:
        graph = _fixed(onnx_ir.load(template), bucket)
        onnx_ir.save(graph, folder / bucket.graph)
    template.unlink()
    return buckets


def _export(model: PositiveProbability) -> onnx_ir.Model:
    batch, length = torch.export.Dim("batch"), torch.export.Dim("length")
    axes = {0: batch, 1: length}
    # Two tensors: one given twice would make the exporter take the mask for the ids.
    sample = (torch.ones(2, 8, dtype=torch.long), torch.ones(2, 8, dtype=torch.long))
    with _quiet():
        program = torch.onnx.export(
            model,
            sample,
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=["input_ids", "attention_mask"],
            output_names=["score"],
            dynamic_shapes={"input_ids": axes, "attention_mask": dict(axes)},
        )
    if program is None:
        raise TypeError("torch.onnx.export gave no program")
    return program.model


def _fixed(model: onnx_ir.Model, bucket: Bucket) -> onnx_ir.Model:
    for value in model.graph.inputs:
        value.shape = onnx_ir.Shape([bucket.batch, bucket.length])
    for node in model.graph:
        for value in node.outputs:
            value.shape = None  # inferred again from the inputs
    with _quiet():
        optimizer.optimize_ir(model, input_size_limit=_FOLD_LIMIT, output_size_limit=_FOLD_LIMIT)
    for node in model.graph:
        for value in node.outputs:
            if value.shape is None or not value.shape.is_static():
                raise CompileError(f"{bucket.graph}: {node.op_type} {value.name} has an open shape")
    return _without_metadata(model)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences the libraries' warnings, which are about their own internals."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def _without_metadata(model: onnx_ir.Model) -> onnx_ir.Model:
    """Drops stack traces, module paths and doc strings: they name this machine."""
    graph = model.graph
    described: list[Any] = [model, graph, *graph.inputs, *graph.initializers.values()]
    for node in graph:
        described += [node, *node.outputs]
    for item in described:
        item.metadata_props.clear()
        item.doc_string = None
    return model
