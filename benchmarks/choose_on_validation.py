"""Chooses reweighing strength and threshold policy on the validation split. It never reads test.

    python -m benchmarks.choose_on_validation --recipe census --strengths 1 1.5 2 2.5 --seeds 0 1 2

Runs the real pipeline once per strength and training seed, and judges its validation scores under
each threshold policy by the recipe's own gates. The rule: a pair of strength and policy will do if,
for every seed, each quality gate passes and the gated bias metric is inside its bounds, and its
mean over the seeds keeps half of the distance (as a ratio) between 1 and each bound, as a margin
for new rows. Of those that will do, the one with the highest mean balanced accuracy is taken.

Leads over the linear baseline and the champion are not asked for: a lead under drift cannot be seen
before the drift, and a time split puts validation before it.
"""

import argparse
import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from benchmarks.runs import Run, machine, run
from sashiko.contract.model import Contract, load_contract
from sashiko.gates.quality import quality_checks
from sashiko.metrics.arrays import Ints
from sashiko.metrics.bias import measure
from sashiko.metrics.counts import binary_counts
from sashiko.metrics.quality import difference, evaluate_scores
from sashiko.recipe import BiasGate, Recipe, load_recipe
from sashiko.recipe_quality import QualitySection, ThresholdSection
from sashiko.steps.baselines import MAJORITY, MAJORITY_THRESHOLD, majority_scores
from sashiko.steps.comparators import decide_threshold

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
    recipe = load_recipe(Path("recipes") / f"{arguments.recipe}.yaml")
    contract, gate = load_contract(Path(recipe.contract)), recipe.bias.gates[0]
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
        runs = [
            run(
                arguments.recipe,
                overrides=[f"reweighing.strength={strength}", f"train.seed={seed}"],
                home=arguments.home,
            )
            for seed in arguments.seeds
        ]
        for policy, section in policies.items():
            found = [judge(item, recipe, contract, section) for item in runs]
            passed = all(item.gates_pass for item in found) and keeps_its_distance(found, gate)
            if passed:
                will_do[strength, policy] = mean(item.balanced_accuracy for item in found)
            print(row(strength, policy, found, passed=passed), flush=True)
    if not will_do:
        print("\nNone will do.")
        return
    strength, policy = max(will_do, key=lambda pair: will_do[pair])
    print(f"\nTaken: strength {strength:g}, threshold policy {policy}.")


def judge(done: Run, recipe: Recipe, contract: Contract, section: ThresholdSection) -> Found:
    """Holds a run's validation scores against the recipe's gates."""
    rows = done.predictions("validation")
    labels, scores = rows["label"].to_numpy(), rows["score"].to_numpy()
    threshold = decide_threshold(section, labels, scores).threshold
    sampling = {"replicates": recipe.evaluate.bootstrap_replicates, "seed": recipe.evaluate.seed}
    metrics = evaluate_scores(labels, scores, threshold=threshold, **sampling)
    majority = majority_scores(train_labels(done), rows=len(labels))
    lead = difference(
        labels, scores, majority,
        threshold=threshold, other_threshold=MAJORITY_THRESHOLD, **sampling,
    )  # fmt: skip
    gate = recipe.bias.gates[0]
    harmed = done.is_disadvantaged(rows, contract, gate.facet).to_numpy(zero_copy_only=False)
    bias = measure(gate.metric, binary_counts(harmed, labels == 1, scores >= threshold)).value
    asked = tuple(item for item in recipe.quality.gates if item.better_than in (None, MAJORITY))
    checks = quality_checks(QualitySection(gates=asked), metrics, {MAJORITY: lead})
    return Found(
        threshold=threshold,
        bias=math.nan if bias is None else bias,
        auc=metrics["auc"].value or 0.0,
        accuracy=metrics["accuracy"].value or 0.0,
        balanced_accuracy=metrics["balanced_accuracy"].value or 0.0,
        gates_pass=all(check.passed for check in checks) and within(bias, gate),
    )


def train_labels(done: Run) -> Ints:
    """Reads the labels of the train split, int64."""
    table = pq.read_table(done.output("Prepare", "train") / "data.parquet", columns=["label"])
    return table["label"].to_numpy().astype(np.int64)


def within(value: float | None, gate: BiasGate, *, share: float = 1.0) -> bool:
    """Says whether a ratio is inside the gate's bounds, each drawn towards 1 to `share` of it."""
    if value is None or math.isnan(value):
        return False
    low = 0.0 if gate.minimum is None else gate.minimum**share
    high = math.inf if gate.maximum is None else gate.maximum**share
    return low <= value <= high


def keeps_its_distance(found: list[Found], gate: BiasGate) -> bool:
    """Says whether the mean over the seeds is in the inner half of the gate's bounds."""
    return within(mean(item.bias for item in found), gate, share=0.5)


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
