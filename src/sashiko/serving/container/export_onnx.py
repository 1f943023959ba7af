"""Exporter of target cpu: one ONNX graph for every shape, and its weights."""

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx_ir
import torch
from bundle import WEIGHTS_FILE, shapes
from classifier import PositiveProbability, quiet
from export import Exported
from fused_attention import fused_attention
from onnxruntime.quantization import quantize_dynamic
from rewrite_onnx import drop_reshapes, keep_first_token

OPSET = 20  # the first with an operator for GELU
_GRAPH = "model.onnx"
_INLINE_BYTES = 1024  # smaller constants stay in the graph


def export(model: PositiveProbability, folder: Path, settings: Mapping[str, Any]) -> Exported:
    """Exports a model as a graph of any batch size and length, and its weights.

    With attention as one operator, a graph of any length takes as long as one of a fixed length,
    and no row is padded further than to the longest of its batch. See `export.export` for the
    arguments.
    """
    int8 = settings["quantization"] == "int8"
    with fused_attention(model.classifier):
        exported = _export(model)
    drop_reshapes(exported)
    keep_first_token(exported)
    onnx_ir.save(
        _without_metadata(_quantize(exported) if int8 else exported),
        folder / _GRAPH,
        external_data=WEIGHTS_FILE,
        size_threshold_bytes=_INLINE_BYTES,
    )
    buckets = shapes(settings["batch_sizes"], settings["sequence_lengths"])
    return Exported(
        buckets=tuple(replace(bucket, graph=_GRAPH) for bucket in buckets),
        fixed_lengths=False,
        packages=("onnx", "onnxruntime", "onnxscript"),
        dtype="int8" if int8 else "float32",
        onnx_opset=OPSET,
    )


def _export(model: PositiveProbability) -> onnx_ir.Model:
    batch, length = torch.export.Dim("batch"), torch.export.Dim("length")
    axes = {0: batch, 1: length}
    # Two tensors: with the same one twice, the exporter confuses mask and ids.
    sample = (torch.ones(2, 8, dtype=torch.long), torch.ones(2, 8, dtype=torch.long))
    with quiet():
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
        raise TypeError("torch.onnx.export returned no program")
    return program.model


def _quantize(model: onnx_ir.Model) -> onnx_ir.Model:
    """Quantizes weights, and activations dynamically, with one scale for a whole batch.

    So a batch must be one row, or a row's score would depend on the rows beside it.
    """
    with tempfile.TemporaryDirectory(prefix="quantize-") as name, quiet():
        floats, integers = Path(name, "floats.onnx"), Path(name, "integers.onnx")
        onnx_ir.save(model, floats)
        quantize_dynamic(
            floats,
            integers,
            per_channel=True,
            # With weights of 8 bits, some sums would overflow on a CPU without VNNI.
            reduce_range=True,
        )
        return onnx_ir.external_data.load_to_model(onnx_ir.load(integers))


def _without_metadata(model: onnx_ir.Model) -> onnx_ir.Model:
    """Drops stack traces, module paths and doc strings, which contain this machine's paths."""
    graph = model.graph
    items: list[Any] = [model, graph, *graph.inputs, *graph.initializers.values()]
    for node in graph:
        items += [node, *node.outputs]
    for item in items:
        item.metadata_props.clear()
        item.doc_string = None
    return model
