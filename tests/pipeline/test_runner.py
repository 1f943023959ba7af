"""The runner on a definition that the SageMaker SDK itself has written."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sashiko.evaluation.gates.closed_gate import GateClosedError
from sashiko.pipeline.definition.validator.check import check_definition
from sashiko.pipeline.runner.definition_run import run_definition
from sashiko.pipeline.runner.local_job import Image
from sashiko.pipeline.runner.run_record import RunRecord, View
from sashiko.pipeline.runner.store import Store

REGISTRY = "111122223333.dkr.ecr.us-east-1.amazonaws.com"
ASK = "arn:aws:lambda:us-east-1:111122223333:function:ask"
BUILD = f'''
import json
import boto3
from sagemaker.core.processing import Processor
from sagemaker.core.shapes import (
    CheckpointConfig, ProcessingInput, ProcessingOutput, ProcessingS3Input, ProcessingS3Output)
from sagemaker.core.training.configs import Compute, InputData, OutputDataConfig, StoppingCondition
from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.functions import Join
from sagemaker.core.workflow.parameters import (
    ParameterBoolean, ParameterFloat, ParameterInteger, ParameterString)
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.mlops.workflow import Pipeline
from sagemaker.core.lambda_helper import Lambda
from sagemaker.mlops.workflow.lambda_step import LambdaStep
from sagemaker.mlops.workflow.steps import CacheConfig, ProcessingStep, TrainingStep
from sagemaker.train import ModelTrainer

off = {{"SchemaVersion": "1.0",
       "SageMaker": {{"PythonSDK": {{"Modules": {{"TelemetryOptOut": True}}}}}}}}
session = PipelineSession(boto_session=boto3.Session(region_name="us-east-1"),
                          default_bucket="bucket", sagemaker_config=off)
role = "arn:aws:iam::111122223333:role/x"
good = ParameterString("Good", enum_values=["yes", "no"])
number = ParameterInteger("Number", default_value=3)
share = ParameterFloat("Share", default_value=0.5)
flag = ParameterBoolean("Flag", default_value=True)
processor = Processor(
    role=role, image_uri="{REGISTRY}/job:1", instance_count=1, instance_type="ml.m5.large",
    entrypoint=["python3", "/opt/ml/processing/input/code/make.py"], sagemaker_session=session,
    env={{"NUMBER": number.to_string(), "SHARE": share.to_string()}})
cached = CacheConfig(enable_caching=True, expire_after="P30D")
make = ProcessingStep("Make", cache_config=cached, step_args=processor.run(
    arguments=["--good", good, "--flag", flag.to_string()],
    inputs=[ProcessingInput(input_name="code", s3_input=ProcessingS3Input(
        s3_uri="s3://bucket/code/1", local_path="/opt/ml/processing/input/code",
        s3_data_type="S3Prefix", s3_input_mode="File"))],
    outputs=[ProcessingOutput(output_name="verdict", s3_output=ProcessingS3Output(
        s3_uri=Join(on="/", values=["s3://bucket", ExecutionVariables.PIPELINE_EXECUTION_ID]),
        local_path="/opt/ml/processing/output/verdict", s3_upload_mode="EndOfJob"))]))
trainer = ModelTrainer(
    training_image="{REGISTRY}/train:1", role=role, sagemaker_session=session,
    compute=Compute(instance_type="ml.g5.xlarge", instance_count=1, volume_size_in_gb=30),
    hyperparameters={{"number": number.to_string()}},
    stopping_condition=StoppingCondition(max_runtime_in_seconds=100),
    output_data_config=OutputDataConfig(s3_output_path="s3://bucket/models"),
    checkpoint_config=CheckpointConfig(s3_uri="s3://bucket/checkpoints"))
data = make.properties.ProcessingOutputConfig.Outputs["verdict"].S3Output.S3Uri
train = TrainingStep("Train", cache_config=cached, step_args=trainer.train(
    input_data_config=[InputData(channel_name="data", data_source=data)]))
ask = LambdaStep("Ask", lambda_func=Lambda(function_arn="{ASK}", session=session),
                 inputs={{"made": Join(on="/", values=[data, "verdict.json"]), "number": number}})
train.add_depends_on([ask])
print(Pipeline(name="demo", parameters=[good, number, share, flag], steps=[make, ask, train],
               pipeline_experiment_config=None, sagemaker_session=session).definition())
'''
MAKE = """
import json, os, pathlib, sys
folder = pathlib.Path(os.environ["OPT_ML"]) / "processing/output/verdict"
values = [*sys.argv[1:], os.environ["NUMBER"], os.environ["SHARE"]]
passed = values == ["--good", "yes", "--flag", "true", "3", "0.5"]
(folder / "verdict.json").write_text(json.dumps({"passed": passed}))
"""
TRAIN = """
import json, os, pathlib
ml = pathlib.Path(os.environ["OPT_ML"])
assert json.loads((ml / "input/config/hyperparameters.json").read_text()) == {"number": "3"}
assert (ml / "input/data/data/verdict.json").is_file()
(ml / "model/weights").write_text("w")
(ml / "checkpoints/last").write_text("w")
"""


@pytest.fixture(scope="module")
def definition() -> Any:
    offline = {
        "AWS_DEFAULT_REGION": "us-east-1",
        "SAGEMAKER_VALIDATE_ROLE": "false",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    built = subprocess.run(
        [sys.executable, "-c", BUILD], env=os.environ | offline, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    return json.loads(built.stdout)


@pytest.mark.slow
def test_the_validator_finds_no_fault_in_what_the_sdk_has_written(definition: Any) -> None:
    assert check_definition(definition).steps == 3


def ask(event: Any, read: Any) -> None:
    if not json.loads(read(event["made"]))["passed"]:
        raise GateClosedError([f"no, {event['number']}"])


def run(definition: Any, home: Path, *, run_id: str, good: str) -> RunRecord:
    code = Store(home / "s3").path("s3://bucket/code/1/make.py")
    code.parent.mkdir(parents=True, exist_ok=True)
    code.write_text(MAKE)
    return run_definition(
        definition, home=home,
        images={
            f"{REGISTRY}/job:1": Image(("python3",)),
            f"{REGISTRY}/train:1": Image(("python3", "-c", TRAIN)),
        },
        functions={ASK: ask}, parameters={"Good": good}, pipeline="demo", run_id=run_id,
        view=View(sys.stderr),
    )  # fmt: skip


@pytest.mark.slow
def test_both_ways_through_the_gate(definition: Any, tmp_path: Path) -> None:
    good = run(definition, tmp_path, run_id="one", good="yes")
    assert good.reason == ""
    assert {step.name: step.status for step in good.steps} == {
        "Make": "succeeded",
        "Ask": "succeeded",
        "Train": "succeeded",
    }
    assert good.step("Train").outputs["model"].uri == (
        "s3://bucket/models/pipelines-one-Train/output/model.tar.gz"
    )
    assert (tmp_path / "s3/bucket/checkpoints/last").is_file()

    again = run(definition, tmp_path, run_id="two", good="yes")
    assert [step.status for step in again.steps if step.type in ("Processing", "Training")] == [
        "cached",
        "cached",
    ]

    bad = run(definition, tmp_path, run_id="three", good="no")
    assert (bad.exit_code, bad.reason) == (3, "step Ask: no, 3")
    assert bad.step("Train").status == "not_run"
