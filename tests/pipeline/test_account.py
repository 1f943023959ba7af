"""What an account's definition adds to the one that runs on a laptop, and what a choice changes."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sashiko.account.deploy_time import key_arn, stand_ins
from sashiko.account.images.job_images import aws_image, job_images
from sashiko.account.names import bucket_name
from sashiko.errors import InputError
from sashiko.pipeline.compiled import compile_pipeline
from sashiko.pipeline.definition.definition_records import parse_definition
from sashiko.pipeline.definition.job_arguments import cluster_of, machine_types
from sashiko.pipeline.definition.unchain import unchain
from sashiko.settings.recipe import load_recipe
from tests.infra.variants import settings_of
from tests.pipeline.every_definition import PLAN, ROOT
from tests.pipeline.faults import Json, find

LOCAL = json.loads((ROOT / "tests/golden/complaints.definition.json").read_text())
DEV = json.loads((ROOT / "tests/golden/complaints.definition.dev.json").read_text())
# Steps that ask a service for something while they run: the others have no network at all.
NOT_ISOLATED = {
    "Snapshot", "SnapshotFacets", "ResolveChampion", "Track", "DeviceCheck", "Register",
}  # fmt: skip
# What the design says always runs, and what logs a run.
NOT_CACHED = NOT_ISOLATED


def jobs(definition: Json) -> dict[str, Json]:
    """Step -> the step, of those that run a job."""

    def walk(steps: list[Json]) -> Iterator[Json]:
        for step in steps:
            yield step
            for branch in ("IfSteps", "ElseSteps"):
                yield from walk(step["Arguments"].get(branch, []))

    return {
        item["Name"]: item for item in walk(definition["Steps"]) if "RoleArn" in item["Arguments"]
    }


def network(job: Json) -> Json:
    """A processing job says it in one place, a training job in three."""
    return job.get("NetworkConfig", job)


def test_an_account_changes_no_step_and_no_command() -> None:
    """The structure is one: what differs is where a job runs, and under which names."""

    def bare(definition: Json) -> Any:
        # What the device is: this machine, or an instance of an account.
        device = jobs(definition)["DeviceCheck"]["Arguments"]["AppSpecification"]
        assert device.pop("ContainerArguments")[0] == "--backend"
        for step in jobs(definition).values():
            job = step["Arguments"]
            for place in (job, network(job)):
                place.pop("VpcConfig", None)
                place.pop("EnableInterContainerTrafficEncryption", None)
            job.pop("Tags", None)
            for config in ("ProcessingOutputConfig", "OutputDataConfig"):
                job.get(config, {}).pop("KmsKeyId", None)
            job.get("ProcessingResources", {}).get("ClusterConfig", {}).pop("VolumeKmsKeyId", None)
        for parameter in definition["Parameters"]:
            parameter.pop("DefaultValue", None)
        text = json.dumps(definition).replace("sashiko-dev", "sashiko-local")
        return json.loads(text.replace("-CONTENT", ""))  # of our images' tags

    changed = [
        (one, other)
        for one, other in zip(
            _leaves(bare(copy.deepcopy(DEV))), _leaves(bare(copy.deepcopy(LOCAL))), strict=True
        )
        if one != other
    ]
    # This machine's registry is its own, so that a group needs no prefix there.
    assert {*changed} == {("sashiko-local-complaint-triage", "complaint-triage")}


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for key in sorted(value):
            yield key
            yield from _leaves(value[key])
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


@pytest.mark.parametrize("name", jobs(DEV))
def test_each_job_is_in_the_vpc_encrypted_limited_and_tagged(name: str) -> None:
    job = jobs(DEV)[name]["Arguments"]

    assert network(job)["VpcConfig"] == {
        "SecurityGroupIds": ["DeployTime-SecurityGroup"],
        "Subnets": ["DeployTime-Subnet-a", "DeployTime-Subnet-b"],
    }
    assert network(job)["EnableInterContainerTrafficEncryption"] is True
    assert network(job)["EnableNetworkIsolation"] is (name not in NOT_ISOLATED)
    assert 0 < job["StoppingCondition"]["MaxRuntimeInSeconds"] <= 4 * 3600
    tags = {tag["Key"]: tag["Value"] for tag in job["Tags"]}
    assert tags == {"project": "sashiko", "environment": "dev"}


def test_score_has_the_instances_of_the_setting_in_a_group_of_their_own_and_no_other_job_has(
    compiled: dict[str, Any],
) -> None:
    counts, groups = {}, {}
    for name, step in jobs(compiled["several instances"]).items():
        job = step["Arguments"]
        config = job.get("ResourceConfig") or job["ProcessingResources"]["ClusterConfig"]
        counts[name] = config["InstanceCount"]
        groups[name] = network(job)["VpcConfig"]["SecurityGroupIds"]
    assert counts.pop("Score") == 4
    assert groups.pop("Score") == ["DeployTime-SecurityGroup", "DeployTime-NodesGroup"]
    assert set(counts.values()) == {1}
    assert all(group == ["DeployTime-SecurityGroup"] for group in groups.values())


def test_what_a_job_writes_is_under_the_key_of_the_most_private_of_it(compiled: dict[str, Any]):
    """One key for all outputs of a job: with rows or their facets, that of the snapshots."""
    keys = {
        name: (
            step["Arguments"].get("ProcessingOutputConfig") or step["Arguments"]["OutputDataConfig"]
        )["KmsKeyId"]
        for name, step in jobs(compiled["as it comes"]).items()
    }
    private = {
        "Snapshot", "SnapshotFacets", "Validate", "ValidateFacets", "Weights",
        "PreBias-BiasInput-PostBias-JudgeBias",
    }  # fmt: skip
    assert {name for name, key in keys.items() if key == key_arn("snapshots")} == private
    assert {key for name, key in keys.items() if name not in private} == {key_arn("ml")}


def test_rows_of_two_buckets_are_for_two_jobs() -> None:
    """Captured texts and the ledger have readers of their own, and a job has one key."""
    from sashiko.pipeline.sdk.network_and_keys import output_key

    dev = settings_of("dev")
    capture, snapshots = (f"s3://{bucket_name(dev, name)}/x" for name in ("capture", "snapshots"))
    artifacts = f"s3://{bucket_name(dev, 'artifacts')}/x"
    assert output_key(dev, [artifacts, capture]) == key_arn("capture")
    with pytest.raises(InputError, match="one key: make two steps of it"):
        output_key(dev, [capture, artifacts, snapshots])


def test_volumes_are_encrypted_where_the_machine_does_not_do_it_itself(compiled: dict[str, Any]):
    def cluster(definition: Json, step: str) -> Json:
        job = find(definition, step)["Arguments"]
        config = job.get("ResourceConfig") or job["ProcessingResources"]["ClusterConfig"]
        return dict(config)

    built = compiled["as it comes"]
    assert cluster(built, "Prepare")["VolumeKmsKeyId"] == key_arn("ml")
    assert cluster(built, "Train")["InstanceType"] == "ml.g5.xlarge"
    assert "VolumeKmsKeyId" not in cluster(built, "Train")  # SageMaker refuses one
    assert cluster(compiled["volume key"], "Train")["VolumeKmsKeyId"] == key_arn("ml")


def test_what_asks_a_service_always_runs_and_the_rest_is_cached(compiled: dict[str, Any]) -> None:
    steps = jobs(compiled["as it comes"])
    uncached = {name for name, step in steps.items() if not step["CacheConfig"]["Enabled"]}
    assert uncached == NOT_CACHED


def test_every_job_is_tried_again_after_a_fault_of_the_service_and_no_other() -> None:
    for step in jobs(DEV).values():
        retried = [name for policy in step["RetryPolicies"] for name in policy["ExceptionType"]]
        assert sorted(retried) == [
            "SageMaker.CAPACITY_ERROR", "SageMaker.JOB_INTERNAL_ERROR", "SageMaker.RESOURCE_LIMIT",
            "Step.SERVICE_FAULT", "Step.THROTTLING",
        ]  # fmt: skip
        for policy in step["RetryPolicies"]:
            waits = [
                policy["IntervalSeconds"] * policy["BackoffRate"] ** attempt
                for attempt in range(policy["MaxAttempts"])
            ]
            assert sum(waits) < 2 * 3600


def test_an_execution_in_an_account_needs_the_datas_version_alone() -> None:
    defaults = {item["Name"]: item.get("DefaultValue") for item in DEV["Parameters"]}
    assert [name for name, value in defaults.items() if value is None] == ["AsOf"]
    assert defaults["LakeUri"] == "athena://sashiko-dev-snapshots/sashiko_dev"
    assert defaults["ModelRegistry"] == "sagemaker"
    assert defaults["RunManifestUri"].startswith("s3://sashiko-dev-artifacts-111122223333-")
    assert [item for item in LOCAL["Parameters"] if "DefaultValue" in item] == []


def test_this_machine_has_no_stand_ins() -> None:
    assert stand_ins(json.dumps(LOCAL)) == ()
    assert len(stand_ins(json.dumps(DEV))) == 6


def test_a_training_plan_changes_where_train_runs_and_nothing_else(compiled: dict[str, Any]):
    reserved, plain = (copy.deepcopy(compiled[name]) for name in ("training plan", "as it comes"))
    instances = find(reserved, "Train")["Arguments"]["ResourceConfig"]

    assert instances.pop("TrainingPlanArn") == PLAN
    assert instances["InstanceType"] == "ml.p5.48xlarge"
    instances["InstanceType"] = "ml.g5.xlarge"
    assert reserved == plain


def test_spot_changes_how_train_is_paid_for_and_nothing_else(compiled: dict[str, Any]) -> None:
    spot, plain = (copy.deepcopy(compiled[name]) for name in ("spot", "as it comes"))
    job = find(spot, "Train")["Arguments"]

    assert job.pop("EnableManagedSpotTraining") is True
    assert job["StoppingCondition"].pop("MaxWaitTimeInSeconds") == 12 * 3600
    # An interrupted job goes on from here.
    folder, owner = job["CheckpointConfig"]["S3Uri"]["Std:Join"]["Values"]
    assert folder.endswith("/checkpoints/complaints")
    assert owner == {"Get": "Steps.Weights.ProcessingJobName"}
    assert spot == plain


def test_fallbacks_and_a_warm_pool_change_what_jobs_run_on_and_nothing_else(compiled) -> None:
    several, plain = (copy.deepcopy(compiled[name]) for name in ("several types", "as it comes"))
    train = find(several, "Train")["Arguments"]["ResourceConfig"]
    assert train.pop("KeepAlivePeriodInSeconds") == 1800
    names = {
        "Train": ["ml.g5.xlarge", "ml.g5.2xlarge"],
        "Compile-Score-Evaluate": ["ml.m5.2xlarge", "ml.m5.4xlarge", "ml.m6i.2xlarge"],
        "Explain": ["ml.m5.2xlarge", "ml.m5.4xlarge", "ml.m6i.2xlarge"],
    }
    for name, types in names.items():
        cluster = cluster_of(parse_definition(several).step(name))
        assert machine_types(cluster) == tuple(types)
        assert "InstanceType" not in cluster
        cluster["InstanceType"] = cluster.pop("InstancePreferences")[0]["InstanceType"]
    assert several == plain


def test_clarify_changes_the_bias_steps_and_nothing_else(compiled: dict[str, Any]):
    clarify, own = (
        {step.name: step for step in unchain(parse_definition(compiled[name])).steps}
        for name in ("clarify", "as it comes")
    )
    image = aws_image(settings_of("dev"), "clarify").uri

    assert list(clarify) == list(own)
    for name in ("PreBias", "PostBias"):  # Clarify's container is started without a command
        assert clarify.pop(name).arguments["AppSpecification"] == {"ImageUri": image}
    for name in ("BiasInput", "JudgeBias"):  # with PostBias between them, a job each
        job, part = clarify.pop(name).arguments, own[name].arguments
        assert (
            job["AppSpecification"]["ContainerEntrypoint"]
            == (part["AppSpecification"]["ContainerEntrypoint"])
        )
        assert job["ProcessingOutputConfig"]["Outputs"] == part["ProcessingOutputConfig"]["Outputs"]
    # The model's provenance names the image.
    words = clarify["Register"].arguments["AppSpecification"]["ContainerArguments"]
    words[words.index(image)] = job_images(settings_of("dev"), "cpu").bias.uri
    for name, step in clarify.items():
        assert step == own[name], name


@pytest.mark.parametrize("step", ["PreBias", "PostBias"])
def test_the_bias_steps_have_the_names_and_folders_that_clarifys_container_looks_for(
    compiled: dict[str, Any], step: str
) -> None:
    """It finds inputs by name: "Configure a SageMaker Clarify Processing Job" in AWS's guide."""
    arguments = find(compiled["clarify"], step)["Arguments"]
    inputs = {item["InputName"]: item["S3Input"] for item in arguments["ProcessingInputs"]}
    assert {name: item["LocalPath"] for name, item in inputs.items()} == {
        "analysis_config": "/opt/ml/processing/input/config",
        "dataset": "/opt/ml/processing/input/data",
    }
    assert {item["S3InputMode"] for item in inputs.values()} == {"File"}
    (output,) = arguments["ProcessingOutputConfig"]["Outputs"]
    assert output["OutputName"] == "analysis_result"
    assert output["S3Output"]["LocalPath"] == "/opt/ml/processing/output"


@pytest.mark.slow
def test_a_definition_is_of_the_settings_that_are_given_and_not_of_the_file(tmp_path: Path) -> None:
    settings = settings_of("dev").model_copy(update={"threads": 7})
    recipe = load_recipe(ROOT / "recipes/complaints.yaml")
    built = json.loads(compile_pipeline(settings, recipe, home=tmp_path).definition)
    assert find(built, "Train")["Arguments"]["Environment"] == {"OMP_NUM_THREADS": "7"}
