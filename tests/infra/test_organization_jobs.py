"""The organization's policies start the project's jobs, and none without its guards."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from sashiko.steps.device.endpoint import Hosting, _running, create
from tests.infra.job_requests import (
    NAMES,
    Context,
    Json,
    call_of,
    context,
    denied_by,
    rename_kms_keys,
    texts,
)
from tests.infra.organization import documents
from tests.infra.test_pipeline import jobs_in
from tests.infra.variants import templates_of

KEY = "arn:aws:kms:us-east-1:111122223333:key/1"
IN_VPC = {"VpcSubnets": ["subnet-1"], "VpcSecurityGroupIds": ["sg-1"]}


GOOD = texts(
    {
        **IN_VPC,
        "NetworkIsolation": True,
        "InterContainerTrafficEncryption": True,
        "OutputKmsKey": KEY,
        "VolumeKmsKey": KEY,
        "InstanceTypes": "ml.m5.large",
    }
)


def denied(call: str, keys: Context) -> set[str]:
    return denied_by(documents("serving")["scp-jobs"], call, keys)


@pytest.mark.parametrize("suffix", NAMES)
@pytest.mark.parametrize("variant", ["dev", "prod", "iam_only"])
def test_each_job_of_the_pipelines_starts(variant: str, suffix: str) -> None:
    """Of iam_only on several instances; Train's have disks of their own and no key."""
    jobs = jobs_in(templates_of, variant)
    assert len(jobs) > 18
    denials = {
        name: denied(call_of(job), rename_kms_keys(context(job) | _isolation(job), suffix))
        for name, job in jobs.items()
    }
    assert {name: sids for name, sids in denials.items() if sids} == {}


def _isolation(job: Json) -> Context:
    return texts({"NetworkIsolation": job.get("EnableNetworkIsolation")})


@pytest.mark.parametrize("suffix", NAMES)
@pytest.mark.parametrize("variant", ["serving", "serving_prod"])
def test_cloudformation_makes_model_and_configuration(variant: str, suffix: str) -> None:
    by_type = {
        item["Type"]: item["Properties"]
        for template in templates_of(variant).values()
        for item in template["Resources"].values()
    }
    model = by_type["AWS::SageMaker::Model"]
    config = by_type["AWS::SageMaker::EndpointConfig"]
    for call, keys in (("CreateModel", _model(model)), ("CreateEndpointConfig", _config(config))):
        assert denied(f"sagemaker:{call}", rename_kms_keys(keys, suffix)) == set(), call


def _model(request: Json) -> Context:
    vpc = request.get("VpcConfig", {})
    return texts(
        {
            "NetworkIsolation": request.get("EnableNetworkIsolation"),
            "VpcSubnets": [str(subnet) for subnet in vpc["Subnets"]] if vpc else None,
        }
    )


def _config(request: Json) -> Context:
    types = [variant["InstanceType"] for variant in request["ProductionVariants"]]
    return texts({"VolumeKmsKey": request.get("KmsKeyId"), "InstanceTypes": types})


def _transform(request: Json) -> Context:
    resources = request["TransformResources"]
    return texts(
        {
            "OutputKmsKey": request["TransformOutput"].get("KmsKeyId"),
            "VolumeKmsKey": resources.get("VolumeKmsKeyId"),
            "InstanceTypes": resources["InstanceType"],
        }
    )


class _Calls:
    """SageMaker's client, which keeps its requests."""

    def __init__(self) -> None:
        self.requests: dict[str, Json] = {}

    def __getattr__(self, name: str) -> Any:
        def call(**request: Any) -> Json:
            self.requests[name] = request
            return {"TransformJobStatus": "Completed"}

        return call


HOSTING = Hosting(
    name="sashiko-devicecheck-dev-1",
    image="image",
    model_data="s3://bucket/model.tar.gz",
    environment={},
    role="role",
    instance_type="ml.c6i.xlarge",
    inference_ami=None,
    startup_timeout=600,
    download_timeout=600,
    subnets=("subnet-1",),
    groups=("sg-1",),
    volume_key=KEY,
    tags={},
)


@pytest.mark.parametrize("suffix", NAMES)
def test_the_device_check_makes_its_endpoint_and_its_batch_job(suffix: str) -> None:
    endpoint, batch = _Calls(), _Calls()
    create(endpoint, HOSTING)
    # SageMaker refuses a volume key for a batch job on an instance with disks of its own.
    on_disks = replace(HOSTING, instance_type="ml.g5.xlarge", volume_key=None)
    with _running(batch, on_disks, job="job", location="s3://bucket/x", key=KEY):
        pass
    requests = {
        "CreateModel": _model(endpoint.requests["create_model"]),
        "CreateEndpointConfig": _config(endpoint.requests["create_endpoint_config"]),
        "CreateTransformJob": _transform(batch.requests["create_transform_job"]),
    }
    for call, keys in requests.items():
        assert denied(f"sagemaker:{call}", rename_kms_keys(keys, suffix)) == set(), call


# Statement -> what a job lacks, and how it would switch that off.
JOBS: Mapping[str, tuple[str, str | None]] = {
    "JobsInAVpc": ("VpcSubnets", None),
    "JobsIsolated": ("NetworkIsolation", "false"),
    "TrafficEncrypted": ("InterContainerTrafficEncryption", "false"),
    "OutputsUnderAKey": ("OutputKmsKey", None),
    "VolumesUnderAKey": ("VolumeKmsKey", None),
}


@pytest.mark.parametrize("suffix", NAMES)
@pytest.mark.parametrize("sid", JOBS)
def test_a_job_that_lacks_a_guard_does_not_start(sid: str, suffix: str) -> None:
    keys = rename_kms_keys(GOOD, suffix)
    call = "sagemaker:CreateTrainingJob"
    assert denied(call, keys) == set()
    for changed in _changed(keys, *JOBS[sid]):
        assert denied(call, changed) == {sid}


def _changed(keys: Context, lacks: str, value: str | None) -> Iterator[Context]:
    """Without the member, and with it switched off."""
    (name,) = (key for key in keys if key.startswith(f"sagemaker:{lacks}"))
    yield {key: words for key, words in keys.items() if key != name}
    if value:
        yield keys | {name: [value]}


def test_a_model_outside_a_vpc_or_with_a_network_is_not_made() -> None:
    keys = texts({**IN_VPC, "NetworkIsolation": True})
    for lacking, sid in (("VpcSubnets", "JobsInAVpc"), ("NetworkIsolation", "JobsIsolated")):
        without = {key: v for key, v in keys.items() if key != f"sagemaker:{lacking}"}
        assert denied("sagemaker:CreateModel", without) == {sid}
