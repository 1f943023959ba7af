"""What a run reads and whom it tells: each check with answers that pass, and that do not."""

import datetime as dt
from typing import Any

import pytest

from sashiko.aws.operations.doctor.check import Check
from sashiko.aws.operations.doctor.inputs import (
    check_alerts,
    check_data,
    check_staged,
    check_tracking,
)
from sashiko.pipeline.staging import Staged
from sashiko.steps.sections import Channel
from tests.infra.variants import settings_of
from tests.unit.aws.fake_account import FakeAccount
from tests.unit.aws.operations.doctor.looked import looked
from tests.unit.aws.operations.recorded_answers import Refusal, ToldByAws

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
