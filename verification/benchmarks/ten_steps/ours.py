"""The ten steps of `orchestration` by our runner.

    python -m verification.benchmarks.ten_steps.ours HOME

A definition as SageMaker takes it, interpreted by the engine of `sashiko run`: each step a process
with a folder of its own, its inputs staged, its output collected and digested.
"""

import sys
from pathlib import Path
from typing import Any

from sashiko.base.files import read_json
from sashiko.pipeline.runner.definition_run import run_definition
from sashiko.pipeline.runner.local_job import Image
from sashiko.pipeline.runner.run_record import new_run_id
from sashiko.pipeline.runner.store import Store
from sashiko.pipeline.runner.view import PlainView

_STEPS = {
    "start": "", "a": "start", "b": "start", "c": "start", "join": "a b c", "middle": "join",
    "d": "middle", "e": "middle", "join2": "d e", "end": "join2",
}  # fmt: skip
_CODE = """
import json, os, pathlib
folder = pathlib.Path(os.environ["OPT_ML"]) / "processing"
given = [json.loads(path.read_text()) for path in (folder / "input").glob("*/value.json")]
(folder / "output/out/value.json").write_text(json.dumps(sum(given) + 1))
"""


def main() -> None:
    """Runs the definition in a home folder and prints the last step's result."""
    home = Path(sys.argv[1])
    steps = [_step(name, after.split()) for name, after in _STEPS.items()]
    record = run_definition(
        {"Version": "2020-12-01", "Parameters": [], "Steps": steps},
        home=home,
        images={"ten-steps": Image(entrypoint=("python3", "-c", _CODE))},
        parameters={},
        pipeline="ten-steps",
        run_id=new_run_id(home),
        view=PlainView(sys.stderr),
    )
    if record.exit_code != 0:
        sys.exit(f"error: {record.reason}")
    uri = record.step("end").outputs["out"].uri
    print(f"result={read_json(Store(home / 's3').path(uri) / 'value.json')}")


def _step(name: str, after: list[str]) -> dict[str, Any]:
    run = {"Get": "Execution.PipelineExecutionId"}
    uri = {"Std:Join": {"On": "/", "Values": ["s3://bucket/runs", run, name, "out"]}}
    inputs = []
    for other in after:
        given = f"Steps.{other}.ProcessingOutputConfig.Outputs['out'].S3Output.S3Uri"
        place = {"S3Uri": {"Get": given}, "LocalPath": f"/opt/ml/processing/input/{other}"}
        inputs.append({"InputName": other, "S3Input": place})
    output = {"S3Uri": uri, "LocalPath": "/opt/ml/processing/output/out"}
    return {
        "Name": name,
        "Type": "Processing",
        "CacheConfig": {"Enabled": True},
        "Arguments": {
            "RoleArn": "role",
            "ProcessingResources": {"ClusterConfig": {"InstanceCount": 1}},
            "AppSpecification": {"ImageUri": "ten-steps"},
            "ProcessingInputs": inputs,
            "ProcessingOutputConfig": {"Outputs": [{"OutputName": "out", "S3Output": output}]},
        },
    }


if __name__ == "__main__":
    main()
