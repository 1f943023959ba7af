"""The pipeline and the policies agree on who reads and writes what, in each bucket of a job."""

import re
from dataclasses import replace
from typing import Any

import pytest

from sashiko.account.access.environment_access import Environment
from sashiko.account.access.policy_evaluation import covers, statements
from sashiko.account.images.job_images import job_images
from sashiko.account.names import Bucket, bucket_name
from tests.infra import variants
from tests.infra.job_requests import Json, jobs_of
from tests.infra.variants import environment_of, pipelines_of, recipes_of, settings_of

ARTIFACTS = bucket_name(settings_of("dev"), "artifacts")
CAPTURE = bucket_name(settings_of("dev"), "capture")
RECORDED = {
    f"Parameters.{word.title()}Uri": f"--{word.lower()}-uri" for word in ("Reference", "Test")
} | {"Parameters.BiasRowsUri": "--bias-rows-uri"}
GROUP = "sashiko-dev-complaint-triage"
Jobs = dict[str, Json]  # step -> arguments
Place = tuple[str, str, str]  # step, role, key in a bucket


@pytest.fixture(scope="module")
def dev() -> Environment:
    return environment_of("dev")


@pytest.fixture(scope="module")
def jobs() -> Jobs:
    """Step -> arguments, of dev's definitions."""
    settings = settings_of("dev")
    pipelines = pipelines_of(settings, recipes_of(settings))
    return {name: job for one in pipelines for name, job in jobs_of(one.definition).items()}


def place(value: Any, jobs: Jobs) -> str:
    """A URI as a pattern: what is known only when the pipeline runs is a `*`."""
    if isinstance(value, str):
        return value
    if "Std:Join" in value:
        return "/".join(place(part, jobs) for part in value["Std:Join"]["Values"])
    name = value["Get"]
    uri = r"Steps\.([\w-]+)\.ProcessingOutputConfig\.Outputs\['([^']+)'\]\.S3Output\.S3Uri"
    if output := re.fullmatch(uri, name):
        return _outputs(jobs[output[1]], jobs)[output[2]]
    if trained := re.fullmatch(r"Steps\.(\w+)\.(OutputDataConfig|ModelArtifacts)\..+", name):
        return _outputs(jobs[trained[1]], jobs)["model"]
    return _parameter(name, jobs)


def _parameter(name: str, jobs: Jobs) -> str:
    if name == "Parameters.RunManifestUri":
        return f"s3://{ARTIFACTS}/source/*"  # as `sashiko run` stages it
    if name == "Parameters.CaptureUri":
        return f"s3://{CAPTURE}/{GROUP}"  # as the schedule names it
    if name in RECORDED:
        # The version's metadata names it, as the registration wrote it.
        arguments = jobs["Register"]["AppSpecification"]["ContainerArguments"]
        return place(arguments[arguments.index(RECORDED[name]) + 1], jobs)
    return "*"


def _outputs(job: dict[str, Any], jobs: Jobs) -> dict[str, str]:
    items = job.get("ProcessingOutputConfig", {"Outputs": []})["Outputs"]
    outputs = {item["OutputName"]: place(item["S3Output"]["S3Uri"], jobs) for item in items}
    if "OutputDataConfig" in job:
        outputs["model"] = place(job["OutputDataConfig"]["S3OutputPath"], jobs)
        outputs["checkpoints"] = place(job["CheckpointConfig"]["S3Uri"], jobs)
    return outputs


def _inputs(job: dict[str, Any], jobs: Jobs) -> list[str]:
    channels = [item["DataSource"]["S3DataSource"] for item in job.get("InputDataConfig", [])]
    staged = [item["S3Input"] for item in job.get("ProcessingInputs", [])]
    places = [place(item["S3Uri"], jobs) for item in (*channels, *staged)]
    # A job that was interrupted reads what it wrote.
    return [*places, *(uri for name, uri in _outputs(job, jobs).items() if name == "checkpoints")]


def places_of(jobs: Jobs, bucket: str, *, read: bool) -> list[Place]:
    start = f"s3://{bucket}/"
    return [
        (name, job["RoleArn"].rpartition("-dev-")[2], uri.removeprefix(start))
        for name, job in jobs.items()
        for uri in (_inputs(job, jobs) if read else _outputs(job, jobs).values())
        if uri.startswith(start)
    ]


def _allowed(dev: Environment, role: str, action: str, bucket: str) -> tuple[str, ...]:
    return dev.object_paths(variants.principals_of("dev")[role], action, bucket)


ACTIONS = {True: "s3:GetObject", False: "s3:PutObject"}


