"""The pipeline and the policies of the lake agree on who reads and writes which snapshot."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from sashiko.aws.environment import Environment, read_environment
from sashiko.aws.names import bucket_name
from sashiko.aws.policies import covers
from tests.infra.variants import ROOT, settings_of, synthesized

Place = tuple[str, str, str]  # step, role, key in the snapshots bucket


@pytest.fixture(scope="module")
def dev() -> Environment:
    return read_environment(settings_of("dev"), folder=synthesized("dev"))


@pytest.fixture(scope="module")
def jobs() -> dict[str, dict[str, Any]]:
    """Step -> arguments, of the reviewed definition with dev's names in place of local's."""
    text = (ROOT / "tests/golden/complaints.definition.json").read_text()
    found = {step["Name"]: step["Arguments"] for step in _steps(json.loads(text)["Steps"])}
    renamed = json.dumps(found).replace("sashiko-local-", "sashiko-dev-")
    return {name: job for name, job in json.loads(renamed).items() if "RoleArn" in job}


def _steps(steps: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for step in steps:
        yield step
        for branch in ("IfSteps", "ElseSteps"):
            yield from _steps(step.get("Arguments", {}).get(branch, []))


def _uri(value: Any, jobs: dict[str, dict[str, Any]]) -> str:
    """A URI as a pattern: what is known only when the pipeline runs is a `*`."""
    if isinstance(value, str):
        return value
    if "Std:Join" in value:
        return "/".join(_uri(part, jobs) for part in value["Std:Join"]["Values"])
    output = re.fullmatch(
        r"Steps\.(\w+)\.ProcessingOutputConfig\.Outputs\['([^']+)'\]\.S3Output\.S3Uri", value["Get"]
    )
    return _outputs(jobs[output[1]], jobs)[output[2]] if output else "*"


def _outputs(job: dict[str, Any], jobs: dict[str, dict[str, Any]]) -> dict[str, str]:
    found = job.get("ProcessingOutputConfig", {"Outputs": []})["Outputs"]
    return {item["OutputName"]: _uri(item["S3Output"]["S3Uri"], jobs) for item in found}


def _inputs(job: dict[str, Any], jobs: dict[str, dict[str, Any]]) -> list[str]:
    channels = [item["DataSource"]["S3DataSource"] for item in job.get("InputDataConfig", [])]
    staged = [item["S3Input"] for item in job.get("ProcessingInputs", [])]
    return [_uri(item["S3Uri"], jobs) for item in (*channels, *staged)]


def _places(jobs: dict[str, dict[str, Any]], bucket: str, *, read: bool) -> list[Place]:
    start = f"s3://{bucket}/"
    return [
        (name, job["RoleArn"].rpartition("-dev-")[2], uri.removeprefix(start))
        for name, job in jobs.items()
        for uri in (_inputs(job, jobs) if read else _outputs(job, jobs).values())
        if uri.startswith(start)
    ]


@pytest.mark.parametrize(("read", "action"), [(True, "s3:GetObject"), (False, "s3:PutObject")])
def test_each_job_may_use_the_snapshots_that_it_names(
    dev: Environment, jobs: dict[str, dict[str, Any]], read: bool, action: str
) -> None:
    bucket = bucket_name(dev.settings, "snapshots")
    principals = {principal.name: principal for principal in dev.principals}
    places = _places(jobs, bucket, read=read)
    refused = [
        (step, role, key)
        for step, role, key in places
        if not any(
            covers(pattern, f"{key}/object")
            for pattern in dev.object_paths(principals[role], action, bucket)
        )
    ]
    assert refused == []
    expected = {
        True: {"Validate", "ValidateFacets", "Prepare", "Weights", "Train", "BiasInput"},
        False: {"Snapshot", "SnapshotFacets", "Weights", "BiasInput"},
    }
    assert {step for step, _, _ in places} >= expected[read]


def test_what_tells_a_facet_lies_where_only_those_who_need_it_read(
    dev: Environment, jobs: dict[str, dict[str, Any]]
) -> None:
    bucket = bucket_name(dev.settings, "snapshots")
    readers = {
        folder: {
            principal.name
            for principal in dev.principals
            if any(
                covers(pattern, f"{folder}/object")
                for pattern in dev.object_paths(principal, "s3:GetObject", bucket)
            )
        }
        for folder in ("facets", "weights")
    }
    assert readers == {"facets": {"bias-evaluator"}, "weights": {"bias-evaluator", "training"}}
    written = {(step, key.partition("/")[0]) for step, _, key in _places(jobs, bucket, read=False)}
    assert {step for step, folder in written if folder == "facets"} == {
        "SnapshotFacets",
        "ValidateFacets",
        "BiasInput",
    }
    assert ("Weights", "weights") in written
