"""The ten steps by our runner: `python -m verification.benchmarks.ten_steps.ours HOME`.

A definition as SageMaker takes it, interpreted by the engine of `sashiko run`: each step a process
with a folder of its own, its inputs staged, its output collected and digested.
"""

import sys
from pathlib import Path
from typing import Any

from sashiko.core.files import read_json
from sashiko.pipeline.runner.jobs import Image
from sashiko.pipeline.runner.record import new_run_id
from sashiko.pipeline.runner.run import run_definition
from sashiko.pipeline.runner.store import Store
from sashiko.pipeline.runner.view import PlainView
from verification.benchmarks.ten_steps.graph import STEPS

_IMAGE = "ten-steps"
_CODE = """
import json, os, pathlib
folder = pathlib.Path(os.environ["OPT_ML"]) / "processing"
given = [json.loads(path.read_text()) for path in (folder / "input").glob("*/value.json")]
(folder / "output/out/value.json").write_text(json.dumps(sum(given) + 1))
"""


def main() -> None:
    """Runs the definition in a home folder and prints the last step's result."""
    home = Path(sys.argv[1])
    record = run_definition(
        _definition(),
        home=home,
        images={_IMAGE: Image(entrypoint=("python3", "-c", _CODE))},
        parameters={},
        pipeline="ten-steps",
        run_id=new_run_id(home),
        view=PlainView(sys.stderr),
    )
    if record.exit_code != 0:
        sys.exit(f"error: {record.reason}")
    uri = record.step("end").outputs["out"].uri
    print(f"result={read_json(Store(home / 's3').path(uri) / 'value.json')}")


def _definition() -> dict[str, Any]:
    steps = [_step(name, after) for name, after in STEPS.items()]
    return {"Version": "2020-12-01", "Parameters": [], "Steps": steps}


def _step(name: str, after: tuple[str, ...]) -> dict[str, Any]:
    prefix = ["s3://bucket/runs", {"Get": "Execution.PipelineExecutionId"}, name, "out"]
    inputs = [
        {
            "InputName": other,
            "S3Input": {"S3Uri": {"Get": _output(other)}, "LocalPath": _folder("input", other)},
        }
        for other in after
    ]
    output = {
        "OutputName": "out",
        "S3Output": {
            "S3Uri": {"Std:Join": {"On": "/", "Values": prefix}},
            "LocalPath": _folder("output", "out"),
        },
    }
    return {
        "Name": name,
        "Type": "Processing",
        "CacheConfig": {"Enabled": True},
        "Arguments": {
            "RoleArn": "role",
            "ProcessingResources": {"ClusterConfig": {"InstanceCount": 1}},
            "AppSpecification": {"ImageUri": _IMAGE},
            "ProcessingInputs": inputs,
            "ProcessingOutputConfig": {"Outputs": [output]},
        },
    }


def _output(step: str) -> str:
    return f"Steps.{step}.ProcessingOutputConfig.Outputs['out'].S3Output.S3Uri"


def _folder(side: str, name: str) -> str:
    return f"/opt/ml/processing/{side}/{name}"


if __name__ == "__main__":
    main()
