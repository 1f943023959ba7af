"""Tiny pipelines whose steps are a few lines of Python each."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sashiko.functions import gatekeeper_handler
from sashiko.pipeline.runner.definition_run import Function, run_definition
from sashiko.pipeline.runner.local_job import Image
from sashiko.pipeline.runner.run_record import RunRecord, StepRecord
from sashiko.pipeline.runner.store import Store

PRELUDE = """
import json, os, pathlib, signal, subprocess, sys, time
ML = pathlib.Path(os.environ["OPT_ML"])
IN, OUT = ML / "processing/input", ML / "processing/output"
"""


@dataclass
class Recorder:
    """A view that remembers."""

    shows_lines = True

    states: list[tuple[str, str]] = field(default_factory=list)
    lines: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def step(self, record: StepRecord) -> None:
        self.states.append((record.name, record.status))

    def line(self, step: str, text: str) -> None:
        self.lines.append((step, text))

    def note(self, text: str) -> None:
        self.notes.append(text)


class Tiny:
    """Builds and runs tiny pipelines in a home of their own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.store = Store(home / "s3")
        self.view = Recorder()
        self.runs = 0
        self.functions: dict[str, Function] = {"gate": gatekeeper_handler.judge}

    def put(self, uri: str, text: str) -> None:
        path = self.store.path(uri)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def output(self, record: RunRecord, step: str, name: str = "out") -> Path:
        return self.store.path(record.step(step).outputs[name].uri)

    def uri(self, step: str, output: str = "out") -> dict[str, str]:
        return {"Get": f"Steps.{step}.ProcessingOutputConfig.Outputs['{output}'].S3Output.S3Uri"}

    def job(
        self,
        name: str,
        code: str = "",
        *,
        command: Sequence[str] = (),
        inputs: Mapping[str, Any] | None = None,
        outputs: Sequence[str] = ("out",),
        arguments: Sequence[Any] = (),
        environment: Mapping[str, Any] | None = None,
        cached: bool = True,
        after: Sequence[str] = (),
        instances: int = 1,
        **more: Any,
    ) -> dict[str, Any]:
        """A processing step; a gate may read `result.json` of its output `out`."""
        prefix = ["s3://b/runs", {"Get": "Execution.PipelineExecutionId"}, name]
        return {
            "Name": name,
            "Type": "Processing",
            "DependsOn": list(after),
            "CacheConfig": {"Enabled": cached},
            "Arguments": {
                "RoleArn": "role",
                "ProcessingResources": {"ClusterConfig": {"InstanceCount": instances}},
                "AppSpecification": {
                    "ImageUri": "job",
                    "ContainerEntrypoint": list(command) or ["python3", "-c", PRELUDE + code],
                    "ContainerArguments": list(arguments),
                },
                "Environment": dict(environment or {}),
                "ProcessingInputs": [
                    {
                        "InputName": key,
                        "S3Input": {"S3Uri": uri, "LocalPath": f"/opt/ml/processing/input/{key}"},
                    }
                    for key, uri in (inputs or {}).items()
                ],
                "ProcessingOutputConfig": {
                    "Outputs": [
                        {
                            "OutputName": key,
                            "S3Output": {
                                "S3Uri": {"Std:Join": {"On": "/", "Values": [*prefix, key]}},
                                "LocalPath": f"/opt/ml/processing/output/{key}",
                            },
                        }
                        for key in outputs
                    ]
                },
                **more,
            },
        }

    def training(
        self,
        name: str,
        code: str,
        *,
        channels: Mapping[str, Any] | None = None,
        hyperparameters: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        checkpoints: str = "",
    ) -> dict[str, Any]:
        more = {"CheckpointConfig": {"S3Uri": checkpoints}} if checkpoints else {}
        return {
            "Name": name, "Type": "Training", "CacheConfig": {"Enabled": True},
            "Arguments": {
                "RoleArn": "role",
                "AlgorithmSpecification": {
                    "TrainingImage": "train", "TrainingInputMode": "File",
                    "ContainerEntrypoint": ["python3", "-c", PRELUDE + code],
                },
                "ResourceConfig": {"InstanceCount": 1},
                "OutputDataConfig": {"S3OutputPath": "s3://b/models"},
                "HyperParameters": dict(hyperparameters or {}),
                "Environment": dict(environment or {}),
                "InputDataConfig": [
                    {
                        "ChannelName": key,
                        "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}},
                    }
                    for key, uri in (channels or {}).items()
                ],
                **more,
            },
        }  # fmt: skip

    def function(self, name: str, function: str, event: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "Name": name, "Type": "Lambda", "FunctionArn": function,
            "Arguments": dict(event), "OutputParameters": [],
        }  # fmt: skip

    def gate(self, name: str, *judges: str) -> dict[str, Any]:
        reads = {
            judge: {"Std:Join": {"On": "/", "Values": [self.uri(judge), "result.json"]}}
            for judge in judges
        }
        return self.function(name, "gate", reads)

    def run(
        self,
        *steps: dict[str, Any],
        parameters: Mapping[str, str] | None = None,
        declarations: Sequence[dict[str, Any]] = (),
        from_step: str | None = None,
        until: str | None = None,
        cores: int = 2,
        evidence: Mapping[str, bytes] | None = None,
    ) -> RunRecord:
        """Runs the steps; the view and `home` keep what happened."""
        self.runs += 1
        self.view = Recorder()
        return run_definition(
            {"Parameters": list(declarations), "Steps": json.loads(json.dumps(steps))},
            home=self.home, images={"job": Image(("python3",)), "train": Image(("python3",))},
            functions=self.functions, parameters=parameters or {}, pipeline="tiny",
            run_id=f"run-{self.runs}", view=self.view, from_step=from_step, until=until,
            cores=cores, evidence=evidence,
        )  # fmt: skip
