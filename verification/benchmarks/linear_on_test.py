"""Judges the linear model on the test split, with a setting that was chosen on validation.

    python -m verification.benchmarks.linear_on_test --recipe census --strength 3.5 --threshold 0.5

The model is that of `choose_on_validation --model linear`, the gates are the recipe's
own, but for those over the linear baseline and the champion. Look once, after the choice, and
change nothing of it.
"""

import argparse
from pathlib import Path

from sashiko.evaluation.metrics.quality import difference
from sashiko.pipeline.sweep.points import judge, threshold_free_quality
from sashiko.settings.recipe import load_recipe
from sashiko.steps.baselines import MAJORITY_THRESHOLD, majority_scores
from verification.benchmarks.bias_over_seeds import format_estimate
from verification.benchmarks.choose_on_validation import linear_model
from verification.benchmarks.runs import HOME, machine


def main() -> None:
    """Prints a Markdown table on stdout."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipe", required=True, help="a recipe's name")
    parser.add_argument("--strength", type=float, required=True, help="of the reweighing")
    parser.add_argument("--threshold", type=float, required=True)
    parser.add_argument("--home", type=Path, default=HOME, help="the benchmarks' state")
    arguments = parser.parse_args()
    recipe = load_recipe(
        Path("recipes") / f"{arguments.recipe}.yaml",
        overrides=(f"reweighing.strength={arguments.strength}",),
    )
    rows = linear_model(recipe, split="test", home=arguments.home)
    fixed_metrics = threshold_free_quality(rows, recipe)
    point = judge(rows, recipe, arguments.threshold, threshold_free=fixed_metrics)
    lead = difference(
        rows.labels, rows.scores, majority_scores(rows.train_labels, rows=len(rows.labels)),
        threshold=arguments.threshold, other_threshold=MAJORITY_THRESHOLD,
        replicates=recipe.evaluate.bootstrap_replicates, seed=recipe.evaluate.seed,
    )  # fmt: skip
    figures = {
        "AUC": fixed_metrics.quality["auc"],
        "accuracy": point.quality["accuracy"],
        "accuracy lead over majority": lead["accuracy"],
        "balanced accuracy": point.quality["balanced_accuracy"],
        **point.bias,
    }
    print(f"`{recipe.name}`, the linear model, test split, {machine()}\n")
    print("|figure|test [95 %]|\n|---|---|")
    for name, values in figures.items():
        print(f"|{name}|{format_estimate(values)}|")
    print(f"\nGates: {', '.join(point.failed) + ' failed' if point.failed else 'all passed'}.")


if __name__ == "__main__":
    main()
