r"""Chooses rows, layers and rates of the training on the validation split. It never reads test.

    python -m verification.benchmarks.choose_training --recipe complaints-llm \
        --vary train.learning_rate=5e-4,2e-3 train.lora.layers=5,20 data.train_rows=1000,4000

Trains the recipe as it is, then with one key changed at a time, each by the real pipeline up to
Train, whose last line has the AUC of validation.

The rule, stated before any search: a point is as good as the best if its mean AUC over the seeds
is at most 0.005 below; of those, the one that trains fastest is taken. Points are compared by
seconds of one machine, so nothing else should run beside it.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

from sashiko.pipeline.runner.store import Store
from sashiko.steps.evaluate import read_training
from verification.benchmarks.bench import HOME, machine, options, recipe_of, show, table
from verification.benchmarks.choose_on_validation import run_until

_AS_GOOD = 0.005  # of AUC: the standard error on 800 rows is three times as large


def main() -> None:
    """Prints a Markdown table on stdout, and the choice."""
    chosen = options(__doc__, recipe="complaints-llm", vary=[str], seeds=[0], home=HOME)
    points: dict[str, tuple[float, float]] = {}  # change -> its mean AUC and seconds

    def rows() -> Iterator[tuple[str, ...]]:
        for change in _changes(chosen.vary):
            aucs, seconds = _train(chosen.recipe, change, seeds=chosen.seeds, home=chosen.home)
            name = change or "as it is"
            points[name] = fmean(aucs), fmean(seconds)
            times = ", ".join(f"{one:.0f}" for one in seconds)
            yield name, ", ".join(f"{auc:.3f}" for auc in aucs), f"{fmean(aucs):.3f}", times

    seeds = ", ".join(map(str, chosen.seeds))
    print(f"`{chosen.recipe}`, validation split only, seeds {seeds}, {machine()}\n")
    show(table(("change", "AUC, by seed", "mean", "Train, seconds"), rows()))
    best = max(auc for auc, _ in points.values())
    good = {name: taken for name, (auc, taken) in points.items() if auc >= best - _AS_GOOD}
    print(f"\nTaken, of {len(good)} as good as the best: {min(good, key=good.__getitem__)}.")


def _changes(varied: Sequence[str]) -> Iterator[str]:
    """Yields the recipe as it is, then each value of each key."""
    yield ""
    for one in varied:
        key, _, values = one.partition("=")
        if not values:
            sys.exit(f"error: --vary {one}: write KEY=VALUE,...")
        yield from (f"{key}={value}" for value in values.split(","))


def _train(
    recipe: str, change: str, *, seeds: Sequence[int], home: Path
) -> tuple[list[float], list[float]]:
    """Trains with every seed; returns the AUCs of validation, and the seconds of Train."""
    aucs, seconds = [], []
    for seed in seeds:
        overrides = filter(None, (f"train.seed={seed}", change))
        step = run_until("Train", recipe_of(recipe, *overrides), home=home).step("Train")
        curve = read_training(Store(home / "s3").path(step.outputs["output"].uri)).curve
        aucs.append([line.validation_auc for line in curve if line.validation_auc is not None][-1])
        seconds.append(step.seconds or 0.0)
    return aucs, seconds


if __name__ == "__main__":
    main()
