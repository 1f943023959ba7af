"""The serving image has Python 3.10, and nothing of this package."""

import ast
import sys

import pytest

from tests.e2e.serving.tiny_artifact import HANDLER_FILES, SERVING

FILES = sorted(SERVING.glob("*.py"))
SHIPPED = {
    *HANDLER_FILES,
    "classifier.py", "eager_backend.py", "neuron_backend.py", "neuron_machine.py",
    "neuron_causal_backend.py", "vllm_backend.py", "vllm_handler.py",
}  # fmt: skip
IN_THE_IMAGE = {"numpy", "tokenizers"}
# What a target needs beside it is in its own image alone, and imported there alone.
OF_A_TARGET = {
    "adapter.py": {"safetensors", "torch"},
    "classifier.py": {"safetensors", "torch", "transformers"},  # the first comes with the last
    "compile_model.py": {"safetensors", "torch"},
    "eager_backend.py": {"torch"},
    "neuron_backend.py": {"torch", "torch_neuronx"},
    "neuron_causal_backend.py": {"optimum", "torch"},
    "onnx_backend.py": {"onnxruntime"},
    "export_linear.py": {"onnx"},
    "export_neuron.py": {"optimum", "torch"},
    "export_neuron_causal.py": {"optimum", "safetensors", "torch"},
    "export_onnx.py": {"onnx_ir", "onnxruntime", "torch", "transformers"},
    "vllm_backend.py": {"vllm"},
    "vllm_handler.py": {"starlette"},
}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_file_parses_as_python_310(file):
    ast.parse(file.read_text(), feature_version=(3, 10))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_file_imports_siblings_and_packages_of_the_image_only(file):
    allowed = set(sys.stdlib_module_names) | IN_THE_IMAGE | OF_A_TARGET.get(file.name, set())
    if file.name in SHIPPED:
        allowed |= {name.removesuffix(".py") for name in SHIPPED}
    else:
        allowed |= {sibling.stem for sibling in FILES}
    assert imported(ast.parse(file.read_text())) <= allowed


def imported(tree: ast.AST) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or ".").partition(".")[0])
    return names
