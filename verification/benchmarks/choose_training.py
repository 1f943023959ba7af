r"""Chooses rows, layers and rates of the training on the validation split. It never reads test.

    python -m verification.benchmarks.choose_training --recipe complaints-llm \
        --vary train.learning_rate=5e-4,2e-3 --vary train.lora.layers=5,20 \
        --vary data.train_rows=1000,4000

Trains the recipe as it is, then with one key changed at a time, each by the real pipeline up to
Train, whose last line has the AUC of validation.

The rule, stated before any search: a point is as good as the best if its mean AUC over the seeds
is at most 0.005 below; of those, the one that trains fastest is taken. Points are compared by
seconds of one machine, so nothing else should run beside it.
"""

import argparse
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sashiko.pipeline.runner.store import Store
from sashiko.settings.recipe import load_recipe
from sashiko.steps.train_output import read_training
from verification.benchmarks.choose_on_validation import run_until
from verification.benchmarks.runs import HOME, machine

AS_GOOD = 0.005  # of AUC: the standard error on 800 rows is three times as large


@dataclass(frozen=True)
class Point:
    """A change of the recipe, trained with every seed.

    Attributes:
        change: the key and its value; empty for the recipe as it is.
        aucs: of the validation split, by seed.
        seconds: that Train took, by seed.
    """

    change: str
    aucs: tuple[float, ...]
    seconds: tuple[float, ...]

    @property
    def auc(self) -> float:
        """The arithmetic mean over the seeds."""
        return statistics.fmean(self.aucs)


def main() -> None:
    """Prints a Markdown table on stdout, and the choice."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipe", required=True, help="a recipe's name")
    parser.add_argument(
        "--vary", action="append", default=[], metavar="KEY=VALUE,...", help="a key and its values"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="of the training")
    parser.add_argument("--home", type=Path, default=HOME, help="the benchmarks' state")
    arguments = parser.parse_args()

    seeds = ", ".join(map(str, arguments.seeds))
    print(f"`{arguments.recipe}`, validation split only, seeds {seeds}, {machine()}\n")
    print("|change|AUC, by seed|mean|Train, seconds|\n" + "|---" * 4 + "|", flush=True)
    points = []
    for change in changes(arguments.vary):
        point = train(arguments.recipe, change, seeds=arguments.seeds, home=arguments.home)
        points.append(point)
        print(row(point), flush=True)
    best = max(point.auc for point in points)
    good = [point for point in points if point.auc >= best - AS_GOOD]
    choice = min(good, key=lambda point: statistics.fmean(point.seconds))
    print(f"\nTaken, of {len(good)} as good as the best: {choice.change or 'the recipe as it is'}.")


def changes(varied: Sequence[str]) -> Iterator[str]:
    """Yields the recipe as it is, then each value of each key."""
    yield ""
    for one in varied:
        key, _, values = one.partition("=")
        if not values:
            sys.exit(f"error: --vary {one}: write KEY=VALUE,...")
        for value in values.split(","):
            yield f"{key}={value}"


def train(recipe: str, change: str, *, seeds: Sequence[int], home: Path) -> Point:
    """Trains with every seed; ends the process if a run does not come to Train."""
    aucs, seconds = [], []
    for seed in seeds:
        overrides = (f"train.seed={seed}", *([change] if change else []))
        loaded = load_recipe(Path("recipes") / f"{recipe}.yaml", overrides=overrides)
        run = run_until("Train", loaded, home=home)
        step = run.step("Train")
        output = read_training(Store(home / "s3").path(step.outputs["output"].uri))
        [*_, last] = [
            line.validation_auc for line in output.curve if line.validation_auc is not None
        ]
        aucs.append(last)
        seconds.append(step.seconds or 0.0)
    return Point(change, tuple(aucs), tuple(seconds))


def row(point: Point) -> str:
    """Writes a line of the table."""
    aucs = ", ".join(f"{auc:.3f}" for auc in point.aucs)
    seconds = ", ".join(f"{one:.0f}" for one in point.seconds)
    return f"|{point.change or 'as it is'}|{aucs}|{point.auc:.3f}|{seconds}|"


if __name__ == "__main__":
    main()
