"""What a run reads and whom it tells: each check with answers that pass, and that do not."""

import datetime as dt
from typing import Any

import pytest

from sashiko.doctor.check_result import Check
from sashiko.doctor.plan import check_alerts, check_data, check_staged, check_tracking
from sashiko.pipeline.staging import Staged
from sashiko.steps.sections import Channel
from tests.infra.variants import settings_of
from tests.unit.account.fake_account import FakeAccount
from tests.unit.account.recorded_answers import Refusal, ScriptedAws
from tests.unit.doctor.results import results

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


def test_inputs_that_are_all_there_are_well():
    checks = staged(EVERYTHING)
    assert [check.status for check in checks.values()] == ["ok", "ok"]


@pytest.mark.parametrize(
    ("folder", "name", "detail"),
    [
        ("weights", "weights", "weights/0123456789abcdef/model.safetensors not there"),
        ("code", "code and configuration", "code/0123456789abcdef/b.py and 1 more not there"),
    ],
)
def test_what_is_not_staged_is_named(folder, name, detail):
    check = staged(EVERYTHING | {folder: set()})[name]
    assert (check.status, check.fix) == ("later", "sashiko stage --env dev")
    assert detail in check.detail


def test_before_the_deploy_there_is_no_bucket_to_stage_to():
    (check,) = staged(Refusal("NoSuchBucket")).values()
    assert check.status == "later"
    assert check.fix == "make deploy ENV=dev, then sashiko stage --env dev"


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
