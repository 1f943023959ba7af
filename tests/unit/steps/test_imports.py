"""What a step imports before it does anything: each is a process, which pays at every start."""

import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[3] / "src"
HEAVY = {
    "boto3", "botocore", "captum", "duckdb", "great_expectations", "matplotlib", "mlflow", "numpy",
    "onnx", "onnxruntime", "pandas", "pyarrow", "sagemaker", "scipy", "sklearn", "tokenizers",
    "torch", "transformers",
}  # fmt: skip
ARRAYS = {"numpy", "pyarrow"}
ALLOWED = {
    "sashiko.steps.snapshot": ARRAYS,
    "sashiko.steps.validate": ARRAYS,
    "sashiko.steps.prepare": ARRAYS,
    "sashiko.bias.steps.clarify_bias": ARRAYS,
    "sashiko.bias.steps.weights": ARRAYS,
    "sashiko.steps.train": ARRAYS,
    "sashiko.steps.resolve_champion": {"numpy"},
    "sashiko.steps.score": ARRAYS,
    "sashiko.steps.evaluate": ARRAYS,
    "sashiko.steps.explain": ARRAYS,
    "sashiko.bias.steps.bias_input": ARRAYS,
    "sashiko_packs.bedrock.steps.guardrail": ARRAYS,
    "sashiko.bias.steps.judge_bias": ARRAYS,
    "sashiko.steps.track": {"numpy"},
    "sashiko.steps.device_check": {*ARRAYS, "botocore"},
    "sashiko.steps.register": {"numpy"},
    "sashiko_packs.monitoring.steps.read_capture": ARRAYS,
    "sashiko_packs.monitoring.steps.input_quality": {*ARRAYS, "scipy"},
    "sashiko_packs.monitoring.steps.drift": {*ARRAYS, "pandas", "scipy", "sklearn"},
    "sashiko_packs.monitoring.steps.join_labels": ARRAYS,
    "sashiko_packs.monitoring.steps.quality": ARRAYS,
    "sashiko_packs.monitoring.steps.bias": {*ARRAYS, "pandas", "scipy"},
    "sashiko_packs.monitoring.steps.judge": ARRAYS,
    "sashiko_packs.monitoring.steps.publish": ARRAYS,
}


# A pack can be left out.
THERE = [name for name in ALLOWED if (SOURCE / f"{name.replace('.', '/')}.py").is_file()]


def test_every_step_stands_in_the_table() -> None:
    steps = [file for file in SOURCE.rglob("*.py") if "    run_step(main)" in file.read_text()]
    names = {".".join(file.relative_to(SOURCE).with_suffix("").parts) for file in steps}
    assert names == set(THERE)


@pytest.mark.parametrize("step", THERE)
def test_a_step_starts_with_what_it_uses(step: str) -> None:
    code = f"import sys, {step}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (HEAVY & set(done.stdout.split())) - ALLOWED[step] == set()
