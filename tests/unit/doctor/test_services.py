"""Clarify, of which little can be known, and endpoints that a device check left."""

import datetime as dt
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sashiko.doctor.deploy import check_endpoints
from sashiko.doctor.plan import check_alerts, check_data, check_staged, check_tracking
from sashiko.doctor.services import (
    Check,
    check_tools,
    check_trail,
)
from sashiko.pipeline.staging import Staged
from sashiko.steps.sections import Channel
from tests.infra.variants import settings_of
from tests.unit.account.fake_account import FakeAccount, Refusal, ScriptedAws
from tests.unit.doctor.conftest import results

OUT = "cdk.out"


def write(file: Path, value: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(value))


def checks(
    root: Path, *, installed: str | None = "2.1148.1", least: str = "2.1148.0"
) -> list[Check]:
    write(root / "package.json", {"devDependencies": {"aws-cdk": "2.1148.1"}})
    write(root / OUT / "manifest.json", {"version": "55.0.0", "minimumCliVersion": least})
    if installed:
        write(root / "node_modules/aws-cdk/package.json", {"version": installed})
    return list(check_tools(root / OUT, root=root))


@pytest.mark.parametrize("least", ["2.1148.1", "2.999.0"])
def test_an_installed_command_line_that_reads_the_templates_is_well(tmp_path, least):
    results = checks(tmp_path, least=least)
    assert [check.status for check in results] == ["ok", "ok"]
    assert "cloud assembly 55.0.0" in results[1].detail


@pytest.mark.parametrize(
    ("installed", "detail"),
    [(None, "node_modules/aws-cdk/package.json does not exist"), ("3.0.0", "3.0.0 is installed")],
)
def test_another_command_line_than_the_pinned_one_fails(tmp_path, installed, detail):
    (result,) = checks(tmp_path, installed=installed)
    assert (result.status, result.fix) == ("failed", "npm ci")
    assert detail in result.detail


def test_without_templates_the_command_line_alone_is_compared(tmp_path: Path) -> None:
    checks(tmp_path)
    (result,) = check_tools(tmp_path, root=tmp_path)
    assert (result.name, result.status) == ("CDK command line", "ok")


def test_a_library_that_is_too_new_for_the_command_line_fails(tmp_path):
    results = checks(tmp_path, least="2.1200.0")[-1]
    assert results.status == "failed"
    assert results.fix == "npm install --save-dev --save-exact aws-cdk@2.1200.0"


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


def test_each_zone_needs_each_service_and_those_that_lack_one_are_named():
    assert check_zones_of(sts="abc", athena="ab").status == "ok"

    check = check_zones_of(sts="abcd", athena="bcf")
    assert check.status == "failed"
    assert check.detail == f"{ATHENA} is not in us-east-1a"
    assert check.fix.endswith("in config/dev.yaml: b, c")
    assert "none has; leave one service out" in check_zones_of(sts="b", athena="c").fix
    check = check_zones_of(sts="a")
    assert check.status == "failed"
    assert ATHENA in check.detail and STS not in check.detail


def test_without_the_door_to_mlflow_the_fix_is_the_setting():
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


def trail(*, logging: bool) -> Check:
    arn = "arn:aws:cloudtrail:us-east-1:111122223333:trail/all"
    account = FakeAccount(
        {
            ("cloudtrail", "describe_trails"): {"trailList": [{"Name": "all", "TrailARN": arn}]},
            ("cloudtrail", "get_trail_status"): {"IsLogging": logging},
        }
    )
    return check_trail(account, SETTINGS)


def test_without_a_trail_that_is_logging_nobody_hears_of_break_glass():
    assert trail(logging=True).status == "ok"
    stopped = trail(logging=False)
    none = check_trail(
        FakeAccount({("cloudtrail", "describe_trails"): {"trailList": []}}), SETTINGS
    )
    assert {stopped.status, none.status} == {"note"}
    assert "break-glass" in none.detail


