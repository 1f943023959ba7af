"""Clarify, of which little can be known, and endpoints that a device check left."""

import datetime as dt
from typing import Any

import pytest

from sashiko.aws.operations.doctor.check import Check, told
from sashiko.aws.operations.doctor.services import check_clarify, check_forgotten
from sashiko.settings.environment import Settings
from tests.infra.variants import settings_of
from tests.unit.aws.fake_account import FakeAccount

DEV = settings_of("dev")
MONITORS = ("sagemaker", "list_monitoring_schedules")


def clarify(backend: str, answer: Any) -> Check:
    bias = DEV.bias.model_copy(update={"backend": backend})
    settings = DEV.model_copy(update={"bias": bias})
    account = FakeAccount({MONITORS: answer})
    (found,) = told("Clarify", lambda: check_clarify(account, settings))
    return found


def monitor() -> dict[str, Any]:
    return {
        "MonitoringScheduleName": "m",
        "MonitoringScheduleArn": "arn:aws:sagemaker:us-east-1:111122223333:monitoring-schedule/m",
        "CreationTime": dt.datetime(2025, 1, 1, tzinfo=dt.UTC),
        "LastModifiedTime": dt.datetime(2025, 1, 1, tzinfo=dt.UTC),
        "MonitoringScheduleStatus": "Stopped",
    }


def test_clarify_is_not_asked_for_where_our_own_image_judges_bias() -> None:
    assert clarify("own", "AccessDeniedException").status == "ok"


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ({"MonitoringScheduleSummaries": [monitor()]}, "ok"),
        ({"MonitoringScheduleSummaries": []}, "unknown"),
        ("AccessDeniedException", "unknown"),
    ],
)
def test_whether_an_account_has_clarify_is_unknown_unless_it_used_it(
    answer: Any, status: str
) -> None:
    found = clarify("clarify", answer)
    assert found.status == status
    if answer == {"MonitoringScheduleSummaries": []}:
        assert found.fix.startswith("bias: {backend: own} in config/dev.yaml")


def forgotten(*names: str, settings: Settings = DEV, config: Any = None) -> list[Check]:
    at = dt.datetime(2026, 11, 25, 9, 30, tzinfo=dt.UTC)
    arn = "arn:aws:sagemaker:us-east-1:111122223333:endpoint/e"
    account = FakeAccount(
        {
            ("sagemaker", "list_endpoints"): {
                "Endpoints": [
                    {
                        "EndpointName": name,
                        "EndpointArn": arn,
                        "CreationTime": at,
                        "LastModifiedTime": at,
                        "EndpointStatus": "InService",
                    }
                    for name in names
                ]
            },
            ("sagemaker", "describe_endpoint"): {
                "EndpointName": "e",
                "EndpointArn": arn,
                "EndpointConfigName": "c",
                "EndpointStatus": "InService",
                "CreationTime": at,
                "LastModifiedTime": at,
            },
            ("sagemaker", "describe_endpoint_config"): config
            or {
                "EndpointConfigName": "c",
                "EndpointConfigArn": arn.replace("endpoint/", "endpoint-config/"),
                "CreationTime": at,
                "ProductionVariants": [{"VariantName": "v", "InstanceType": "ml.inf2.xlarge"}],
            },
        },
        settings,
    )
    return list(told("device checks", lambda: check_forgotten(account, settings)))


def test_an_endpoint_that_a_device_check_left_is_told_with_what_it_costs() -> None:
    (found,) = forgotten("sashiko-devicecheck-dev-x1", "my-sashiko-devicecheck-dev-x2")
    assert found.status == "note"
    assert "InService since 2026-11-25 09:30, ml.inf2.xlarge, 0.99 dollars an hour" in found.detail
    assert (
        "aws sagemaker delete-endpoint --endpoint-name sashiko-devicecheck-dev-x1 "
        "--region us-east-1" in found.fix
    )


def test_where_no_price_is_known_the_endpoint_is_told_all_the_same() -> None:
    there = DEV.model_copy(update={"region": "eu-west-1"})
    (found,) = forgotten("sashiko-devicecheck-dev-x1", settings=there)
    assert "ml.inf2.xlarge, billed by the hour" in found.detail


def test_an_endpoint_whose_configuration_is_gone_is_told_too() -> None:
    (found,) = forgotten("sashiko-devicecheck-dev-x1", config="ValidationException")
    assert "2026-11-25 09:30, billed by the hour" in found.detail


def test_no_endpoint_is_well() -> None:
    (found,) = forgotten()
    assert found.status == "ok"
