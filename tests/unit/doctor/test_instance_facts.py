"""Instance types as EC2 describes them, held against what the definition was built with."""

from typing import Any

import pytest

from sashiko.doctor.capacity import check_types
from sashiko.doctor.check_result import Check
from sashiko.doctor.machines import Needed, Use
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


def test_a_type_is_described_with_what_it_has() -> None:
    check = types(described())
    assert (check.name, check.status) == ("ml.g5.xlarge", "ok")
    assert check.detail == "4 vCPUs, 1 x NVIDIA A10G, local disk, no EFA"


def test_trainium_is_described_as_an_accelerator() -> None:
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
    changes: dict[str, Any], options: dict[str, Any], status: str, detail: str
) -> None:
    check = types(described(**changes), **options)
    assert check.status == status
    assert detail in check.detail
    assert check.fix


def test_an_endpoint_has_no_volume_key_and_takes_no_threads() -> None:
    item = described(InstanceStorageSupported=False, VCpuInfo={"DefaultVCpus": 4})
    assert types(item, use="endpoint", threads=5).status == "ok"


def test_a_type_that_ec2_does_not_describe_is_unknown() -> None:
    assert types().status == "unknown"
    assert types(answer="UnauthorizedOperation").status == "unknown"
