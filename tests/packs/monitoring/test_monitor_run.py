import datetime as dt
from pathlib import Path

import pytest

from sashiko.errors import InputError
from sashiko.registry.versions import MONITORING_TAGS, ModelVersion
from sashiko.settings.environment import load_settings
from sashiko.settings.recipe import load_recipe
from sashiko_packs.monitoring.local_run import MonitorFolder, run_monitor
from sashiko_packs.monitoring.window import Window

END = dt.datetime(2026, 3, 9, tzinfo=dt.UTC)
WEEK = Window(END - dt.timedelta(days=7), END)
URI = "s3://artifacts/runs/20260301-000000-aaaa/Evaluate/metrics"


@pytest.fixture
def folder(tmp_path: Path) -> MonitorFolder:
    recipe = load_recipe(Path("recipes/complaints.yaml"))
    return MonitorFolder(tmp_path, load_settings("local"), recipe)


def version(**tags: str) -> ModelVersion:
    return ModelVersion(
        group="complaint-triage",
        version=2,
        status="Approved",
        artifact_sha256="0",
        threshold=0.5,
        tags=tags,
        aliases=("champion",),
    )


def capture_something(folder: MonitorFolder) -> None:
    hour = folder.home / "capture/complaint-triage/version=2/complaint-triage/primary/2026/03/08/10"
    hour.mkdir(parents=True)
    (hour / "a.jsonl").write_text("{}\n")


def test_nothing_captured_names_the_command_that_captures(folder: MonitorFolder) -> None:
    with pytest.raises(
        InputError, match=r"nothing is captured in .*: sashiko model serve"
    ) as refusal:
        run_monitor(folder, version(), window=WEEK, command="sashiko monitor")
    assert str(refusal.value).endswith("--capture 100")


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({}, "version 2 has no `reference_uri`"),
        (dict.fromkeys(MONITORING_TAGS, URI), "which monitoring compares it with, is gone"),
    ],
)
def test_a_version_without_its_held_out_rows_cannot_be_monitored(folder, tags, reason) -> None:
    capture_something(folder)
    with pytest.raises(InputError, match=reason) as refusal:
        run_monitor(folder, version(**tags), window=WEEK, command="sashiko monitor")
    assert "run the pipeline again and approve the new version" in str(refusal.value)


def test_texts_that_a_failed_run_left_are_removed_by_the_next_one(folder: MonitorFolder) -> None:
    capture_something(folder)
    left = (
        folder.home / "monitor/runs/20260301-000000-aaaa/work/Drift/rows.parquet",
        folder.path(f"{folder.places.decoded}/20260301-000000-aaaa/rows.parquet"),
    )
    for path in left:
        path.parent.mkdir(parents=True)
        path.write_text("a text")
    with pytest.raises(InputError, match="has no `reference_uri`"):
        run_monitor(folder, version(), window=WEEK, command="sashiko monitor")
    assert not any(path.exists() for path in left)
