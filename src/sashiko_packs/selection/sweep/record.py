"""The record of a sweep, `sweep.json`, read by its page, by a run's report and by `--json`."""

from collections.abc import Iterator
from pathlib import Path

from sashiko.base.files import read_json, write_json
from sashiko.base.yaml_models import Frozen, validate
from sashiko.evaluation.record import Estimates
from sashiko.settings.quality import QualityMetric
from sashiko.settings.recipe import Recipe

SWEEPS = "sweeps"
SWEEP_FILE = "sweep.json"


class Point(Frozen):
    """One model at one threshold, on the validation split."""

    threshold: float  # the lowest score that is predicted positive
    by_policy: bool  # whether it is the threshold of the recipe's own policy
    quality: Estimates  # accuracy, balanced accuracy, F1 -> estimate
    bias: Estimates  # name of each bias gate's check, such as `DI age=old` -> estimate
    failed: tuple[str, ...]
    # The bias gates' checks that passed without a margin to their bounds.
    without_margin: tuple[str, ...]
    # Whether it is on the Pareto front of the sweep's metric and the first bias gate's metric.
    on_front: bool = False

    @property
    def lacking(self) -> tuple[str, ...]:
        """The reasons against the point; empty if it is acceptable."""
        return (*self.failed, *(f"margin of {check}" for check in self.without_margin))


class Curve(Frozen):
    """The model of one strength, at every threshold."""

    strength: float
    run: str
    # Metrics without a threshold: AUC, Brier score, calibration error -> estimate.
    quality: Estimates
    points: tuple[Point, ...]

    @property
    def by_policy(self) -> Point:
        """The point at the threshold of the recipe's own policy."""
        return next(point for point in self.points if point.by_policy)


class Recommendation(Frozen):
    """The recommended point."""

    strength: float
    point: Point
    overrides: tuple[str, ...]  # the recipe's keys that set it, as `--set` takes them
    command: str


class Sweep(Frozen):
    """A whole sweep."""

    id: str
    recipe: Recipe
    metric: QualityMetric  # orders the acceptable points
    rows: int
    # `validation` and `facets` -> digest of the split and of the facet snapshot.
    inputs: dict[str, str]
    curves: tuple[Curve, ...]
    chosen: Recommendation | None

    @property
    def present(self) -> Point:
        """The point of the current recipe."""
        strength = self.recipe.reweighing.strength
        return next(curve for curve in self.curves if curve.strength == strength).by_policy

    @property
    def checks(self) -> tuple[str, ...]:
        """The names of the bias gates' checks, in the gates' order."""
        return tuple(self.present.bias)


def write_sweep(sweep: Sweep, home: Path) -> Path:
    """Writes `<home>/sweeps/<id>/sweep.json` and returns the folder."""
    folder = home / SWEEPS / sweep.id
    write_json(folder / SWEEP_FILE, sweep.model_dump(mode="json"))
    return folder


def read_sweep(folder: Path) -> Sweep:
    """Reads a sweep.

    Raises:
        InputError: if it is missing, or of another version.
    """
    path = folder / SWEEP_FILE
    return validate(Sweep, read_json(path), source=str(path))


def sweep_folders(home: Path) -> Iterator[Path]:
    """Yields the folders of all sweeps, the newest first."""
    folders = (path.parent for path in (home / SWEEPS).glob(f"*/{SWEEP_FILE}"))
    yield from sorted(folders, reverse=True)
