"""A second opinion: botocore's own check of each Create call, over every definition we ship."""

import json
from typing import Any

import pytest

from tests.pipeline.create_calls import create_calls, refusals
from tests.pipeline.every_definition import ROOT, names
from tests.pipeline.faults import SNAPSHOT, TRAIN, Fault, broken, drop, rename, set_in

GOLDEN = json.loads((ROOT / "tests/golden/complaints.definition.json").read_text())
CLUSTER = (*SNAPSHOT, "ProcessingResources", "ClusterConfig")


@pytest.mark.parametrize("name", names())
def test_botocore_would_send_each_job_that_we_ship(name: str, compiled: dict[str, Any]) -> None:
    calls = [(step, call.name) for step, call, _ in create_calls(compiled[name])]
    assert ("Train", "CreateTrainingJob") in calls
    assert ("Snapshot", "CreateProcessingJob") in calls
    assert len(calls) >= 11
    assert refusals(compiled[name]) == []


# What is changed, and what botocore says of it.
SLIPS: dict[str, tuple[Fault, str]] = {
    "missing": (
        drop(*TRAIN, "OutputDataConfig"),
        'Missing required parameter in input: "OutputDataConfig"',
    ),
    "misspelt": (
        rename(*TRAIN, "StoppingCondition", to="Stopping"),
        'Unknown parameter in input: "Stopping", must be one of',
    ),
    "text for an integer": (
        set_in(*TRAIN, "ResourceConfig", "InstanceCount", to="1"),
        "Invalid type for parameter ResourceConfig.InstanceCount, value: 1",
    ),
    "text for a boolean": (
        set_in(*TRAIN, "EnableNetworkIsolation", to="true"),
        "Invalid type for parameter EnableNetworkIsolation, value: true",
    ),
    "too small": (
        set_in(*CLUSTER, "VolumeSizeInGB", to=0),
        "ClusterConfig.VolumeSizeInGB, value: 0, valid min value: 1",
    ),
    "too short": (
        set_in(*SNAPSHOT, "RoleArn", to="role"),
        "Invalid length for parameter RoleArn, value: 4, valid min length: 20",
    ),
    "null": (
        set_in(*SNAPSHOT, "NetworkConfig", to=None),
        "Invalid type for parameter NetworkConfig, value: None",
    ),
    "a number where a parameter is text": (
        set_in(*SNAPSHOT, "AppSpecification", "ContainerArguments", to=[{"Get": "Parameters.N"}]),
        "AppSpecification.ContainerArguments[0], value: 1",
    ),
}


@pytest.mark.parametrize("name", SLIPS)
def test_a_broken_job_is_refused(name: str) -> None:
    fault, message = SLIPS[name]
    assert refusals(GOLDEN) == []
    definition = broken(GOLDEN, fault)
    definition["Parameters"].append({"Name": "N", "Type": "Integer"})
    (refusal,) = refusals(definition)
    assert message in refusal


def test_a_job_inside_a_branch_is_not_passed_over() -> None:
    (refusal,) = refusals(broken(GOLDEN, set_in("Register", "Arguments", "RoleArn", to=1)))
    assert refusal.startswith("Register: ")
