"""Rewrites an exported encoder: the same scores from less work."""

from collections.abc import Iterator, Mapping

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

_TOKENS = 1  # the axis of tokens: (batch, tokens, hidden)
_ELEMENTWISE = {
    "Add", "Cast", "Div", "Erf", "Gelu", "Mul", "Pow", "Relu", "Sigmoid", "Sub", "Tanh",
}  # fmt: skip
_FIRST = "first_token"

Axes = Mapping[int, int]  # input of a node -> its axis of tokens


def drop_reshapes(model: ir.Model) -> None:
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


def keep_first_token(model: ir.Model) -> None:
    """Computes for the first token only what a classifier reads of the first token only.

    Keys and values of the last layer need every token; its queries, and all that follows them, do
    not. The choice of the token moves up from the classifier through every operator that treats
    each token by itself, as far as nothing else reads the others.
    """
    graph = model.graph
    chosen = [node for node in graph if _chooses_first(node)]
    for node in chosen:
        rows = _computed_by_token(graph, node)
        if rows:
            _narrow(graph, rows)


def _chooses_first(node: ir.Node) -> bool:
    if node.op_type != "Gather" or node.attributes.get_int("axis", 0) != _TOKENS:
        return False
    index = ir.convenience.get_const_tensor(node.inputs[1]) if node.inputs[1] else None
    return index is not None and index.size == 1 and int(index.numpy().item()) == 0


def _computed_by_token(graph: ir.Graph, choice: ir.Node) -> dict[ir.Node, Axes]:
    """Returns the operators above a choice whose other tokens nobody reads, first one first."""
    rows: dict[ir.Node, Axes] = {choice: {0: _TOKENS}}
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


def _token_axes(node: ir.Node) -> Axes:
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


def _narrow(graph: ir.Graph, rows: Mapping[ir.Node, Axes]) -> None:
    """Gives operators the first token of their inputs, and their outputs the shape of one token."""
    narrowed: dict[tuple[ir.Value, int], ir.Value] = {}
    for node, index, axis in _outer_inputs(rows):
        value = node.inputs[index]
        if value is None or value.shape is None:
            raise TypeError(f"{node.op_type} {node.name} lost an input")
        if (value, axis) not in narrowed:
            first = _first_index(graph)
            gather = ir.node("Gather", [value, first], {"axis": axis})
            result = gather.outputs[0]
            result.name, result.type = f"{value.name}_{_FIRST}_{axis}", value.type
            result.shape = _with_one(value.shape, axis)
            graph.insert_before(node, gather)
            narrowed[value, axis] = result
        node.replace_input_with(index, narrowed[value, axis])
    for node in rows:
        output = node.outputs[0]
        output.shape = None if output.shape is None else _with_one(output.shape, _TOKENS)


def _outer_inputs(rows: Mapping[ir.Node, Axes]) -> Iterator[tuple[ir.Node, int, int]]:
    for node, axes in rows.items():
        for index, axis in axes.items():
            value = node.inputs[index]
            if value is not None and value.producer() not in rows:
                yield node, index, axis


def _first_index(graph: ir.Graph) -> ir.Value:
    if _FIRST not in graph.initializers:
        tensor = ir.tensor([0], name=_FIRST)
        value = ir.Value(name=_FIRST, const_value=tensor)
        value.shape, value.dtype = ir.Shape([1]), ir.DataType.INT64
        graph.register_initializer(value)
    return graph.initializers[_FIRST]


def _with_one(shape: ir.Shape, axis: int) -> ir.Shape:
    return ir.Shape([1 if index == axis else size for index, size in enumerate(shape)])
