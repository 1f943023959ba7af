"""Where the monitoring pipeline of a recipe keeps its data."""

from dataclasses import dataclass
from typing import Final

from sashiko.account.names import (
    PackName,
    bucket_name,
    model_package_group_name,
    pipeline_name,
    snapshots_uri,
)
from sashiko.packs import load_packs, pack_objects
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe

__all__ = ["MonitorPlaces", "monitor_pipeline_name", "monitor_places"]

JOBS_ROLE: Final = PackName("monitor")
PUBLISHER: Final = PackName("monitor-publisher")
PRIVACY_OFFICER: Final = PackName("privacy-officer")
FOLDER: Final = PackName("monitor")  # of several buckets, and of the local home
DECISIONS: Final = "decisions"  # below `monitor/` of the snapshots bucket, for all groups


@dataclass(frozen=True, kw_only=True)
class MonitorPlaces:
    """S3 URIs of a model package group's monitoring, without a trailing slash."""

    decoded: str  # the captured requests as rows, with the text; they expire with the capture
    ledger: str  # what was decided for which row: no text (`sashiko_packs.monitoring.ledger`)
    labels: str  # labels by key, as they arrive
    draws: str  # the rows that were drawn to be labelled, a file a period
    decisions: str  # the window's decisions by key, for the bias evaluator; they expire in a week
    windows: str  # the outcome of every window; aggregates

    @property
    def stores(self) -> dict[str, str]:
        """Returns the URIs of the stores, by the arguments of `labels.create_stores`."""
        names = ("ledger", "labels", "draws", "windows")
        return {name: getattr(self, name) for name in names}

    @property
    def empty_files(self) -> tuple[str, ...]:
        """Returns the files without rows that stores begin with: a job's input has an object.

        `sashiko_packs.monitoring.labels.create_stores` makes them.
        """
        return (
            f"{self.ledger}/deletions.parquet",
            f"{self.labels}/labels.parquet",
            f"{self.draws}/none.parquet",
            f"{self.windows}/none.json",
        )


def monitor_pipeline_name(settings: Settings, recipe: str) -> str:
    """Names the pipeline that monitors a recipe's deployed model."""
    return pipeline_name(settings, recipe, module="monitor")


def window_machine(recipe: str) -> str:
    """Names the state machine that starts a window of monitoring, without the prefix."""
    return f"monitor-{recipe}"


def is_captured_by_schedule(settings: Settings) -> bool:
    """Returns whether a pack answers rows by a schedule, and captures them like an endpoint's."""
    packs = load_packs(settings.packs, source="settings")
    return any(captures(settings) for captures in pack_objects("captures", packs))


def may_be_silent(settings: Settings) -> bool:
    """Returns whether nobody has to ask for a week, as with an endpoint that sleeps or none."""
    serving = settings.serving
    return serving.sleeps or (not serving.enabled and is_captured_by_schedule(settings))


def monitor_places(settings: Settings, recipe: Recipe) -> MonitorPlaces:
    """Returns the places of a recipe's model package group."""
    group = model_package_group_name(settings, recipe.model_package_group)
    rows = f"{snapshots_uri(settings, FOLDER)}/{group}"
    return MonitorPlaces(
        decoded=f"s3://{bucket_name(settings, 'capture')}/{FOLDER}/{group}",
        ledger=f"{rows}/ledger",
        labels=f"{rows}/labels",
        draws=f"{rows}/draws",
        decisions=f"{snapshots_uri(settings, FOLDER)}/{DECISIONS}/{group}",
        windows=f"s3://{bucket_name(settings, 'artifacts')}/{FOLDER}/{group}/windows",
    )
