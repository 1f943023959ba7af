"""Chooses reweighing strength and threshold on the validation split. It never reads test.

    python -m benchmarks.choose_on_validation --recipe census --strengths 2 3 4 --seeds 0 1 2
    python -m benchmarks.choose_on_validation --recipe census --model linear --strengths 2 3 4

Runs the real pipeline up to the compiled model once per strength and training seed, as `sashiko run
--sweep` does for one seed, and judges the validation scores under each threshold policy by the
recipe's own gates. A policy is a metric that is maximised for each seed, or one fixed threshold for
all seeds: each hundredth from 0.01 to 0.99.

The rule, stated before any search: a pair of strength and policy will do if, for every seed, each
quality gate passes and the gated bias metric is inside its bounds, and its mean over the seeds
keeps half of the distance (as a ratio) between 1 and each bound, as a margin for new rows. Of those
that will do, the one with the highest mean balanced accuracy is taken; of equal ones the lower
strength, then a maximised metric before a fixed threshold.

`--model linear` puts the linear baseline, fitted with the same weights, in the fine-tuned model's
place, under the same rule; it has no training seed. A recipe takes what the rule takes for the
fine-tuned model, even where the linear one is better: then README and docs say so. The test split
is looked at once, after the choice, and changes nothing of it: if the gates block there, the recipe
ships blocked.

Leads over the linear baseline and the champion are not asked for: a lead under drift cannot be seen
before the drift, and a time split puts validation before it.
"""

import argparse
import math
import statistics
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.runs import machine
from sashiko.contract.model import load_contract
from sashiko.local_run import run_pipeline
from sashiko.recipe import Recipe, load_recipe
from sashiko.recipe_bias import BiasGate
from sashiko.recipe_quality import ThresholdSection
from sashiko.settings import load_settings
from sashiko.steps.comparators import decide_threshold
from sashiko.sweep.margin import keeps_margin
from sashiko.sweep.points import judge, whatever_the_threshold
from sashiko.sweep.validation import LAST_STEP, read_validation

MAXIMIZED = {
    "balanced_accuracy": ThresholdSection(metric="balanced_accuracy"),
    "f1": ThresholdSection(metric="f1"),
    "accuracy": ThresholdSection(metric="accuracy"),
}


@dataclass(frozen=True)
class Found:
    """One seed's model at one threshold, on the validation split."""

    threshold: float
    bias: float
    auc: float
    accuracy: float
    balanced_accuracy: float
    gates_pass: bool


def main() -> None:
    """Prints a Markdown table on stdout, and the choice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", required=True, help="a recipe's name")
    parser.add_argument("--strengths", nargs="+", type=float, required=True)
    parser.add_argument("--seeds", nargs="+", type=int, required=True, help="of the training")
    parser.add_argument("--fixed", nargs="+", type=float, default=[0.5], help="fixed thresholds")
    parser.add_argument("--home", type=Path, default=Path(".sashiko"))
    arguments = parser.parse_args()
    policies = MAXIMIZED | {
        f"fixed {value:g}": ThresholdSection(policy="fixed", value=value)
        for value in arguments.fixed
    }
    path = Path("recipes") / f"{arguments.recipe}.yaml"
    recipe = load_recipe(path)
    gate = recipe.bias.gates[0]
    if gate.metric != "DI":
        parser.error(f"the first bias gate of {recipe.name} is of {gate.metric}, not of DI")

    print(f"`{recipe.name}`, validation split only, {len(arguments.seeds)} seeds, {machine()}\n")
    print(
        f"|strength|threshold policy|thresholds|{gate.metric}, least to most|AUC|accuracy"
        "|balanced accuracy|will do|\n" + "|---" * 8 + "|",
        flush=True,
    )
    will_do: dict[tuple[float, str], float] = {}
    for strength in arguments.strengths:
        found_by: dict[str, list[Found]] = {policy: [] for policy in policies}
        for seed in arguments.seeds:
            overrides = (f"reweighing.strength={strength}", f"train.seed={seed}")
            trained = load_recipe(path, overrides=overrides)
            for policy, one in judged(trained, policies, home=arguments.home):
                found_by[policy].append(one)
        for policy, found in found_by.items():
            passed = all(item.gates_pass for item in found) and keeps_its_distance(found, gate)
            if passed:
                will_do[strength, policy] = mean(item.balanced_accuracy for item in found)
            print(row(strength, policy, found, passed=passed), flush=True)
    if not will_do:
        print("\nNone will do.")
        return
    strength, policy = max(will_do, key=lambda pair: will_do[pair])
    print(f"\nTaken: strength {strength:g}, threshold policy {policy}.")


def judged(
    recipe: Recipe, policies: Mapping[str, ThresholdSection], *, home: Path
) -> Iterator[tuple[str, Found]]:
    """Trains a recipe's model and holds its validation scores against the gates, by policy."""
    run = run_pipeline(
        load_settings("local"), recipe, home=home, from_step=None, until=LAST_STEP,
        command="python -m benchmarks.choose_on_validation",
    )  # fmt: skip
    if run.status != "partial":
        sys.exit(f"error: run {run.id} ended {run.status}: {run.reason}")
    validation = read_validation(run, load_contract(Path(recipe.contract)), home=home)
    unmoved = whatever_the_threshold(validation, recipe)
    for policy, section in policies.items():
        threshold = decide_threshold(section, validation.labels, validation.scores).threshold
        point = judge(validation, recipe, threshold, unmoved=unmoved)
        [bias, *_] = point.bias.values()
        yield (
            policy,
            Found(
                threshold=threshold,
                bias=math.nan if bias.value is None else bias.value,
                auc=unmoved.quality["auc"].value or 0.0,
                accuracy=point.quality["accuracy"].value or 0.0,
                balanced_accuracy=point.quality["balanced_accuracy"].value or 0.0,
                gates_pass=not point.failed,
            ),
        )


def keeps_its_distance(found: list[Found], gate: BiasGate) -> bool:
    """Says whether the mean over the seeds is in the inner half of the gate's bounds."""
    return keeps_margin(mean(item.bias for item in found), gate)


def mean(values: Iterator[float]) -> float:
    """Returns the arithmetic mean."""
    return statistics.fmean(values)


def row(strength: float, policy: str, found: list[Found], *, passed: bool) -> str:
    """Writes a line of the table."""
    biases = sorted(item.bias for item in found)
    thresholds = ", ".join(f"{item.threshold:.2f}" for item in found)
    return (
        f"|{strength:g}|{policy}|{thresholds}|{biases[0]:.2f} to {biases[-1]:.2f}"
        f"|{mean(item.auc for item in found):.3f}|{mean(item.accuracy for item in found):.3f}"
        f"|{mean(item.balanced_accuracy for item in found):.3f}|{'yes' if passed else 'no'}|"
    )


if __name__ == "__main__":
    main()
