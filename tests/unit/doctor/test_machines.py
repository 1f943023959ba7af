"""Machines and images that a run needs: each check with answers that pass, and that do not."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from sashiko.account.images.job_images import job_images
from sashiko.doctor.plan import (
    Needed,
    check_images,
    check_quotas,
    check_zones,
    most_at_once,
    needed_machines,
)
from sashiko.doctor.services import Check
from sashiko.pipeline.definition.definition_records import Definition, parse_definition
from tests.infra.variants import ROOT, changed, settings_of
from tests.unit.account.fake_account import Answer, FakeAccount
from tests.unit.doctor.conftest import results


def definition(**waits: str) -> Definition:
    """Steps that wait for others, by name: `b="a"` waits for a, `c="a b"` for both."""
    return parse_definition(
        {
            "Steps": [
                {"Name": name, "Type": "Processing", "Arguments": {}, "DependsOn": of.split()}
                for name, of in waits.items()
            ]
        }
    )


@pytest.mark.parametrize(
    ("waits", "names", "expected"),
    [
        ({"a": "", "b": "a", "c": "b"}, "a b c", 1),
        ({"a": "", "b": "", "c": "a b"}, "a b c", 2),
        ({"a": "", "b": "a", "c": "a", "d": "a", "e": "b c d"}, "a b c d e", 3),
        # Not by depth: x waits for nobody, and runs beside each of the others.
        ({"a": "", "b": "a", "c": "b", "x": ""}, "c x", 2),
        ({"a": "", "b": "a", "c": "b"}, "a c", 1),
        ({"a": "", "b": "", "c": "a", "d": "a b"}, "a b c d", 2),
    ],
)
def test_steps_that_do_not_wait_for_each_other_may_run_together(waits, names, expected):
    assert most_at_once(definition(**waits), names.split()) == expected


def needed(check: str = "endpoint", **changes: Any) -> dict[str, int]:
    text = (ROOT / "tests/golden/complaints.definition.json").read_text()
    settings = settings_of("dev")
    serving = settings.serving.model_copy(update=changes)
    settings = settings.model_copy(update={"serving": serving, "device_check": check})
    machines = needed_machines(settings, parse_definition(json.loads(text)), target="inf2")
    return {item.quota: item.count for item in machines}


def test_each_kind_of_job_has_its_own_quota_under_sagemakers_name():
    instances = needed()
    assert instances["ml.g5.xlarge for training job usage"] == 1
    assert instances["ml.m5.large for processing job usage"] >= 2  # both snapshots at once
    assert instances["ml.inf2.xlarge for endpoint usage"] == 1


@pytest.mark.parametrize(
    ("step", "section", "change", "quota", "count", "key"),
    [
        ("Train", ["ResourceConfig"], {"InstanceCount": 4}, "ml.g5.xlarge for training job usage",
         4, "jobs.training.instance_type"),
        ("Compile-Score-Evaluate", ["ProcessingResources", "ClusterConfig"], {"InstanceCount": 10},
         "ml.m5.2xlarge for processing job usage", 10, "jobs.scoring.instance_type"),
        ("Train", ["ResourceConfig"], {"InstanceType": "ml.p5.48xlarge"},
         "ml.p5.48xlarge for training job usage", 1, "train.distributed.instance_type"),
        ("Train", ["ResourceConfig"], {"KeepAlivePeriodInSeconds": 60},
         "ml.g5.xlarge for training warm pool usage", 1, "jobs.training.instance_type"),
        ("Train", ["ResourceConfig"],
         {"InstancePreferences": [{"InstanceType": f"ml.g{n}.xlarge"} for n in (5, 6)]},
         "ml.g6.xlarge for training job usage", 1, "jobs.training.fallback_instance_types"),
    ],
)  # fmt: skip
def test_a_job_needs_all_its_instances_by_the_key_that_names_their_type(
    step, section, *, change, quota, count, key
):
    golden = json.loads((ROOT / "tests/golden/complaints.definition.json").read_text())
    (arguments,) = [item["Arguments"] for item in golden["Steps"] if item["Name"] == step]
    for name in section:
        arguments = arguments[name]
    arguments |= change
    settings = changed(
        settings_of("dev"), "jobs.training", fallback_instance_types=("ml.g6.xlarge",)
    )
    machines = needed_machines(settings, parse_definition(golden), target="inf2")
    assert (count, key) in {(item.count, item.key) for item in machines if item.quota == quota}


@pytest.mark.parametrize(("least", "most", "expected"), [(2, 3, 5), (1, 5, 6)])
def test_a_deployment_keeps_the_old_endpoint_beside_the_new_one(least, most, expected):
    """And a run may check another version at the same time."""
    instances = needed(enabled=True, min_instances=least, max_instances=most)
    assert instances["ml.inf2.xlarge for endpoint usage"] == expected


@pytest.mark.parametrize(
    ("check", "quota"),
    [
        ("endpoint", "ml.inf2.xlarge for endpoint usage"),
        ("transform", "ml.inf2.xlarge for transform job usage"),
        ("off", None),
    ],
)
def test_a_check_on_a_device_needs_one_machine_of_its_own(check, quota):
    instances = {name: count for name, count in needed(check).items() if "inf2" in name}
    assert instances == ({quota: 1} if quota else {})


DEV, PROD = settings_of("dev"), settings_of("prod")
GPU = Needed(
    instance_type="ml.g5.xlarge", use="training job", count=2, key="jobs.training.instance_type"
)
PULLED = {"images": [{"imageId": {"imageTag": "x"}}], "failures": []}
LACKING = {"images": [], "failures": [{"failureCode": "ImageNotFound"}]}
BUILT = {"imageDetails": [{"imageTags": ["x"]}]}


def quota(value: float, name: str = GPU.quota) -> dict[str, Any]:
    item = {"QuotaName": name, "QuotaCode": "L-1A2B3C4D", "Value": value}
    return {"Quotas": [item]}


def quotas(applied: Answer, default: Answer | None = None) -> Check:
    answers: dict[tuple[str, str], Answer] = {("service-quotas", "list_service_quotas"): applied}
    if default is not None:
        answers["service-quotas", "list_aws_default_service_quotas"] = default
    (check,) = results(check_quotas(FakeAccount(answers), DEV, [GPU]))
    return check


def test_a_quota_of_zero_fails_with_the_command_that_asks_for_more():
    check = quotas(quota(0))
    assert (check.status, check.name) == ("failed", "quota: ml.g5.xlarge for training job usage")
    assert check.detail == "0, up to 2 are used at once"
    assert check.fix == (
        "aws service-quotas request-service-quota-increase --service-code sagemaker "
        "--quota-code L-1A2B3C4D --desired-value 2 --region us-east-1"
    )


def test_quotas_are_read_page_by_page_or_have_their_default_or_are_none():
    def page(request: Any) -> Answer:
        first_page = quota(9, "ml.g5.xlarge for spot training job usage") | {"NextToken": "2"}
        return quota(2) if request.get("NextToken") == "2" else first_page

    assert quotas(page).status == "ok"
    assert quotas({"Quotas": []}, quota(0)).status == "failed"
    assert quotas({"Quotas": []}, quota(4)).status == "ok"

    check = quotas({"Quotas": []}, {"Quotas": []})
    assert check.status == "failed"
    assert "does not offer the type" in check.detail
    assert check.fix == "choose another type as `jobs.training.instance_type` in config/base.yaml"
    check = quotas("AccessDeniedException")
    assert check.status == "unknown"
    assert "service-quotas:list_service_quotas is denied" in check.detail


def test_an_applied_quota_counts_and_not_the_default_of_its_type():
    """The defaults are read for another type, which has none applied."""
    other = replace(GPU, instance_type="ml.g6.xlarge")
    defaults = {"Quotas": [*quota(4)["Quotas"], *quota(4, other.quota)["Quotas"]]}
    account = FakeAccount(
        {
            ("service-quotas", "list_service_quotas"): quota(0),
            ("service-quotas", "list_aws_default_service_quotas"): defaults,
        }
    )
    applied, by_default = results(check_quotas(account, DEV, [GPU, other]))
    assert (applied.status, by_default.status) == ("failed", "ok")


def zones(
    offered: Iterable[str], *, available: str = "ab", needed: Sequence[Needed] = (GPU,)
) -> list[Check]:
    account = FakeAccount(
        {
            ("ec2", "describe_availability_zones"): {
                "AvailabilityZones": [{"ZoneName": f"us-east-1{letter}"} for letter in available]
            },
            ("ec2", "describe_instance_type_offerings"): {
                "InstanceTypeOfferings": [
                    {"InstanceType": "g5.xlarge", "Location": f"us-east-1{letter}"}
                    for letter in offered
                ]
            },
        },
        PROD,
    )
    return results(check_zones(account, PROD, needed))


@pytest.mark.parametrize(
    ("offered", "status", "detail"),
    [
        ("ab", "ok", "in us-east-1a, us-east-1b, by what EC2 offers"),
        ("bc", "note", "only in us-east-1b of us-east-1a, us-east-1b"),
        ("c", "failed", "the region has it in us-east-1c"),
        ("", "failed", "the region has it in no zone"),
    ],
)
def test_a_machine_is_in_all_zones_in_some_or_in_none(offered, status, detail):
    check = zones(offered)[1]
    assert (check.name, check.status) == ("ml.g5.xlarge by zone", status)
    assert detail in check.detail
    assert ("`network.zones`" in check.fix) == (status == "failed")


def test_a_zone_that_the_account_lacks_fails_and_what_aws_does_not_say_is_a_hint():
    (check,) = zones("ab", available="ac")
    assert check.status == "failed"
    assert "no us-east-1b; it has us-east-1a, us-east-1c" in check.detail

    endpoint = replace(GPU, use="endpoint")
    assert zones("ab", needed=[GPU])[1].detail.endswith("by what EC2 offers")
    for needed in ([endpoint], [GPU, endpoint]):
        assert "only a hint: SageMaker publishes no list" in zones("ab", needed=needed)[1].detail


def unbuilt(request: Any) -> Any:
    return "ImageNotFoundException" if "imageIds" in request else {"imageDetails": []}


def images(own: Answer, aws: Answer = PULLED) -> list[Check]:
    account = FakeAccount({("ecr", "describe_images"): own, ("ecr", "batch_get_image"): aws})
    return results(check_images(account, DEV, target="inf2"))


def test_each_image_is_checked_once():
    checks = images(BUILT)
    uris = {image.uri for image in job_images(DEV, "inf2").of_jobs()}
    assert {check.status for check in checks} == {"ok"}
    assert {check.name.removeprefix("image ") for check in checks} >= {
        uri.partition("/")[2] for uri in uris
    }
    assert len(checks) == len({check.name for check in checks})


@pytest.mark.parametrize(
    ("own", "status", "detail"),
    [
        ("RepositoryNotFoundException", "later", "the deploy builds it"),
        (unbuilt, "failed", "its repository is there, but not the image"),
    ],
)
def test_our_image_that_is_not_there_is_built_by_a_deploy(own, status, detail):
    image_check = next(check for check in images(own) if "sashiko-dev/job" in check.name)
    assert (image_check.status, image_check.fix) == (status, "make deploy ENV=dev")
    assert detail in image_check.detail


@pytest.mark.parametrize(
    ("aws", "status"),
    [
        (LACKING, "failed"),
        ("RepositoryNotFoundException", "unknown"),
        ("AccessDeniedException", "unknown"),
    ],
)
def test_an_image_of_aws_that_does_not_come_is_reported(aws, status):
    checks = [check for check in images(BUILT, aws) if check.status != "ok"]
    assert [check.status for check in checks] == [status]
