"""Clarify, of which little can be known, and endpoints that a device check left."""

import datetime as dt
from typing import Any

import pytest

from sashiko.doctor.check_result import Check, run_check
from sashiko.doctor.services import check_clarify, check_forgotten
from sashiko.settings.environment import Settings
from tests.infra.variants import settings_of
from tests.unit.account.fake_account import FakeAccount

DEV = settings_of("dev")
MONITORS = ("sagemaker", "list_monitoring_schedules")


def clarify(backend: str, answer: Any) -> Check:
    bias = DEV.bias.model_copy(update={"backend": backend})
    settings = DEV.model_copy(update={"bias": bias})
    account = FakeAccount({MONITORS: answer})
    (check,) = run_check("Clarify", lambda: check_clarify(account, settings))
    return check


def monitor() -> dict[str, Any]:
    return {
        "MonitoringScheduleName": "m",
        "MonitoringScheduleArn": "arn:aws:sagemaker:us-east-1:111122223333:monitoring-schedule/m",
        "CreationTime": dt.datetime(2025, 1, 1, tzinfo=dt.UTC),
        "LastModifiedTime": dt.datetime(2025, 1, 1, tzinfo=dt.UTC),
        "MonitoringScheduleStatus": "Stopped",
    }


def test_clarify_is_not_checked_where_our_own_image_judges_bias() -> None:
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
    check = clarify("clarify", answer)
    assert check.status == status
    if answer == {"MonitoringScheduleSummaries": []}:
        assert check.fix.startswith("bias: {backend: own} in config/dev.yaml")


def forgotten(*names: str, settings: Settings = DEV, config: Any = None) -> list[Check]:
    created = dt.datetime(2026, 11, 25, 9, 30, tzinfo=dt.UTC)
    arn = "arn:aws:sagemaker:us-east-1:111122223333:endpoint/e"
    account = FakeAccount(
        {
            ("sagemaker", "list_endpoints"): {
                "Endpoints": [
                    {
                        "EndpointName": name,
                        "EndpointArn": arn,
                        "CreationTime": created,
                        "LastModifiedTime": created,
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
                "CreationTime": created,
                "LastModifiedTime": created,
            },
            ("sagemaker", "describe_endpoint_config"): config
            or {
                "EndpointConfigName": "c",
                "EndpointConfigArn": arn.replace("endpoint/", "endpoint-config/"),
                "CreationTime": created,
                "ProductionVariants": [{"VariantName": "v", "InstanceType": "ml.inf2.xlarge"}],
            },
        },
        settings,
    )
    return list(run_check("device checks", lambda: check_forgotten(account, settings)))


def test_an_endpoint_that_a_device_check_left_is_reported_with_what_it_costs() -> None:
    (check,) = forgotten("sashiko-devicecheck-dev-x1", "my-sashiko-devicecheck-dev-x2")
    assert check.status == "note"
    assert "InService since 2026-11-25 09:30, ml.inf2.xlarge, 0.99 dollars an hour" in check.detail
    assert (
        "aws sagemaker delete-endpoint --endpoint-name sashiko-devicecheck-dev-x1 "
        "--region us-east-1" in check.fix
    )


def test_where_no_price_is_known_the_endpoint_is_reported_all_the_same() -> None:
    settings = DEV.model_copy(update={"region": "eu-west-1"})
    (check,) = forgotten("sashiko-devicecheck-dev-x1", settings=settings)
    assert "ml.inf2.xlarge, billed by the hour" in check.detail


def test_an_endpoint_whose_configuration_is_gone_is_reported_too() -> None:
    (check,) = forgotten("sashiko-devicecheck-dev-x1", config="ValidationException")
    assert "2026-11-25 09:30, billed by the hour" in check.detail


def test_no_endpoint_is_well() -> None:
    (check,) = forgotten()
    assert check.status == "ok"
