"""Which objects a definition has its functions read."""

from typing import Any

import pytest

from sashiko.errors import InputError
from sashiko.pipeline.definition.definition_records import parse_definition
from sashiko_cdk.pipeline.gatekeeper import FunctionRead, function_reads

RUN = {"Get": "Execution.PipelineExecutionId"}


def joined(*parts: Any) -> dict[str, Any]:
    return {"Std:Join": {"On": "/", "Values": list(parts)}}


def job(name: str, key: str = "") -> dict[str, Any]:
    uri = joined("s3://b/runs", RUN, name)
    outputs = {"Outputs": [{"OutputName": "verdict", "S3Output": {"S3Uri": uri}}]}
    more = {"KmsKeyId": key} if key else {}
    return {
        "Name": name,
        "Type": "Processing",
        "Arguments": {"ProcessingOutputConfig": outputs | more},
    }


def output(step: str) -> dict[str, Any]:
    return {"Get": f"Steps.{step}.ProcessingOutputConfig.Outputs['verdict'].S3Output.S3Uri"}


def gate(name: str, **arguments: Any) -> dict[str, Any]:
    return {"Name": name, "Type": "Lambda", "FunctionArn": "arn", "Arguments": arguments}


def reads(*steps: dict[str, Any]) -> tuple[FunctionRead, ...]:
    parameters = [{"Name": "Place", "Type": "String"}]
    return function_reads(parse_definition({"Parameters": parameters, "Steps": list(steps)}))


def test_each_object_is_named_once_with_the_key_of_who_writes_it() -> None:
    objects = reads(
        gate("One", a=joined(output("Make"), "v.json"), b=joined(output("Plain"), "v.json"), n=3),
        gate("Two", a=joined(output("Make"), "v.json"), b="s3://b/fixed.json"),
        job("Make", "key"),
        job("Plain"),
    )
    assert set(objects) == {
        FunctionRead(function="arn", uri="s3://b/runs/*/Make/v.json", key="key"),
        FunctionRead(function="arn", uri="s3://b/runs/*/Plain/v.json", key=""),
        FunctionRead(function="arn", uri="s3://b/fixed.json", key=""),
    }
    assert len(objects) == 3


def test_what_only_a_run_can_know_is_a_star() -> None:
    (read,) = reads(gate("One", a=joined("s3://b", {"Get": "Parameters.Place"}, "v.json")))
    assert read.uri == "s3://b/*/v.json"


def test_a_uri_of_two_steps_has_no_one_key() -> None:
    mixed = joined(output("A"), output("B"))
    with pytest.raises(InputError, match=r"Arguments\.x: one URI made of outputs of"):
        reads(job("A"), job("B"), gate("One", x=mixed))
