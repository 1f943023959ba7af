"""Who reads and writes the monitor's stores."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sashiko.account.access.environment_access import Environment, read_environment
from sashiko.account.names import bucket_name
from sashiko.settings.environment import load_settings
from sashiko.settings.recipe import load_recipe
from sashiko_packs.monitoring.labels import create_stores
from sashiko_packs.monitoring.places import monitor_pipeline_name, monitor_places
from tests.infra import variants
from tests.infra.job_requests import jobs_of
from tests.infra.test_lake_buckets import let_through
from tests.infra.test_pipeline_places import CAPTURE, GROUP, places_of, principals_of

STORES = ("ledger", "labels", "draws", "windows")


Templates = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="module")
def dev() -> Environment:
    return read_environment(variants.settings_of("dev"), folder=variants.synthesized("dev"))


def test_each_store_begins_with_the_file_that_its_places_name(tmp_path: Path) -> None:
    recipe = load_recipe(Path("recipes/complaints.yaml"))
    places = monitor_places(load_settings("local"), recipe)
    folders = {name: tmp_path / name for name in STORES}
    create_stores(**folders)
    made = {
        f"{getattr(places, name)}/{file.name}"
        for name, folder in folders.items()
        for file in folder.iterdir()
    }
    assert made == set(places.empty_files)


def test_the_questions_of_test_pipeline_places_are_about_the_monitors_jobs_too() -> None:
    settings = variants.settings_of("dev")
    pipelines = variants.pipelines_of(settings, variants.recipes_of(settings))
    jobs = {name: job for one in pipelines for name, job in jobs_of(one.definition).items()}
    (monitor,) = [jobs_of(one.definition).keys() for one in pipelines if one.module == "monitor"]
    bucket = bucket_name(settings, "capture")
    read, written = (
        {step for step, *_ in places_of(jobs, bucket, read=read)} for read in (True, False)
    )
    assert {"ReadCapture", "InputQuality", "Drift", "JoinLabels"} <= read <= monitor
    # Of another pack's jobs `test_each_job_may_use_the_objects_that_it_names` asks the same.
    assert written & monitor == {"ReadCapture"}


def test_jobs_of_the_monitor_alone_read_what_was_captured(dev: Environment) -> None:
    captured = f"{GROUP}/version=3/{GROUP}/primary/2026/11/23/00/a.jsonl"
    decoded = f"monitor/{GROUP}/an-execution/ReadCapture/rows/rows.parquet"
    for place in (captured, decoded):
        assert principals_of(dev, "s3:GetObject", place, bucket=CAPTURE) == {"monitor"}
    assert principals_of(dev, "s3:PutObject", captured, bucket=CAPTURE) == {"inference"}
    assert "monitor" in principals_of(dev, "s3:PutObject", decoded, bucket=CAPTURE)


def test_who_labels_reads_ledger_and_draws_and_the_bias_evaluator_decisions_alone(dev) -> None:
    bucket = bucket_name(dev.settings, "snapshots")
    stores = [f"monitor/{GROUP}/{name}" for name in ("ledger", "labels", "draws")]
    decisions = f"monitor/decisions/{GROUP}/an-execution/JoinLabels/decisions"
    readers = {
        folder: principals_of(dev, "s3:GetObject", f"{folder}/x", bucket=bucket)
        for folder in (*stores, decisions)
    }
    kept = {"monitor", "data-scientist", "privacy-officer"}
    assert readers == {**dict.fromkeys(stores, kept), decisions: {"monitor", "bias-evaluator"}}
    ledger, *given = (
        principals_of(dev, "s3:PutObject", f"{folder}/x", bucket=bucket) for folder in stores
    )
    assert ledger == {"monitor", "privacy-officer"}
    assert given == [{"data-scientist", "privacy-officer"}] * 2


def test_who_deletes_keys_rewrites_the_stores_and_reads_nothing_else(dev: Environment) -> None:
    (officer,) = (item for item in dev.principals if item.name == "privacy-officer")
    bucket = bucket_name(dev.settings, "snapshots")
    stores = {f"monitor/{GROUP}/{name}" for name in ("ledger", "labels", "draws")}
    for store in stores:
        for action in ("s3:GetObject", "s3:PutObject"):
            users = principals_of(dev, action, f"{store}/x.parquet", bucket=bucket)
            assert "privacy-officer" in users, (action, store)
    for name in ("raw", "curated", "artifacts", "capture", "snapshots"):
        paths = dev.object_paths(officer, "s3:GetObject", bucket_name(dev.settings, name))
        assert {path.rpartition("/")[0] for path in paths} == (
            stores if name == "snapshots" else set()
        )
    pipeline = f"arn:aws:sagemaker:{dev.settings.region}:{dev.settings.account}:pipeline"
    monitor = f"{pipeline}/{monitor_pipeline_name(dev.settings, dev.settings.recipe)}"
    assert officer.may("sagemaker:ListPipelineExecutions", monitor)
    assert not officer.may("sagemaker:StartPipelineExecution", monitor)


def test_the_buckets_policy_lets_nobody_else_into_the_stores(templates: Templates) -> None:
    lake = templates("dev")["DataLake"]
    roles = ("monitor", "data-scientist", "privacy-officer")
    users = {f"sashiko-dev-{role}" for role in roles}
    for action, others in (
        ("s3:PutObject", {"deployer"}),
        ("s3:GetObject", {"bias-evaluator", "break-glass"}),
    ):
        let = let_through(lake, "snapshots", action, "monitor/")
        assert let == users | {f"sashiko-dev-{role}" for role in others}
