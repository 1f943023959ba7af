"""Exporter of target cpu: one ONNX graph for every shape, and its weights.

Attention is one operator, and the graph is rewritten: the same scores from less work.
"""

import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx_ir
import torch
from bundle import WEIGHTS_FILE, shapes
from classifier import ScoredModel, quiet
from export import Exported
from onnx_ir.passes.common import RemoveUnusedNodesPass
from onnxruntime.quantization import quantize_dynamic
from transformers import AttentionInterface, AttentionMaskInterface

OPSET = 20  # the first with an operator for GELU
_GRAPH = "model.onnx"
_INLINE_BYTES = 1024  # smaller constants stay in the graph
_ATTENTION = "onnx_multi_head_attention"
# What changes no score in attention: dropout is off, and the mask has windows and causality.
_IGNORED = {"deterministic", "dropout", "is_causal", "sliding_window"}
_TOKENS = 1  # the axis of tokens: (batch, tokens, hidden)
_ELEMENTWISE = {
    "Add", "Cast", "Div", "Erf", "Gelu", "Mul", "Pow", "Relu", "Sigmoid", "Sub", "Tanh",
}  # fmt: skip
_FIRST = "first_token"

Axes = Mapping[int, int]  # input of a node -> its axis of tokens


def export(model: ScoredModel, folder: Path, settings: Mapping[str, Any]) -> Exported:
    """Exports a model as a graph of any batch size and length, and its weights.

    With attention as one operator, a graph of any length takes as long as one of a fixed length,
    and no row is padded further than to the longest of its batch. See `export.export` for the
    arguments.
    """
    int8 = settings["quantization"] == "int8"
    with fused_attention(model.classifier):
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
                output_names=["scores"],
                dynamic_shapes={"input_ids": axes, "attention_mask": dict(axes)},
            )
    if program is None:
        raise TypeError("torch.onnx.export returned no program")
    exported = program.model
    drop_reshapes(exported)
    keep_first_token(exported)
    if int8:
        exported = _quantize(exported)
    # Stack traces, module paths and doc strings contain this machine's paths.
    graph = exported.graph
    items: list[Any] = [exported, graph, *graph.inputs, *graph.initializers.values()]
    for node in graph:
        items += [node, *node.outputs]
    for item in items:
        item.metadata_props.clear()
        item.doc_string = None
    onnx_ir.save(
        exported, folder / _GRAPH, external_data=WEIGHTS_FILE, size_threshold_bytes=_INLINE_BYTES
    )
    buckets = shapes(settings["batch_sizes"], settings["sequence_lengths"])
    return Exported(
        buckets=tuple(replace(bucket, graph=_GRAPH) for bucket in buckets),
        fixed_lengths=False,
        packages=("onnx", "onnxruntime", "onnxscript"),
        dtype="int8" if int8 else "float32",
        onnx_opset=OPSET,
    )


def _quantize(model: onnx_ir.Model) -> onnx_ir.Model:
    """Quantizes weights, and activations dynamically, with one scale for a whole batch.

    So a batch must be one row, or a row's score would depend on the rows beside it.
    """
    with tempfile.TemporaryDirectory(prefix="quantize-") as name, quiet():
        floats, integers = Path(name, "floats.onnx"), Path(name, "integers.onnx")
        onnx_ir.save(model, floats)
        # With weights of 8 bits, some sums would overflow on a CPU without VNNI.
        quantize_dynamic(floats, integers, per_channel=True, reduce_range=True)
        return onnx_ir.external_data.load_to_model(onnx_ir.load(integers))


@contextmanager
def fused_attention(classifier: Any) -> Iterator[None]:
    """Has a classifier attend by `com.microsoft.MultiHeadAttention`, which only ONNX Runtime runs.

    It is an implementation beside transformers' own ones, so it fits every family that chooses
    among them. A family that does not, such as DeBERTa, keeps its attention: plain operators.
    """
    AttentionInterface.register(_ATTENTION, _attend)
    AttentionMaskInterface.register(_ATTENTION, AttentionMaskInterface()["eager"])
    before = classifier.config._attn_implementation
    classifier.set_attn_implementation(_ATTENTION)
    try:
        yield
    finally:
        classifier.set_attn_implementation(before)


