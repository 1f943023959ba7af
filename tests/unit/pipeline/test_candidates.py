"""Which runs count as candidates of a recipe, whichever version is served."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from sashiko.account.names import pipeline_name
from sashiko.pipeline.candidates import Candidate, local_candidates
from sashiko.pipeline.runner.run_record import RunRecord, RunStatus, write_run
from sashiko.registry.versions import STANDING_TAG, ApprovalStatus, ModelVersion
from sashiko.settings.environment import load_settings
from sashiko.settings.recipe import load_recipe

SETTINGS = load_settings("local")
RECIPE = load_recipe(Path("recipes/complaints.yaml"))
OWN = pipeline_name(SETTINGS, RECIPE.name)


def version(number: int, run: str, status: ApprovalStatus, **tags: str) -> ModelVersion:
    return ModelVersion(
        group="loans",
        version=number,
        status=status,
        artifact_sha256="0",
        threshold=0.5,
        tags={"execution_id": run, **tags},
        aliases=(),
    )


FIRST = version(1, "20260301-000000-aaaa", "Approved")


@pytest.fixture
def candidates(tmp_path: Path) -> Callable[..., tuple[Candidate, ...]]:
    def read(
        *runs: tuple[str, RunStatus], versions: Sequence[ModelVersion] = (), pipeline: str = OWN
    ) -> tuple[Candidate, ...]:
        for run, status in (("20260301-000000-aaaa", "registered"), *runs):
            start = f"{run[:4]}-{run[4:6]}-{run[6:8]}T00:00:00.000+00:00"
            record = RunRecord(id=run, pipeline=pipeline, status=status, start=start, steps=())
            write_run(tmp_path / "runs" / run, record)
        return local_candidates(tmp_path, SETTINGS, RECIPE, [FIRST, *versions])

    return read


def test_only_later_runs_of_the_recipe_count(candidates) -> None:
    earlier, later = ("20260201-000000-aaaa", "blocked"), ("20260401-000000-aaaa", "blocked")
    [candidate] = candidates(earlier, later)
    assert candidate.start.isoformat() == "2026-04-01T00:00:00+00:00"
    assert candidates(later, pipeline="another") == ()


@pytest.mark.parametrize(("status", "state"), [
    ("running", "running"),
    ("blocked", "blocked"),
    ("failed", "failed"),
    ("interrupted", "failed"),
])  # fmt: skip
def test_the_state_of_a_run_without_a_version(candidates, status, state) -> None:
    [candidate] = candidates(("20260401-000000-aaaa", status))
    assert candidate.state == state


def test_a_part_of_a_pipeline_is_no_candidate(candidates) -> None:
    assert candidates(("20260401-000000-aaaa", "partial")) == ()


def test_a_served_version_resets_no_count(candidates) -> None:
    """Three runs, each of whose versions was approved and served."""
    runs = [(f"20260{month}01-000000-aaaa", "registered") for month in (4, 5, 6)]
    served = [version(2 + place, run, "Approved") for place, (run, _) in enumerate(runs)]
    assert [item.state for item in candidates(*runs, versions=served)] == ["approved"] * 3


def test_a_version_waits_for_a_person_or_was_rejected(candidates) -> None:
    runs = [(f"20260{month}01-000000-aaaa", "registered") for month in (4, 5, 6)]
    waiting = version(5, runs[0][0], "PendingManualApproval", **{STANDING_TAG: "better"})
    rejected = version(6, runs[1][0], "Rejected", **{STANDING_TAG: "no worse"})
    newer = candidates(*runs, versions=[waiting, rejected])
    assert [(item.state, item.is_better) for item in newer] == [
        ("waiting", True),
        ("rejected", False),
        ("blocked", False),  # the same model as an earlier version: no better
    ]
