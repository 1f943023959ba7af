"""What a step imports before it does anything: each is a process, which pays at every start."""

import subprocess
import sys
from pathlib import Path

import pytest

STEPS = Path(__file__).parents[3] / "src/sashiko/steps"
HEAVY = {
    "boto3", "botocore", "captum", "duckdb", "great_expectations", "matplotlib", "mlflow", "numpy",
    "onnx", "onnxruntime", "pandas", "pyarrow", "sagemaker", "scipy", "sklearn", "tokenizers",
    "torch", "transformers",
}  # fmt: skip
ARRAYS = {"numpy", "pyarrow"}
ALLOWED = {
    "snapshot": ARRAYS,
    "validate": ARRAYS,
    "prepare": ARRAYS,
    "bias": {*ARRAYS, "pandas"},  # pyarrow loads it with the first array that is made of a list
    "weights": ARRAYS,
    "train": ARRAYS,
    "resolve_champion": {"numpy"},
    "score": ARRAYS,
    "evaluate": ARRAYS,
    "explain": ARRAYS,
    "bias_input": ARRAYS,
    "guardrail": ARRAYS,
    "judge_bias": {*ARRAYS, "pandas"},
    "track": {"numpy"},
    "device_check": {*ARRAYS, "botocore"},
    "register": {"numpy"},
    "monitor.read_capture": ARRAYS,
    "monitor.input_quality": {*ARRAYS, "scipy"},
    "monitor.drift": {*ARRAYS, "pandas", "scipy", "sklearn"},
    "monitor.join_labels": ARRAYS,
    "monitor.quality": ARRAYS,
    "monitor.bias": {*ARRAYS, "pandas", "scipy"},
    "monitor.judge": ARRAYS,
    "monitor.publish": ARRAYS,
}


def test_every_step_stands_in_the_table() -> None:
    steps = [file for file in STEPS.rglob("*.py") if "run_step(main)" in file.read_text()]
    names = {".".join(file.relative_to(STEPS).with_suffix("").parts) for file in steps}
    assert names == set(ALLOWED)


@pytest.mark.parametrize("step", ALLOWED)
def test_a_step_starts_with_what_it_uses(step: str) -> None:
    code = f"import sys, sashiko.steps.{step}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (HEAVY & set(done.stdout.split())) - ALLOWED[step] == set()