def _attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float | None = None,
    **options: Any,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Attends: see `transformers.AttentionInterface`.

    Query, key and value are (batch, heads, tokens, head size); the last two have fewer heads where
    several queries share one. The mask, (batch, 1, tokens, tokens), is added to the products. No
    scaling is the inverse root of the head size. Returns (batch, tokens, heads, head size), and no
    weights.
    """
    others = {name for name, value in options.items() if value is not None and value is not False}
    if key.shape[1] != query.shape[1] or others - _IGNORED:
        eager = sys.modules[type(module).__module__].eager_attention_forward
        result: tuple[torch.Tensor, torch.Tensor | None] = eager(
            module, query, key, value, attention_mask, scaling=scaling, **options
        )
        return result
    batch, heads, tokens, _ = query.shape
    size = value.shape[3]
    attributes: dict[str, Any] = {"num_heads": heads}
    if scaling is not None:
        attributes["scale"] = float(scaling)
    attended = torch.onnx.ops.symbolic(
        "com.microsoft::MultiHeadAttention",
        # Neither a bias of the three, nor a mask of keys.
        (_joined(query), _joined(key), _joined(value), None, None, attention_mask),
        attributes,
        dtype=query.dtype,
        shape=(batch, tokens, heads * size),
        version=1,
    )
    return attended.view(batch, tokens, heads, size), None


def _joined(heads: torch.Tensor) -> torch.Tensor:
    batch, count, tokens, size = heads.shape
    return heads.transpose(1, 2).reshape(batch, tokens, count * size)


def drop_reshapes(model: onnx_ir.Model) -> None:
    """Removes pairs of reshapes whose result has the shape that the first one got.

    The fused attention takes its heads joined, as the layers around it have them.
    """
    for node in model.graph:
        before = node.inputs[0].producer() if node.op_type == "Reshape" and node.inputs[0] else None
        if before is None or before.op_type != "Reshape" or before.inputs[0] is None:
            continue
        original, result = before.inputs[0], node.outputs[0]
        if original.shape is not None and original.shape == result.shape:
            result.replace_all_uses_with(original)
    RemoveUnusedNodesPass()(model)


def keep_first_token(model: onnx_ir.Model) -> None:
    """Computes for the first token only what a classifier reads of the first token only.

    Keys and values of the last layer need every token; its queries, and all that follows them, do
    not. The choice of the token moves up from the classifier through every operator that treats
    each token by itself, as far as nothing else reads the others.
    """
    graph = model.graph
    for node in list(graph):
        if node.op_type != "Gather" or node.attributes.get_int("axis", 0) != _TOKENS:
            continue
        index = onnx_ir.convenience.get_const_tensor(node.inputs[1]) if node.inputs[1] else None
        if index is None or index.size != 1 or int(index.numpy().item()) != 0:
            continue
        if rows := _computed_by_token(graph, node):
            _narrow(graph, rows)


def _computed_by_token(graph: onnx_ir.Graph, choice: onnx_ir.Node) -> dict[onnx_ir.Node, Axes]:
    """Returns the operators above a choice whose other tokens nobody reads, first one first."""
    rows: dict[onnx_ir.Node, Axes] = {choice: {0: _TOKENS}}
    above = False
    for node in reversed(graph):
        if not above:
            above = node is choice
            continue
        if len(node.outputs) != 1 or node.outputs[0].is_graph_output():
            continue
        uses = tuple(node.outputs[0].uses())
        # A key of the attention is among its inputs, but not by token.
        if not uses or any(rows.get(use.node, {}).get(use.idx) != _TOKENS for use in uses):
            continue
        if axes := _token_axes(node):
            rows[node] = axes
    del rows[choice]
    return dict(reversed(rows.items()))


def _token_axes(node: onnx_ir.Node) -> Axes:
    """Returns which inputs have tokens; none if the operator does not treat each by itself."""
    shapes = [None if value is None else value.shape for value in node.inputs]
    ranks = [None if shape is None else shape.rank() for shape in shapes]
    if node.op_type in _ELEMENTWISE and not set(ranks) - {0, 1, 3}:
        return {
            index: _TOKENS
            for index, shape in enumerate(shapes)
            if shape is not None and shape.rank() == 3 and shape[_TOKENS] != 1
        }
    if not ranks or ranks[0] != 3:
        return {}
    if node.op_type == "MatMul":
        return {0: _TOKENS} if ranks[1] == 2 else {}
    if node.op_type == "LayerNormalization":
        return {0: _TOKENS} if node.attributes.get_int("axis", -1) in (-1, 2) else {}
    if node.op_type == "MultiHeadAttention":
        # The query, and the row of the mask that belongs to it.
        return {0: _TOKENS} | ({5: 2} if len(ranks) > 5 and node.inputs[5] is not None else {})
    return {}


def _narrow(graph: onnx_ir.Graph, rows: Mapping[onnx_ir.Node, Axes]) -> None:
    """Gives operators the first token of their inputs, and their outputs the shape of one token."""
    narrowed: dict[tuple[onnx_ir.Value, int], onnx_ir.Value] = {}
    inputs = [(node, index, axis) for node, axes in rows.items() for index, axis in axes.items()]
    for node, index, axis in inputs:
        value = node.inputs[index]
        if value is None or value.producer() in rows:
            continue
        if value.shape is None:
            raise TypeError(f"{node.op_type} {node.name} lost an input")
        if _FIRST not in graph.initializers:
            tensor = onnx_ir.tensor([0], name=_FIRST)
            first = onnx_ir.Value(name=_FIRST, const_value=tensor)
            first.shape, first.dtype = onnx_ir.Shape([1]), onnx_ir.DataType.INT64
            graph.register_initializer(first)
        if (value, axis) not in narrowed:
            first = graph.initializers[_FIRST]
            gather = onnx_ir.node("Gather", [value, first], {"axis": axis})
            result = gather.outputs[0]
            result.name, result.type = f"{value.name}_{_FIRST}_{axis}", value.type
            result.shape = _with_one(value.shape, axis)
            graph.insert_before(node, gather)
            narrowed[value, axis] = result
        node.replace_input_with(index, narrowed[value, axis])
    for node in rows:
        output = node.outputs[0]
        output.shape = None if output.shape is None else _with_one(output.shape, _TOKENS)


def _with_one(shape: onnx_ir.Shape, axis: int) -> onnx_ir.Shape:
    return onnx_ir.Shape([1 if index == axis else size for index, size in enumerate(shape)])
