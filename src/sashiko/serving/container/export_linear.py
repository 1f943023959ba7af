"""Exporter of a linear model: one ONNX graph of at most eight operators, in float64.

A row is the numbers of its features and their values, so the graph multiplies as many coefficients
as a row has features, however large the vocabulary is. It scores one row at a time: no row's score
depends on the rows beside it.
"""

from pathlib import Path

import numpy as np
import onnx
from bundle import Bucket
from export import Exported
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 20
_GRAPH = "model.onnx"
_IR = 10  # the newest that the serving image's ONNX Runtime reads
_ROW: list[str | int | None] = [1, "features"]


def export_linear(
    coefficients: "NDArray[np.float64]",
    intercept: "NDArray[np.float64]",
    folder: Path,
    *,
    is_number: bool,
) -> Exported:
    """Writes the graph of a linear model: the softmax of the sums of coefficient times value.

    Args:
        coefficients: of each feature in the log-odds of each class but the first one against the
            first, (classes - 1, features).
        intercept: of the log-odds, (classes - 1,).
        folder: of the artifact.
        is_number: the one sum is a number, the score itself.
    """
    sums = [
        helper.make_node("Gather", ["coefficients", "input_ids"], ["own"], axis=1),
        helper.make_node("Mul", ["own", "attention_mask"], ["products"]),
        helper.make_node("ReduceSum", ["products", "features"], ["sums"], keepdims=0),
        helper.make_node("Add", ["sums", "intercept"], ["log_odds"]),
    ]
    softmax = [
        helper.make_node("Concat", ["first", "log_odds"], ["columns"], axis=0),
        helper.make_node("Transpose", ["columns"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"]),
    ]
    columns = 1 if is_number else len(intercept) + 1
    last = "log_odds" if is_number else "probabilities"
    graph = helper.make_graph(
        [
            *sums,
            *([] if is_number else softmax),
            helper.make_node("Cast", [last], ["scores"], to=TensorProto.FLOAT),
        ],
        "linear",
        [
            helper.make_tensor_value_info("input_ids", TensorProto.INT64, _ROW),
            helper.make_tensor_value_info("attention_mask", TensorProto.DOUBLE, _ROW),
        ],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, columns])],
        [
            numpy_helper.from_array(coefficients, "coefficients"),
            numpy_helper.from_array(intercept[:, None], "intercept"),
            *([] if is_number else [numpy_helper.from_array(np.zeros((1, 1)), "first")]),
            numpy_helper.from_array(np.array([2]), "features"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=_IR)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, folder / _GRAPH)
    return Exported(
        buckets=(Bucket(1, 0, _GRAPH),),
        fixed_lengths=False,
        packages=("onnx", "onnxruntime"),
        dtype="float64",
        onnx_opset=OPSET,
    )
