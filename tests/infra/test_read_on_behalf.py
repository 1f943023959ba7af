"""What AWS's own principals read on the pipeline's behalf: from the definition, both ways.

A job's inputs and outputs are the job's role's (test_pipeline_places.py). Beside them the gates'
function reads verdicts, the pipeline's role property files, and SageMaker a model's data and image
with the role of the model that DeviceCheck makes.
"""

from typing import Any

import pytest

from sashiko.account.access.environment_access import Environment, Principal
from sashiko.account.access.policy_evaluation import covers
from tests.infra.job_requests import Json, jobs_of
from tests.infra.test_pipeline_places import ARTIFACTS, place, repository
from tests.infra.variants import environment_of, pipelines_of, recipes_of, settings_of

# What no definition names, and why it is allowed all the same.
BESIDE = {("inference", "models/*"): "the version that the serving stack serves"}
READERS = ("gatekeeper", "inference", "pipeline")


@pytest.fixture(scope="module")
def dev() -> Environment:
    return environment_of("dev")


@pytest.fixture(scope="module")
def definition() -> Json:
    settings = settings_of("dev")
    compiled, _ = pipelines_of(settings, recipes_of(settings))
    return dict(compiled.definition)


@pytest.fixture(scope="module")
def jobs(definition: Json) -> dict[str, Json]:
    return jobs_of(definition)


def lambda_steps(definition: Json) -> list[Json]:
    return [step for step in definition["Steps"] if step["Type"] == "Lambda"]


def role_of(arn: str) -> str:
    return arn.rpartition("-dev-")[2]


def option(job: Json, name: str) -> Any:
    words = job.get("AppSpecification", {}).get("ContainerArguments", [])
    return words[words.index(name) + 1] if name in words else None


def read_places(definition: Json, jobs: dict[str, Json]) -> list[tuple[str, str]]:
    """Role and URI of all that is read, as the definition has it; unknown parts are `*`."""
    places = [
        (role_of(step["FunctionArn"]), place(value, jobs))
        for step in lambda_steps(definition)
        for value in step["Arguments"].values()
    ]
    places += [
        (role_of(option(job, "--role")), place(data, jobs))
        for job in jobs.values()
        if (data := option(job, "--model-data"))
    ]
    return places


def keys(places: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(role, uri.removeprefix(f"s3://{ARTIFACTS}/")) for role, uri in places]


def principal(dev: Environment, name: str) -> Principal:
    return next(item for item in dev.principals if item.name == name)


def allowed(dev: Environment, role: str, bucket: str) -> tuple[str, ...]:
    return dev.object_paths(principal(dev, role), "s3:GetObject", bucket)


def test_each_of_them_may_read_what_the_definition_has_it_read(
    dev: Environment, definition: Json, jobs: dict[str, Json]
) -> None:
    places = read_places(definition, jobs)
    assert all(uri.startswith(f"s3://{ARTIFACTS}/") for _, uri in places)
    denied = [
        (role, key)
        for role, key in keys(places)
        if not any(covers(pattern, key) for pattern in allowed(dev, role, ARTIFACTS))
    ]
    assert denied == []
    # So that something was checked: each gate reads something, and a model is made.
    assert {role for role, _ in places} == {"gatekeeper", "inference"}
    assert all(step["Arguments"] for step in lambda_steps(definition))
    assert len(lambda_steps(definition)) == 3


def test_none_of_them_may_read_anything_else(
    dev: Environment, definition: Json, jobs: dict[str, Json]
) -> None:
    expected = keys(read_places(definition, jobs))
    idle = {
        (role, pattern)
        for role in READERS
        for bucket in dev.buckets
        for pattern in allowed(dev, role, bucket)
        if not (
            bucket == ARTIFACTS
            and any(one == role and covers(pattern, key) for one, key in expected)
        )
    }
    assert idle == set(BESIDE)
    # A verdict alone: what lies beside it in a step's outputs is not to be read.
    assert set(allowed(dev, "gatekeeper", ARTIFACTS)) == {
        key for role, key in expected if role == "gatekeeper"
    }


def test_the_pipeline_calls_the_functions_that_its_steps_name_and_no_other(
    dev: Environment, definition: Json
) -> None:
    arns = {step["FunctionArn"] for step in lambda_steps(definition)}
    callable_ = {
        resource
        for statement in principal(dev, "pipeline").policy
        if statement.effect == "Allow" and "lambda:InvokeFunction" in statement.actions
        for resource in statement.resources
    }
    assert callable_ == arns
    functions = dev.templates.of_type("AWS::Lambda::Function")
    assert {arn.rpartition(":")[2] for arn in arns} <= {
        function.properties["FunctionName"] for function in functions
    }


def test_a_model_is_made_of_an_image_that_its_role_may_pull(
    dev: Environment, jobs: dict[str, Json]
) -> None:
    images = {
        (role_of(option(job, "--role")), option(job, "--image"))
        for job in jobs.values()
        if option(job, "--role")  # Register names images too, and makes nothing of them
    }
    assert len(images) == 1
    for role, image in images:
        assert principal(dev, role).may("ecr:BatchGetImage", repository(image))