@pytest.mark.parametrize("name", ["artifacts", "snapshots", "capture", "curated"])
@pytest.mark.parametrize("read", [True, False])
def test_each_job_may_use_the_objects_that_it_names(
    dev: Environment, jobs: Jobs, read: bool, name: Bucket
) -> None:
    bucket = bucket_name(dev.settings, name)
    places = places_of(jobs, bucket, read=read)
    denied = [
        (step, role, key)
        for step, role, key in places
        if not any(
            covers(pattern, f"{key}/object")
            for pattern in _allowed(dev, role, ACTIONS[read], bucket)
        )
    ]
    assert denied == []
    assert {step for step, _, _ in places} >= USING[name][read]


BIAS = "PreBias-BiasInput-PostBias-JudgeBias"
# The steps about which the two questions above must not have been silent.
USING = {
    "artifacts": {
        True: {"Validate", "Train", "Compile-Score-Evaluate", BIAS, "Track", "Register"},
        False: {"Validate", "Prepare", "Train", "ResolveChampion", "Track", "Register"},
    },
    "snapshots": {
        True: {"Validate", "ValidateFacets", "Prepare", "Weights", "Train", BIAS},
        False: {"Snapshot", "SnapshotFacets", "Weights", BIAS},
    },
    "capture": {True: set(), False: set()},  # a pack's: tests/packs/monitoring
    "curated": {True: set(), False: set()},  # likewise: tests/packs/batch
}


def test_every_place_is_in_one_of_the_three_buckets(dev: Environment, jobs: Jobs) -> None:
    """Else the questions above would pass over it."""
    named = {
        name: [*_inputs(job, jobs), *_outputs(job, jobs).values()] for name, job in jobs.items()
    }
    known = tuple(f"s3://{bucket_name(dev.settings, name)}/" for name in USING)
    assert [
        (step, uri) for step, uris in named.items() for uri in uris if not uri.startswith(known)
    ] == []


# What no step of the definition names, and why it is allowed all the same.
BESIDE = {
    True: {
        ("registrar", "provenance/images/*"): "what its arguments' images were built from",
        ("registry-reader", "models/*"): "the approved model, which the registry names",
    },
    False: {("registrar", "models/*"): "the signed files of a version, which it registers"},
}


@pytest.mark.parametrize("read", [True, False])
def test_no_job_role_may_use_artifacts_that_none_of_its_jobs_names(
    dev: Environment, jobs: Jobs, read: bool
) -> None:
    places = places_of(jobs, ARTIFACTS, read=read)
    roles = {job["RoleArn"].rpartition("-dev-")[2] for job in jobs.values()}
    idle = {
        (role, pattern)
        for role in roles
        for pattern in _allowed(dev, role, ACTIONS[read], ARTIFACTS)
        if not any(one == role and covers(pattern, f"{key}/object") for _, one, key in places)
    }
    assert idle == set(BESIDE[read])


def test_the_registrar_alone_writes_what_a_version_points_to(dev: Environment) -> None:
    """Whatever IAM allows: the bucket's policy denies it to everybody else."""
    models = f"arn:aws:s3:::{ARTIFACTS}/models/*"
    allowed = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": models}
    anybody = [
        replace(role, policy=statements({"Statement": allowed}), boundary=None)
        for role in dev.principals
    ]
    writers = {r.name for r in anybody if dev.object_paths(r, "s3:PutObject", ARTIFACTS)}
    assert writers == {"registrar"}


def test_no_role_reads_the_rows_that_were_explained(dev: Environment) -> None:
    """They are personal data: a team that wants them in an account says who reads them."""
    place = "runs/an-execution/Explain/texts/errors.jsonl"
    assert principals_of(dev, "s3:PutObject", place) == {"training"}
    assert principals_of(dev, "s3:GetObject", place) == set()


def principals_of(
    dev: Environment, action: str, place: str, *, bucket: str = ARTIFACTS
) -> set[str]:
    return {
        role.name
        for role in dev.principals
        if any(covers(pattern, place) for pattern in dev.object_paths(role, action, bucket))
    }


def test_each_job_may_pull_its_image_and_no_other(dev: Environment, jobs: Jobs) -> None:
    principals = variants.principals_of("dev")
    job_set = job_images(dev.settings, "cpu")
    images = {image.uri for image in (*job_set.of_jobs(), job_set.serving)}
    used: dict[str, set[str]] = {}
    for job in jobs.values():
        role = job["RoleArn"].rpartition("-dev-")[2]
        uri = job.get("AppSpecification", {}).get("ImageUri")
        used.setdefault(role, set()).add(uri or job["AlgorithmSpecification"]["TrainingImage"])
    pulls = {
        role: {uri for uri in images if principals[role].may("ecr:BatchGetImage", repository(uri))}
        for role in used
    }
    assert pulls == used


def repository(uri: str) -> str:
    registry, _, name = uri.partition("/")
    account, region = registry.split(".")[0], registry.split(".")[3]
    return f"arn:aws:ecr:{region}:{account}:repository/{name.partition('@')[0].partition(':')[0]}"


