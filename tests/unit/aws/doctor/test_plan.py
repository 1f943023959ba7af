"""What a run needs of the account: each check with an answer that passes, and ones that do not."""

import datetime as dt
from collections.abc import Iterable
from typing import Any

import pytest

from sashiko.aws.doctor.check import Check, told
from sashiko.aws.doctor.images import check_images
from sashiko.aws.doctor.inputs import check_alerts, check_data, check_staged, check_tracking
from sashiko.aws.doctor.machines import check_quotas, check_zones
from sashiko.aws.doctor.needed_machines import Needed
from sashiko.aws.images.job_images import job_images
from sashiko.staging import Channel, Staged
from tests.infra.variants import settings_of
from tests.unit.aws.fake_account import Answer, FakeAccount
from tests.unit.aws.told_by_aws import Refusal, ToldByAws

DEV, PROD = settings_of("dev"), settings_of("prod")
GPU = Needed(
    instance_type="ml.g5.xlarge",
    use="training job",
    count=2,
    key="jobs.training.instance_type",
)
NOW = dt.datetime(2026, 11, 25, tzinfo=dt.UTC)


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")


def looked(checks: Check | Iterable[Check]) -> list[Check]:
    return list(told("it", lambda: checks))


# --- machines ---------------------------------------------------------------------------------


def quota(value: float, name: str = GPU.quota) -> dict[str, Any]:
    listed = {"QuotaName": name, "QuotaCode": "L-1A2B3C4D", "Value": value}
    return {"Quotas": [listed]}


def quotas(applied: Answer, default: Answer | None = None) -> Check:
    answers: dict[tuple[str, str], Answer] = {("service-quotas", "list_service_quotas"): applied}
    if default is not None:
        answers["service-quotas", "list_aws_default_service_quotas"] = default
    (found,) = looked(check_quotas(FakeAccount(answers), DEV, [GPU]))
    return found


def test_a_quota_that_is_large_enough_is_well() -> None:
    assert quotas(quota(2)).status == "ok"


def test_a_quota_of_zero_fails_with_the_command_that_asks_for_more() -> None:
    found = quotas(quota(0))
    assert (found.status, found.name) == ("failed", "quota: ml.g5.xlarge for training job usage")
    assert found.detail == "0, 2 at once are used"
    assert found.fix == (
        "aws service-quotas request-service-quota-increase --service-code sagemaker "
        "--quota-code L-1A2B3C4D --desired-value 2 --region us-east-1"
    )


def test_quotas_are_read_page_by_page() -> None:
    def page(asked: Any) -> Answer:
        more = quota(9, "ml.g5.xlarge for spot training job usage") | {"NextToken": "2"}
        return quota(2) if asked.get("NextToken") == "2" else more

    assert quotas(page).status == "ok"


def test_a_quota_that_was_never_applied_has_its_default() -> None:
    assert quotas({"Quotas": []}, quota(0)).status == "failed"
    assert quotas({"Quotas": []}, quota(4)).status == "ok"


def test_a_type_without_a_quota_is_not_offered_in_the_region() -> None:
    found = quotas({"Quotas": []}, {"Quotas": []})
    assert found.status == "failed"
    assert "does not offer the type" in found.detail
    assert found.fix == "choose another type as `jobs.training.instance_type` in config/base.yaml"


def test_what_the_caller_may_not_see_is_unknown_and_never_well() -> None:
    found = quotas("AccessDeniedException")
    assert found.status == "unknown"
    assert "service-quotas:list_service_quotas is denied" in found.detail


