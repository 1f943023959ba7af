"""The VPC's doors by zone: a zone's letter is another zone in each account."""

from types import SimpleNamespace
from typing import Any

from sashiko.doctor.check_result import Check
from sashiko.doctor.deploy import check_endpoints
from sashiko.doctor.services import check_trail
from tests.infra.variants import settings_of
from tests.unit.account.fake_account import FakeAccount

SETTINGS = settings_of("dev")  # zone a
STS, ATHENA = (f"com.amazonaws.us-east-1.{name}" for name in ("sts", "athena"))
LISTED = ("ec2", "describe_vpc_endpoint_services")


def check_zones_of(**zones: str) -> Check:
    """Asks for two services, of which EC2 lists those given: name -> letters of their zones."""
    kinds = {STS: "Interface", ATHENA: "Interface", "com.amazonaws.us-east-1.s3": "Gateway"}
    endpoints = [
        SimpleNamespace(properties={"ServiceName": name, "VpcEndpointType": kind})
        for name, kind in kinds.items()
    ]
    environment: Any = SimpleNamespace(
        settings=SETTINGS, templates=SimpleNamespace(of_type=lambda _: endpoints)
    )
    details = [
        {
            "ServiceName": f"com.amazonaws.us-east-1.{name}",
            "AvailabilityZones": [f"us-east-1{letter}" for letter in letters],
        }
        for name, letters in zones.items()
    ]
    (check,) = check_endpoints(FakeAccount({LISTED: {"ServiceDetails": details}}), environment)
    return check


def test_doors_that_stand_in_each_zone_are_well() -> None:
    assert check_zones_of(sts="abc", athena="ab").status == "ok"


def test_a_zone_that_lacks_a_service_fails_and_the_zones_that_have_all_are_named() -> None:
    check = check_zones_of(sts="abcd", athena="bcf")
    assert check.status == "failed"
    assert check.detail == f"{ATHENA} is not in us-east-1a"
    assert check.fix.endswith("`network.zones` in config/dev.yaml: b, c")


def test_a_region_where_no_zone_has_all_says_so() -> None:
    assert "none has; leave one service out" in check_zones_of(sts="b", athena="c").fix


def test_without_the_door_to_mlflow_the_fix_is_the_setting() -> None:
    service = "aws.sagemaker.us-east-1.experiments"
    templates = SimpleNamespace(
        of_type=lambda _: [
            SimpleNamespace(properties={"ServiceName": service, "VpcEndpointType": "Interface"})
        ]
    )
    environment: Any = SimpleNamespace(settings=SETTINGS, templates=templates)
    (check,) = check_endpoints(FakeAccount({LISTED: {"ServiceDetails": []}}), environment)
    assert check.status == "failed"
    assert check.fix.startswith("network: {mlflow_service: null} in config/dev.yaml")


def test_a_service_that_the_region_lacks_fails_by_its_name() -> None:
    check = check_zones_of(sts="a")
    assert check.status == "failed"
    assert ATHENA in check.detail and STS not in check.detail


def trail(*, logging: bool) -> Check:
    """Looks for a trail where there is one."""
    arn = "arn:aws:cloudtrail:us-east-1:111122223333:trail/all"
    account = FakeAccount(
        {
            ("cloudtrail", "describe_trails"): {"trailList": [{"Name": "all", "TrailARN": arn}]},
            ("cloudtrail", "get_trail_status"): {"IsLogging": logging},
        }
    )
    return check_trail(account, SETTINGS)


def test_without_a_trail_that_is_logging_nobody_hears_of_break_glass() -> None:
    assert trail(logging=True).status == "ok"
    stopped = trail(logging=False)
    none = check_trail(
        FakeAccount({("cloudtrail", "describe_trails"): {"trailList": []}}), SETTINGS
    )
    assert {stopped.status, none.status} == {"note"}
    assert "break-glass" in none.detail
