"""The capacity that Train gets: plans in each state that stops a run, and one that fits."""

import datetime as dt
from typing import Any

import pytest

from sashiko.doctor.capacity import check_capacity, check_types
from sashiko.doctor.check_result import Check
from sashiko.doctor.machines import Needed, Use
from sashiko.settings.environment import Settings
from sashiko.settings.environment_sections import SpotSection
from tests.infra.variants import settings_of
from tests.unit.account.fake_account import FakeAccount
from tests.unit.doctor.results import results


def described(kind: str = "g5.xlarge", **changes: Any) -> dict[str, Any]:
    return {
        "InstanceType": kind,
        "VCpuInfo": {"DefaultVCpus": 4},
        "InstanceStorageSupported": True,
        "NetworkInfo": {"EfaSupported": False},
        "SupportedUsageClasses": ["on-demand", "spot"],
        "GpuInfo": {"Gpus": [{"Name": "A10G", "Manufacturer": "NVIDIA", "Count": 1}]},
        **changes,
    }


def types(
    *items: dict[str, Any],
    use: Use = "training job",
    kind: str = "ml.g5.xlarge",
    threads: int = 2,
    answer: Any = None,
) -> Check:
    needed = Needed(instance_type=kind, use=use, count=1, key="k")
    account = FakeAccount(
        {("ec2", "describe_instance_types"): answer or {"InstanceTypes": list(items)}}
    )
    settings = settings_of("dev").model_copy(update={"threads": threads})
    (check,) = results(check_types(account, settings, [needed]))
    return check


def test_a_type_is_described_with_what_it_has():
    check = types(described())
    assert (check.name, check.status) == ("ml.g5.xlarge", "ok")
    assert check.detail == "4 vCPUs, 1 x NVIDIA A10G, local disk, no EFA"


def test_trainium_is_described_as_an_accelerator():
    neuron = {"NeuronDevices": [{"Count": 16, "Name": "Trainium"}]}
    check = types(
        described("trn1.32xlarge", VCpuInfo={"DefaultVCpus": 128}, GpuInfo={}, NeuronInfo=neuron,
                  NetworkInfo={"EfaSupported": True}),
        kind="ml.trn1.32xlarge",
    )  # fmt: skip
    assert (check.status, check.detail) == (
        "ok", "128 vCPUs, 16 x AWS Trainium, local disk, EFA",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "options", "status", "detail"),
    [
        ({"InstanceStorageSupported": False}, {}, "failed", "the opposite of its local disk"),
        ({"SupportedUsageClasses": ["on-demand"]}, {"use": "spot training job"}, "failed",
         "no spot capacity of it in us-east-1"),
        ({}, {"threads": 5}, "note", "`threads` is 5, more than it has"),
        ({"VCpuInfo": {"DefaultVCpus": 8}}, {}, "note", "differs: vcpus: 4"),
        ({"NetworkInfo": {"EfaSupported": True}}, {}, "note", "differs: efa: False"),
        ({"GpuInfo": {}}, {}, "note", "differs: accelerators: 1"),
    ],
)  # fmt: skip
def test_what_the_definition_does_not_fit_is_reported_with_its_fix(
    changes, options, status, detail
):
    check = types(described(**changes), **options)
    assert check.status == status
    assert detail in check.detail
    assert check.fix


def test_an_endpoint_has_no_volume_key_and_takes_no_threads():
    item = described(InstanceStorageSupported=False, VCpuInfo={"DefaultVCpus": 4})
    assert types(item, use="endpoint", threads=5).status == "ok"


def test_a_type_that_ec2_does_not_describe_is_unknown():
    assert types().status == "unknown"
    assert types(answer="UnauthorizedOperation").status == "unknown"


PLAN = "arn:aws:sagemaker:us-east-1:111122223333:training-plan/spring"
NOW = dt.datetime(2026, 12, 1, 11, 0, tzinfo=dt.UTC)
END = dt.datetime(2026, 12, 2, 11, 30, tzinfo=dt.UTC)
P5 = "ml.p5.48xlarge"


def settings(**changes: Any) -> Settings:
    """The development account, which has a subnet in us-east-1a, with Train on two days' notice."""
    dev = settings_of("dev")
    values = {"instance_type": P5, "training_plan": PLAN, "max_runtime": 4 * 3600, **changes}
    training = dev.jobs.training.model_copy(update=values)
    jobs = dev.jobs.model_copy(update={"training": training})
    return dev.model_copy(update={"jobs": jobs})


def block(**changes: Any) -> dict[str, Any]:
    return {
        "ReservedCapacityArn": "arn:aws:sagemaker:us-east-1:111122223333:reserved-capacity/abc123",
        "InstanceType": P5,
        "TotalInstanceCount": 2,
        "Status": "Active",
        "AvailabilityZone": "us-east-1a",
        "StartTime": END - dt.timedelta(days=2),
        "EndTime": END,
        **changes,
    }