def test_what_tells_a_facet_lies_where_only_those_who_need_it_read(
    dev: Environment, jobs: Jobs
) -> None:
    bucket = bucket_name(dev.settings, "snapshots")
    readers = {
        folder: principals_of(dev, "s3:GetObject", f"{folder}/object", bucket=bucket)
        for folder in ("facets", "weights")
    }
    assert readers == {"facets": {"bias-evaluator"}, "weights": {"bias-evaluator", "training"}}
    written = {
        (step, key.partition("/")[0]) for step, _, key in places_of(jobs, bucket, read=False)
    }
    assert {step for step, folder in written if folder == "facets"} == {
        "SnapshotFacets",
        "ValidateFacets",
        BIAS,
    }
    assert ("Weights", "weights") in written


# What no definition names, and why it is allowed all the same.
BESIDE_JOBS = {("inference", "models/*"): "the version that the serving stack serves"}
READERS = ("gatekeeper", "inference", "pipeline")


@pytest.fixture(scope="module")
def definition() -> Json:
    settings = settings_of("dev")
    compiled, *_ = pipelines_of(settings, recipes_of(settings))
    return dict(compiled.definition)


def lambda_steps(definition: Json) -> list[Json]:
    return [step for step in definition["Steps"] if step["Type"] == "Lambda"]


def role_of(arn: str) -> str:
    return arn.rpartition("-dev-")[2]


def option(job: Json, name: str) -> Any:
    words = job.get("AppSpecification", {}).get("ContainerArguments", [])
    return words[words.index(name) + 1] if name in words else None


def read_places(definition: Json, jobs: Jobs) -> list[tuple[str, str]]:
    """Role and URI of all that is read, as the definition has it; unknown parts are `*`."""
    places = [
        (role_of(step["FunctionArn"]), place(value, jobs))
        for step in lambda_steps(definition)
        for name, value in step["Arguments"].items()
        if name != "waivers"
    ]
    places += [
        (role_of(option(job, "--role")), place(data, jobs))
        for job in jobs.values()
        if (data := option(job, "--model-data"))
    ]
    return places


def keys(places: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(role, uri.removeprefix(f"s3://{ARTIFACTS}/")) for role, uri in places]


def test_each_of_them_may_read_what_the_definition_has_it_read(
    dev: Environment, definition: Json, jobs: Jobs
) -> None:
    places = read_places(definition, jobs)
    assert all(uri.startswith(f"s3://{ARTIFACTS}/") for _, uri in places)
    denied = [
        (role, key)
        for role, key in keys(places)
        if not any(
            covers(pattern, key) for pattern in _allowed(dev, role, "s3:GetObject", ARTIFACTS)
        )
    ]
    assert denied == []
    # So that something was checked: each gate reads something, and a model is made.
    assert {role for role, _ in places} == {"gatekeeper", "inference"}
    assert all(step["Arguments"] for step in lambda_steps(definition))
    assert len(lambda_steps(definition)) == 3


def test_none_of_them_may_read_anything_else(
    dev: Environment, definition: Json, jobs: Jobs
) -> None:
    expected = keys(read_places(definition, jobs))
    idle = {
        (role, pattern)
        for role in READERS
        for bucket in dev.buckets
        for pattern in _allowed(dev, role, "s3:GetObject", bucket)
        if not (
            bucket == ARTIFACTS
            and any(one == role and covers(pattern, key) for one, key in expected)
        )
    }
    assert idle == set(BESIDE_JOBS)
    # A verdict alone: what lies beside it in a step's outputs is not to be read.
    assert set(_allowed(dev, "gatekeeper", "s3:GetObject", ARTIFACTS)) == {
        key for role, key in expected if role == "gatekeeper"
    }


def test_the_pipeline_calls_the_functions_that_its_steps_name_and_no_other(
    dev: Environment, definition: Json
) -> None:
    arns = {step["FunctionArn"] for step in lambda_steps(definition)}
    callable_ = {
        resource
        for statement in variants.principals_of("dev")["pipeline"].policy
        if statement.effect == "Allow" and "lambda:InvokeFunction" in statement.actions
        for resource in statement.resources
    }
    assert callable_ == arns
    functions = dev.templates.of_type("AWS::Lambda::Function")
    assert {arn.rpartition(":")[2] for arn in arns} <= {
        function.properties["FunctionName"] for function in functions
    }


def test_a_model_is_made_of_an_image_that_its_role_may_pull(dev: Environment, jobs: Jobs) -> None:
    images = {
        (role_of(option(job, "--role")), option(job, "--image"))
        for job in jobs.values()
        if option(job, "--role")  # Register names images too, and makes nothing of them
    }
    assert len(images) == 1
    for role, image in images:
        assert variants.principals_of("dev")[role].may("ecr:BatchGetImage", repository(image))