DEV, PROD = settings_of("dev"), settings_of("prod")
NOW = dt.datetime(2026, 11, 25, tzinfo=dt.UTC)
PREFIX = "s3://bucket/{}/0123456789abcdef"
MANIFEST = Channel(uri=PREFIX.format("source"), files={"source.json": b"s"})
STAGED = Staged(
    channels=(
        Channel(uri=PREFIX.format("config"), files={"a.json": b"a"}),
        Channel(uri=PREFIX.format("code"), files={"b.py": b"b", "c.py": b"c"}),
        MANIFEST,
    ),
    run_manifest=MANIFEST,
    weights_uri=PREFIX.format("weights"),
    weights={"model.safetensors": "0" * 64},
)
EVERYTHING = {
    "config": {"a.json"},
    "code": {"b.py", "c.py"},
    "source": {"source.json"},
    "weights": {"model.safetensors"},
}


def staged(objects: dict[str, set[str]] | Refusal) -> dict[str, Check]:
    """Looks at a bucket that lists one object a page."""

    def list_objects(request: Any) -> Any:
        if isinstance(objects, Refusal):
            return objects
        names = sorted(objects[request["Prefix"].split("/")[0]])
        page = int(request.get("ContinuationToken", "0"))
        items = [
            {"Key": f"{request['Prefix']}{name}", "Size": 1} for name in names[page : page + 1]
        ]
        more = {"NextContinuationToken": str(page + 1)} if page + 1 < len(names) else {}
        return {"Contents": items, "IsTruncated": bool(more)} | more

    aws = ScriptedAws({"ListObjectsV2": list_objects})
    checks = results(check_staged(aws.account(), DEV, STAGED))
    assert {call["ExpectedBucketOwner"] for call in aws.requests("ListObjectsV2")} == {DEV.account}
    return {check.name: check for check in checks}


def test_inputs_are_well_once_staged_and_later_before_the_deploy():
    checks = staged(EVERYTHING)
    assert [check.status for check in checks.values()] == ["ok", "ok"]
    (check,) = staged(Refusal("NoSuchBucket")).values()
    assert check.status == "later"
    assert check.fix == "make deploy ENV=dev, then sashiko env stage --env dev"


@pytest.mark.parametrize(
    ("folder", "name", "detail"),
    [
        ("weights", "weights", "weights/0123456789abcdef/model.safetensors not there"),
        ("code", "code and configuration", "code/0123456789abcdef/b.py and 1 more not there"),
    ],
)
def test_what_is_not_staged_is_named(folder, name, detail):
    check = staged(EVERYTHING | {folder: set()})[name]
    assert (check.status, check.fix) == ("later", "sashiko env stage --env dev")
    assert detail in check.detail


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
def test_data_are_there_once_a_load_succeeded(runs, status, detail):
    account = FakeAccount({("glue", "get_job_runs"): {"JobRuns": runs}})
    (check,) = results(check_data(account, DEV, table="complaints"))
    assert check.status == status
    assert detail in check.detail


def test_before_the_deploy_there_is_no_job_that_loads():
    account = FakeAccount({("glue", "get_job_runs"): "EntityNotFoundException"})
    (check,) = results(check_data(account, DEV, table="complaints"))
    assert (check.status, check.detail) == ("later", "no job sashiko-dev-etl-complaints yet")


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
def test_the_app_is_judged_by_its_state(state, status):
    apps = [{"Name": "somebody-elses", "Status": "CreateFailed"}]
    apps += [{"Name": "sashiko-dev", "Status": state}] if state else []
    account = FakeAccount({("sagemaker", "list_mlflow_apps"): {"Summaries": apps}})
    (check,) = results(check_tracking(account, DEV))
    assert check.status == status


def test_without_an_address_nobody_hears_of_anything():
    assert check_alerts(PROD).status == "ok"
    check = check_alerts(DEV)
    assert (check.status, check.fix) == (
        "note",
        "alerts: {emails: [you@example.com]} in config/dev.yaml",
    )