def plan(*blocks: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "TrainingPlanArn": PLAN,
        "TrainingPlanName": "spring",
        "Status": "Active",
        "TotalInstanceCount": 2,
        "UpfrontFee": "1234.50",
        "CurrencyCode": "USD",
        "TargetResources": ["training-job"],
        "ReservedCapacitySummaries": list(blocks or [block()]),
        **changes,
    }


def capacity(answer: Any, *, count: int = 2, quota: float = 2, **changes: Any) -> list[Check]:
    needed = [Needed(instance_type=P5, use="training job", count=count, key="k")]
    name = f"{P5} for training job usage"
    quotas = {"Quotas": [{"QuotaName": name, "QuotaCode": "L-1A2B3C4D", "Value": quota}]}
    account = FakeAccount(
        {
            ("sagemaker", "describe_training_plan"): answer,
            ("service-quotas", "list_service_quotas"): quotas,
        }
    )
    return results(check_capacity(account, settings(**changes), needed, now=NOW))


def test_a_plan_that_fits_is_described_with_its_blocks_and_its_fee():
    (check,) = capacity(plan())
    assert (check.status, check.fix) == ("ok", "")
    assert check.detail == (
        f"plan spring, Active: 2 x {P5} in us-east-1a, 2026-11-30 11:30 to 2026-12-02 11:30 UTC; "
        "paid upfront: 1234.50 USD"
    )


def test_times_are_shown_in_utc_wherever_the_machine_is():
    tokyo = dt.timezone(dt.timedelta(hours=9))
    (check,) = capacity(plan(block(EndTime=END.astimezone(tokyo))))
    assert "to 2026-12-02 11:30 UTC" in check.detail


@pytest.mark.parametrize(
    ("answer", "status", "detail"),
    [
        ("ResourceNotFound", "failed", f"there is no training plan {PLAN}"),
        (plan(Status="Pending"), "later", "it is not paid yet"),
        (plan(Status="Expired"), "failed", "plan spring is Expired"),
        (plan(Status="Failed", StatusMessage="no money"), "failed", "is Failed no money"),
        (plan(TargetResources=["hyperpod-cluster"]), "failed", "for hyperpod-cluster, not for"),
        (plan(block(InstanceType="ml.trn1.32xlarge")), "failed", f"uses 2 x {P5} at"),
        (plan(block(Status="Expired")), "failed", "nothing reserved"),
        (plan(block(EndTime=NOW)), "failed", "nothing reserved"),
        (plan(block(TotalInstanceCount=1)), "failed", f"Train uses 2 x {P5} at once"),
        (plan(block(AvailabilityZone="us-east-1d")), "failed", "no subnet in us-east-1d"),
        (
            plan(block(), block(AvailabilityZone="us-east-1d")),
            "note",
            "no subnet in us-east-1d, so a job cannot use it",
        ),
        (
            plan(block(EndTime=NOW + dt.timedelta(hours=4))),
            "note",
            "3.5 hours are left, and `jobs.training.max_runtime` is 4.0 hours",
        ),
        (plan(block(EndTime=NOW + dt.timedelta(minutes=29))), "failed", "0.0 hours are left"),
        ("AccessDeniedException", "unknown", "describe_training_plan is denied"),
    ],
)
def test_what_is_wrong_with_a_plan_is_reported_with_its_fix(answer, status, detail):
    (check,) = capacity(answer)
    assert check.status == status
    assert detail in check.detail
    assert check.fix or status == "unknown"


def test_a_plan_that_ends_just_late_enough_fits():
    (check,) = capacity(plan(block(EndTime=NOW + dt.timedelta(hours=4.5))))
    assert check.status == "ok"


@pytest.mark.parametrize(("quota", "status"), [(3, "failed"), (4, "ok")])
def test_the_quota_must_hold_the_whole_plan(quota, status):
    answer = plan(block(TotalInstanceCount=4), TotalInstanceCount=4)
    first, second = capacity(answer, quota=quota)
    assert first.status == "ok"
    assert (second.status, second.name) == (status, f"quota: {P5} for training job usage")


def test_without_a_plan_a_scarce_type_is_a_note_and_another_is_well():
    (scarce,) = capacity({}, training_plan=None)
    assert (scarce.status, scarce.name) == ("note", "training capacity")
    assert (
        f"search-training-plan-offerings --target-resources training-job --instance-type {P5}"
        in (scarce.fix)
    )
    (common,) = capacity({}, training_plan=None, instance_type="ml.g5.xlarge")
    assert common.status == "ok"
    (spot,) = capacity({}, training_plan=None, spot=SpotSection(max_wait="12h"))
    assert (spot.status, spot.detail[:5]) == ("ok", "spot:")