def zones(offered: Iterable[str], *, there: str = "ab") -> list[Check]:
    account = FakeAccount(
        {
            ("ec2", "describe_availability_zones"): {
                "AvailabilityZones": [{"ZoneName": f"us-east-1{letter}"} for letter in there]
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
    return looked(check_zones(account, PROD, [GPU]))


@pytest.mark.parametrize(
    ("offered", "status", "detail"),
    [
        ("ab", "ok", "in us-east-1a, us-east-1b, by what EC2 offers, which is a hint"),
        ("bc", "note", "in us-east-1b alone of us-east-1a, us-east-1b"),
        ("c", "failed", "the region has it in us-east-1c"),
        ("", "failed", "the region has it in no zone"),
    ],
)
def test_a_machine_is_in_all_zones_in_some_or_in_none(
    offered: str, status: str, detail: str
) -> None:
    found = zones(offered)[1]
    assert (found.name, found.status) == ("ml.g5.xlarge by zone", status)
    assert detail in found.detail
    assert ("`network.zones`" in found.fix) == (status == "failed")


def test_a_zone_that_the_account_lacks_fails() -> None:
    (found,) = zones("ab", there="ac")
    assert found.status == "failed"
    assert "no us-east-1b; it has us-east-1a, us-east-1c" in found.detail


# --- images -----------------------------------------------------------------------------------

PULLED = {"images": [{"imageId": {"imageTag": "x"}}], "failures": []}
LACKING = {"images": [], "failures": [{"failureCode": "ImageNotFound"}]}
BUILT = {"imageDetails": [{"imageTags": ["x"]}]}


def unbuilt(asked: Any) -> Any:
    return "ImageNotFoundException" if "imageIds" in asked else {"imageDetails": []}


def images(own: Answer, aws: Answer = PULLED) -> list[Check]:
    account = FakeAccount({("ecr", "describe_images"): own, ("ecr", "batch_get_image"): aws})
    return looked(check_images(account, DEV, target="inf2"))


def test_each_image_is_asked_for_once() -> None:
    found = images(BUILT)
    uris = {image.uri for image in job_images(DEV, "inf2").of_jobs()}
    assert {check.status for check in found} == {"ok"}
    assert {check.name.removeprefix("image ") for check in found} >= {
        uri.partition("/")[2] for uri in uris
    }
    assert len(found) == len({check.name for check in found})


@pytest.mark.parametrize(
    ("own", "status", "detail"),
    [
        ("RepositoryNotFoundException", "later", "the deploy builds it"),
        (unbuilt, "failed", "its repository is there, and not the image"),
    ],
)
def test_our_image_that_is_not_there_is_built_by_a_deploy(
    own: Answer, status: str, detail: str
) -> None:
    found = next(check for check in images(own) if "sashiko-dev/job" in check.name)
    assert (found.status, found.fix) == (status, "make deploy ENV=dev")
    assert detail in found.detail


@pytest.mark.parametrize(
    ("aws", "status"),
    [
        (LACKING, "failed"),
        ("RepositoryNotFoundException", "unknown"),
        ("AccessDeniedException", "unknown"),
    ],
)
def test_an_image_of_aws_that_does_not_come_is_told(aws: Answer, status: str) -> None:
    found = [check for check in images(BUILT, aws) if check.status != "ok"]
    assert [check.status for check in found] == [status]


# --- inputs -----------------------------------------------------------------------------------

PREFIX = "s3://bucket/{}/0123456789abcdef"
STAGED = Staged(
    config={"Prepare": Channel(uri=PREFIX.format("config"), files={"a.json": b"a"})},
    code=Channel(uri=PREFIX.format("code"), files={"b.py": b"b", "c.py": b"c"}),
    source=Channel(uri=PREFIX.format("source"), files={"source.json": b"s"}),
    weights_uri=PREFIX.format("weights"),
    weights={"model.safetensors": "0" * 64},
    contract_hash="0" * 64,
)
EVERYTHING = {
    "config": {"a.json"},
    "code": {"b.py", "c.py"},
    "source": {"source.json"},
    "weights": {"model.safetensors"},
}


def staged(there: dict[str, set[str]] | Refusal) -> dict[str, Check]:
    """Looks at a bucket that lists one object a page."""

    def listed(asked: Any) -> Any:
        if isinstance(there, Refusal):
            return there
        names = sorted(there[asked["Prefix"].split("/")[0]])
        page = int(asked.get("ContinuationToken", "0"))
        items = [{"Key": f"{asked['Prefix']}{name}", "Size": 1} for name in names[page : page + 1]]
        more = {"NextContinuationToken": str(page + 1)} if page + 1 < len(names) else {}
        return {"Contents": items, "IsTruncated": bool(more)} | more

    aws = ToldByAws({"ListObjectsV2": listed})
    found = looked(check_staged(aws.account(), DEV, STAGED))
    assert {asked["ExpectedBucketOwner"] for asked in aws.asked("ListObjectsV2")} == {DEV.account}
    return {check.name: check for check in found}


def test_inputs_that_are_all_there_are_well() -> None:
    found = staged(EVERYTHING)
    assert [check.status for check in found.values()] == ["ok", "ok"]


@pytest.mark.parametrize(
    ("folder", "name", "detail"),
    [
        ("weights", "weights", "weights/0123456789abcdef/model.safetensors not there"),
        ("code", "code and configuration", "code/0123456789abcdef/b.py and 1 more not there"),
    ],
)
def test_what_is_not_staged_is_named(folder: str, name: str, detail: str) -> None:
    found = staged(EVERYTHING | {folder: set()})[name]
    assert (found.status, found.fix) == ("later", "sashiko stage --env dev")
    assert detail in found.detail


def test_before_the_deploy_there_is_no_bucket_to_stage_to() -> None:
    (found,) = staged(Refusal("NoSuchBucket")).values()
    assert found.status == "later"
    assert found.fix == "make deploy ENV=dev, then sashiko stage --env dev"


def load(state: str, days: int, as_of: str = "20261101T000000Z") -> dict[str, Any]:
    return {
        "JobRunState": state,
        "StartedOn": NOW - dt.timedelta(days=days),
        "Arguments": {"--as-of": as_of},
        "ErrorMessage": "no such file",
    }


@pytest.mark.parametrize(
    ("runs", "status", "detail"),
    [
        ([load("SUCCEEDED", 9, "old"), load("SUCCEEDED", 1, "new")], "ok", "succeeded: new"),
        ([load("FAILED", 1), load("SUCCEEDED", 9, "old")], "ok", "succeeded: old"),
        ([load("SUCCEEDED", 9, "old"), load("SUCCEEDED", 1, "")], "ok", "succeeded: old"),
        ([load("FAILED", 1)], "failed", "the newest load failed: no such file"),
        ([load("RUNNING", 1), load("FAILED", 2)], "later", "succeeded yet"),
        ([load("RUNNING", 1)], "later", "no load of sashiko-dev-etl-complaints succeeded yet"),
        ([], "later", "succeeded yet"),
    ],
)
def test_data_are_there_once_a_load_succeeded(
    runs: list[dict[str, Any]], status: str, detail: str
) -> None:
    account = FakeAccount({("glue", "get_job_runs"): {"JobRuns": runs}})
    (found,) = looked(check_data(account, DEV, table="complaints"))
    assert found.status == status
    assert detail in found.detail


def test_loads_are_read_page_by_page() -> None:
    def page(asked: Any) -> Any:
        if asked.get("NextToken") == "2":
            return {"JobRuns": [load("SUCCEEDED", 9, "old")]}
        return {"JobRuns": [load("FAILED", 1)], "NextToken": "2"}

    (found,) = looked(
        check_data(FakeAccount({("glue", "get_job_runs"): page}), DEV, table="complaints")
    )
    assert (found.status, found.detail) == ("ok", "newest load that succeeded: old")


def test_before_the_deploy_there_is_no_job_that_loads() -> None:
    account = FakeAccount({("glue", "get_job_runs"): "EntityNotFoundException"})
    (found,) = looked(check_data(account, DEV, table="complaints"))
    assert (found.status, found.detail) == ("later", "no job sashiko-dev-etl-complaints yet")


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("Created", "ok"),
        ("Updated", "ok"),
        ("Creating", "later"),
        ("CreateFailed", "failed"),
        ("DeleteFailed", "failed"),
        (None, "later"),
    ],
)
def test_the_app_is_looked_at_by_its_state(state: str | None, status: str) -> None:
    apps = [{"Name": "somebody-elses", "Status": "CreateFailed"}]
    apps += [{"Name": "sashiko-dev", "Status": state}] if state else []
    account = FakeAccount({("sagemaker", "list_mlflow_apps"): {"Summaries": apps}})
    (found,) = looked(check_tracking(account, DEV))
    assert found.status == status


def test_without_an_address_nobody_hears_of_anything() -> None:
    assert check_alerts(PROD).status == "ok"
    found = check_alerts(DEV)
    assert (found.status, found.fix) == (
        "note",
        "alerts: {emails: [you@example.com]} in config/dev.yaml",
    )
