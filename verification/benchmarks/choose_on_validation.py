"""Chooses reweighing strength and threshold on the validation split. It never reads test.

    python -m verification.benchmarks.choose_on_validation --recipe census --strengths 2 3 4
    python -m verification.benchmarks.choose_on_validation --recipe census-linear

Runs the real pipeline up to the compiled model once per strength and training seed, as `sashiko run
--sweep` does for one seed, and judges the validation scores under each threshold policy by the
recipe's own gates. A policy is a metric that is maximised for each seed, or one fixed threshold for
all seeds: each hundredth from 0.01 to 0.99.

The rule, stated before any search: a pair of strength and policy will do if, for every seed, each
quality gate passes and the gated bias metric is inside its bounds, and its mean over the seeds
keeps half of the distance (as a ratio) between 1 and each bound, as a margin for new rows. Of those
that will do, the one with the highest mean balanced accuracy is taken; of equal ones the lower
strength, then a maximised metric before a fixed threshold.

A linear model has no training seed. A recipe takes what the rule takes for its own model, even
where another one is better: then README and docs say so. The test split is looked at once, after
the choice, and changes nothing of it: if the gates block there, the recipe ships blocked.

Leads over the linear baseline and the champion are not asked for: a lead under drift cannot be seen
before the drift, and a time split puts validation before it.
"""

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from sashiko.contract.load import load_contract
from sashiko.pipeline.local_run import run_pipeline
from sashiko.pipeline.runner.run_record import RunRecord
from sashiko.settings.environment import load_settings
from sashiko.settings.recipe import Recipe
from sashiko.settings.recipe_bias import BiasGate
from sashiko.settings.recipe_quality import ThresholdSection
from sashiko_packs.selection.rows import COMPILE, Validation, read_validation
from sashiko_packs.selection.sweep import judge, keeps_margin
from verification.benchmarks.bench import HOME, machine, options, recipe_of, show, table

_MAXIMIZED = {
    "balanced_accuracy": ThresholdSection(metric="balanced_accuracy"),
    "f1": ThresholdSection(metric="f1"),
    "accuracy": ThresholdSection(metric="accuracy"),
}
_FIXED = {
    f"fixed {step / 100:g}": ThresholdSection(policy="fixed", value=step / 100)
    for step in range(1, 100)
}


@dataclass(frozen=True)
class Evaluated:
    """One seed's model at one threshold, on the validation split; `failed` are gates' checks."""

    threshold: float
    bias: float
    auc: float
    accuracy: float
    balanced_accuracy: float
    failed: tuple[str, ...]


@dataclass(frozen=True)
class Setting:
    """A strength with a threshold policy, judged for every seed."""

    strength: float
    policy: str
    by_seed: Sequence[Evaluated]
    gate: BiasGate

    @property
    def lacking(self) -> frozenset[str]:
        """What keeps it from being taken: checks that fail for some seed, and the margin."""
        failed = {name for one in self.by_seed for name in one.failed}
        if not keeps_margin(self.mean("bias"), self.gate):
            failed.add(f"margin of {self.gate.metric}")
        return frozenset(failed)

    def mean(self, name: str) -> float:
        """Returns a figure's arithmetic mean over the seeds."""
        return fmean(getattr(one, name) for one in self.by_seed)

    @property
    def place(self) -> tuple[int, float, float, bool, float]:
        """Sorts the best first: what lacks least, then the highest mean balanced accuracy."""
        fixed, lacking = self.policy in _FIXED, len(self.lacking)
        accuracy, threshold = self.mean("balanced_accuracy"), self.mean("threshold")
        return lacking, -accuracy, self.strength, fixed, threshold


def main() -> None:
    """Prints a Markdown table on stdout, and the choice."""
    chosen = options(__doc__, recipe="census", strengths=[2.0], seeds=[0], home=HOME)
    gate = recipe_of(chosen.recipe).bias.gates[0]
    if gate.metric != "DI":
        sys.exit(f"error: the first bias gate of {chosen.recipe} is of {gate.metric}, not of DI")
    settings: list[Setting] = []

    def rows() -> Iterator[tuple[str, ...]]:
        for strength in sorted(chosen.strengths):
            by_seed = []
            for seed in chosen.seeds:
                overrides = (f"reweighing.strength={strength}", f"train.seed={seed}")
                trained = recipe_of(chosen.recipe, *overrides)
                by_seed.append(_judge(_scored(trained, chosen.home), trained, strength))
            here = [
                Setting(strength, policy, [one[policy] for one in by_seed], gate)
                for policy in by_seed[0]
            ]
            settings.extend(here)
            yield from (_row(setting) for setting in here if setting.policy in _MAXIMIZED)
            fixed = (setting for setting in here if setting.policy in _FIXED)
            yield _row(min(fixed, key=lambda setting: setting.place))

    print(f"`{chosen.recipe}`, validation split only, {len(chosen.seeds)} seeds, {machine()}\n")
    heads = ("strength", "threshold policy", "thresholds", f"{gate.metric}, least to most", "AUC")
    show(table((*heads, "accuracy", "balanced accuracy", "will do"), rows()))
    best = min(settings, key=lambda setting: setting.place)
    if best.lacking:
        print(f"\nNone of {len(settings)} will do.")
        return
    count = sum(not setting.lacking for setting in settings)
    print(
        f"\nTaken, of {count} of {len(settings)} that will do: strength {best.strength:g}, "
        f"threshold policy {best.policy}."
    )


def _scored(recipe: Recipe, home: Path) -> Validation:
    """Trains a recipe's model, and scores validation."""
    run = run_until(COMPILE, recipe, home=home)
    return read_validation(run, load_contract(Path(recipe.contract)), home=home)


def run_until(step: str, recipe: Recipe, *, home: Path) -> RunRecord:
    """Runs the pipeline up to a step; ends the process if it does not come so far."""
    run = run_pipeline(
        load_settings("local"), recipe, home=home, from_step=None, until=step,
        command="python -m verification.benchmarks.choose_on_validation",
    )  # fmt: skip
    if run.status != "partial":
        sys.exit(f"error: run {run.id} ended {run.status}: {run.reason}")
    return run


def _judge(validation: Validation, recipe: Recipe, strength: float) -> dict[str, Evaluated]:
    """Judges a model's validation scores by the gates, under each policy."""
    by_policy = {}
    for policy, threshold in (_MAXIMIZED | _FIXED).items():
        section = recipe.evaluate.model_copy(update={"threshold": threshold})
        with_policy = recipe.model_copy(update={"evaluate": section})
        point = judge(validation, with_policy, strength=strength, run="")
        [bias, *_] = point.bias.values()
        by_policy[policy] = Evaluated(
            threshold=point.threshold,
            bias=math.nan if bias.value is None else bias.value,
            auc=point.quality["auc"].value or 0.0,
            accuracy=point.quality["accuracy"].value or 0.0,
            balanced_accuracy=point.quality["balanced_accuracy"].value or 0.0,
            failed=point.failed,
        )
    return by_policy


def _row(setting: Setting) -> tuple[str, ...]:
    biases = sorted(one.bias for one in setting.by_seed)
    return (
        f"{setting.strength:g}",
        setting.policy,
        ", ".join(f"{one.threshold:.2f}" for one in setting.by_seed),
        f"{biases[0]:.2f} to {biases[-1]:.2f}",
        *(f"{setting.mean(name):.3f}" for name in ("auc", "accuracy", "balanced_accuracy")),
        f"no: {', '.join(sorted(setting.lacking))}" if setting.lacking else "yes",
    )


if __name__ == "__main__":
    main()
