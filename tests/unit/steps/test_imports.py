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
    "sashiko.bias.steps.judge_bias": ARRAYS,
    "sashiko.steps.track": {"numpy"},
    "sashiko.steps.device_check": {*ARRAYS, "botocore"},
    "sashiko.steps.register": {"numpy"},
    "sashiko_packs.batch.steps.preflight": {*ARRAYS, "botocore"},
    "sashiko_packs.batch.steps.rows": ARRAYS,
    "sashiko_packs.batch.steps.score": ARRAYS,
    "sashiko_packs.batch.steps.publish": {*ARRAYS, "botocore"},
    "sashiko_packs.batch.steps.capture": ARRAYS,
    "sashiko_packs.monitoring.steps.read_capture": ARRAYS,
    "sashiko_packs.monitoring.steps.input_quality": {*ARRAYS, "scipy"},
    "sashiko_packs.monitoring.steps.drift": {*ARRAYS, "pandas", "scipy", "sklearn"},
    "sashiko_packs.monitoring.steps.join_labels": ARRAYS,
    "sashiko_packs.monitoring.steps.bias": {*ARRAYS, "pandas", "scipy"},
    "sashiko_packs.monitoring.steps.judge": ARRAYS,
}


# A pack can be left out.
THERE = [name for name in ALLOWED if (SOURCE / f"{name.replace('.', '/')}.py").is_file()]


def test_every_step_stands_in_the_table() -> None:
    steps = [file for file in SOURCE.rglob("*.py") if "    run_step(main)" in file.read_text()]
    names = {".".join(file.relative_to(SOURCE).with_suffix("").parts) for file in steps}
    assert names == set(THERE)


FORKS = """
import importlib, os, sys, traceback
import numpy, pydantic, yaml
for step in sys.argv[1:]:
    sys.stdout.flush()
    if not os.fork():
        try:
            importlib.import_module(step)
            print(step, *sys.modules, flush=True)
        except Exception:
            traceback.print_exc()
        os._exit(0)
    os.wait()
"""


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    """Step -> what it imports; each is a fork of a process that has what all may import."""
    command = [sys.executable, "-c", FORKS, *THERE]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    lines = (line.split() for line in done.stdout.splitlines())
    return {step: set(modules) for step, *modules in lines}


@pytest.mark.parametrize("step", THERE)
def test_a_step_starts_with_what_it_uses(step: str, imports: dict[str, set[str]]) -> None:
    assert (HEAVY & imports[step]) - ALLOWED[step] == set()
