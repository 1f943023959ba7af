"""Run folders as the runner and the steps leave them, small and made without running anything."""

from collections.abc import Set
from pathlib import Path
from typing import Any

from sashiko.base.files import sha256_tree, write_json
from sashiko.pipeline.runner import run_record

BUCKET = "s3://bucket"
RUN_ID = "20260102-030405-abcd"
_WAYS = {
    "Snapshot": {}, "SnapshotFacets": {"training-manifest": ("Snapshot", "manifest")},
    "Validate": {"data": ("Snapshot", "data")},
    "ValidateFacets": {"data": ("SnapshotFacets", "data")},
    "Prepare": {"data": ("Snapshot", "data")}, "Train": {"train": ("Prepare", "train")},
    "Evaluate": {"test": ("Prepare", "test"), "training-output": ("Train", "output")},
    "Explain": {"predictions": ("Evaluate", "predictions")},
    "BiasInput": {"predictions": ("Evaluate", "predictions")},
    "JudgeBias": {"data": ("BiasInput", "data")}, "Register": {"metrics": ("Evaluate", "metrics")},
}  # fmt: skip
_JUDGES = ("Validate", "ValidateFacets", "Evaluate", "JudgeBias")
_GATES = {"DataGate": _JUDGES[:2], "ModelGate": _JUDGES[2:]}


def _job(name: str) -> dict[str, Any]:
    step: dict[str, Any] = {
        "Name": name,
        "Type": "Training" if name == "Train" else "Processing",
        "Arguments": {
            key: {"Get": f"Steps.{source}.ProcessingOutputConfig.Outputs['{output}'].S3Uri"}
            for key, (source, output) in _WAYS[name].items()
        },
    }
    if name in _JUDGES:
        outputs = [{"OutputName": "verdict"}]
        step["Arguments"]["ProcessingOutputConfig"] = {"Outputs": outputs}
    return step


def _gate(name: str, without: Set[str]) -> dict[str, Any]:
    reads = {
        judge: {"Get": f"Steps.{judge}.ProcessingOutputConfig.Outputs['verdict'].S3Uri"}
        for judge in _GATES[name]
        if judge not in without
    }
    return {"Name": name, "Type": "Lambda", "FunctionArn": "gate", "Arguments": reads}


def _after(gate: str, steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**step, "DependsOn": [gate]} for step in steps]


def definition(without: Set[str]) -> dict[str, Any]:
    """A pipeline with the steps that the report knows by name, but for some."""

    def jobs(*names: str) -> list[dict[str, Any]]:
        return [_job(name) for name in names if name not in without]

    model = jobs("Prepare", "Train", "Evaluate", "Explain", "BiasInput", "JudgeBias")
    steps = [
        *jobs("Snapshot", "SnapshotFacets", "Validate", "ValidateFacets"),
        _gate("DataGate", without),
        *_after("DataGate", model),
        _gate("ModelGate", without),
        *_after("ModelGate", jobs("Register")),
    ]
    return {"Version": "2020-12-01", "Parameters": [], "Steps": steps}


class RunFolder:
    """Gathers what the steps of one run leave, and writes it."""

    def __init__(self, root: Path) -> None:
        self.home = root / "home"
        self.folder = self.home / "runs" / RUN_ID
        self.steps: dict[str, run_record.StepRecord] = {}
        self.without: set[str] = set()

    def output(self, step: str, output: str) -> Path:
        """The folder in the store that a step's output lies in."""
        folder = self.home / "s3" / "bucket" / "runs" / RUN_ID / step / output
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def step(self, name: str, status: run_record.StepStatus = "succeeded", **more: Any) -> None:
        """Records a step with the outputs that have been written."""
        place = self.home / "s3" / "bucket" / "runs" / RUN_ID / name
        outputs = {
            path.name: run_record.DataRecord(uri=f"{BUCKET}/runs/{RUN_ID}/{name}/{path.name}",
                                  sha256=sha256_tree(path))
            for path in (sorted(place.iterdir()) if place.is_dir() else ())
        }  # fmt: skip
        kind = "Lambda" if name in _GATES else "Training" if name == "Train" else "Processing"
        self.steps[name] = run_record.StepRecord(
            name=name, type=kind, status=status, seconds=1.5, outputs=outputs, **more
        )

    def leave_out(self, *names: str) -> None:
        """Takes steps out of the pipeline, as if it never had them."""
        self.without.update(names)

    def write(self, status: run_record.RunStatus, **more: Any) -> Path:
        """Writes `run.json` and `definition.json`; steps that were not recorded did not run."""
        names = [*_WAYS]
        names[4:4] = ["DataGate"]
        names[-1:] = ["ModelGate", "Register"]
        names = [name for name in names if name not in self.without]
        for name in names:
            if name not in self.steps:
                self.step(name, status="not_run")
        record = run_record.RunRecord(
            id=RUN_ID, pipeline="test-local-loans", status=status,
            start="2026-01-02T03:04:05.000+00:00", end="2026-01-02T03:06:10.000+00:00",
            seconds=125.0, command="sashiko run --recipe loans --set train.epochs=2",
            parameters={"AsOf": "a" * 64}, steps=tuple(self.steps[name] for name in names), **more,
        )  # fmt: skip
        run_record.write_run(self.folder, record)
        write_json(self.folder / "definition.json", definition(self.without))
        return self.folder
