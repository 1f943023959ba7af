"""What a sweep found: `sweep.json`, read by its page, by a run's report and by `--json`."""

from collections.abc import Iterator
from pathlib import Path

from sashiko.core.files import read_json, write_json
from sashiko.core.yaml_models import Frozen, validate
from sashiko.evaluation.record import Estimates
from sashiko.settings.quality import QualityMetric
from sashiko.settings.recipe import Recipe

SWEEPS = "sweeps"
SWEEP_FILE = "sweep.json"


class Point(Frozen):
    """One model at one threshold, on the validation split.

    Attributes:
        threshold: the score from which on a row is predicted positive.
        by_policy: whether the recipe's own threshold policy gives it.
        quality: accuracy, balanced accuracy, F1 -> estimate.
        bias: name of each bias gate's check, such as `DI age=old` -> estimate.
        failed: the checks that failed.
        without_margin: the bias gates' checks that passed, but too near to their bounds.
        on_front: whether no other point is as good by the metric that decides and as near to no
            difference in the first bias gate's, and better in one of the two.
    """

    threshold: float
    by_policy: bool
    quality: Estimates
    bias: Estimates
    failed: tuple[str, ...]
    without_margin: tuple[str, ...]
    on_front: bool = False

    @property
    def lacking(self) -> tuple[str, ...]:
        """What keeps it from being chosen; empty where it will do."""
        return (*self.failed, *(f"margin of {check}" for check in self.without_margin))


class Curve(Frozen):
    """One strength: the model that was trained with it, at every threshold.

    Attributes:
        strength: of the reweighing.
        run: id of the run that trained it, or took it from the cache.
        quality: what no threshold changes: AUC, Brier score, calibration error -> estimate.
        points: by ascending threshold.
    """

    strength: float
    run: str
    quality: Estimates
    points: tuple[Point, ...]

    @property
    def by_policy(self) -> Point:
        """The point of the recipe's own threshold policy."""
        return next(point for point in self.points if point.by_policy)


class Chosen(Frozen):
    """The point that is recommended.

    Attributes:
        strength: `reweighing.strength`.
        point: of that strength's curve.
        overrides: the recipe's keys that set it, as `--set` takes them.
        command: runs the pipeline with them.
    """

    strength: float
    point: Point
    overrides: tuple[str, ...]
    command: str


class Sweep(Frozen):
    """A whole sweep.

    Attributes:
        id: sortable by time, as a run's.
        recipe: overrides included.
        metric: by which the points that will do are ordered.
        rows: of the validation split.
        inputs: `validation` and `facets` -> digest of the split and of the facet snapshot.
        curves: by ascending strength.
        chosen: None where no point will do.
    """

    id: str
    recipe: Recipe
    metric: QualityMetric
    rows: int
    inputs: dict[str, str]
    curves: tuple[Curve, ...]
    chosen: Chosen | None

    @property
    def present(self) -> Point:
        """The point that the recipe as it stands would take."""
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
        InputError: if there is none, or another version wrote it.
    """
    path = folder / SWEEP_FILE
    return validate(Sweep, read_json(path), source=str(path))


def sweep_folders(home: Path) -> Iterator[Path]:
    """Yields the folders of all sweeps, the newest first."""
    found = (path.parent for path in (home / SWEEPS).glob(f"*/{SWEEP_FILE}"))
    yield from sorted(found, reverse=True)
