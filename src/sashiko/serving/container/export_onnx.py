"""Exporter of target cpu: one ONNX graph for each (batch, length), and one file of weights."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx_ir
import torch
from bundle import WEIGHTS_FILE, Bucket, shapes
from classifier import CompileError, PositiveProbability, quiet
from export import Exported
from onnxruntime.quantization import quantize_dynamic
from onnxscript import optimizer

OPSET = 18
_INLINE_BYTES = 1024  # smaller constants stay in the graphs
_FOLD_LIMIT = 1 << 20  # elements: masks and shapes of a bucket become constants


def export(model: PositiveProbability, folder: Path, settings: Mapping[str, Any]) -> Exported:
    """Exports a model: a graph for each batch size and length, and the weights that they share.

    torch's exporter runs once, with dynamic axes. Each graph is a copy with fixed axes and folded
    constants. See `export.export` for the arguments.

    Raises:
        CompileError: if a shape stays dynamic.
    """
    int8 = settings["quantization"] == "int8"
    template = folder / "dynamic.onnx"
    exported = _export(model)
    onnx_ir.save(
        _without_metadata(_quantize(exported) if int8 else exported),
        template,
        external_data=WEIGHTS_FILE,
        size_threshold_bytes=_INLINE_BYTES,
    )
    buckets = shapes(settings["batch_sizes"], settings["sequence_lengths"], suffix=".onnx")
    for bucket in buckets:
        graph = _fix_shapes(onnx_ir.load(template), bucket)
        onnx_ir.save(graph, folder / bucket.graph)
    template.unlink()
    return Exported(
        buckets=buckets,
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


def _fix_shapes(model: onnx_ir.Model, bucket: Bucket) -> onnx_ir.Model:
    for value in model.graph.inputs:
        value.shape = onnx_ir.Shape([bucket.batch, bucket.length])
    for node in model.graph:
        for value in node.outputs:
            value.shape = None  # inferred again from the inputs
    with quiet():
        optimizer.optimize_ir(model, input_size_limit=_FOLD_LIMIT, output_size_limit=_FOLD_LIMIT)
    for node in model.graph:
        for value in node.outputs:
            if value.shape is None or not value.shape.is_static():
                raise CompileError(
                    f"{bucket.graph}: {node.op_type} {value.name} has no fixed shape"
                )
    return _without_metadata(model)


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
