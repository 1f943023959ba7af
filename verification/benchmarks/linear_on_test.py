"""Judges the linear model on the test split, with a setting that was chosen on validation.

    python -m verification.benchmarks.linear_on_test --recipe census --strength 3.5 --threshold 0.5

The model is that of `choose_on_validation --model linear`, the gates are the recipe's own, but for
those over the linear baseline and the champion. Look once, after the choice, and change nothing of
it.
"""

from sashiko.evaluation.metrics.quality import difference
from sashiko.steps.comparators import MAJORITY_THRESHOLD, majority_scores
from sashiko_packs.selection.sweep import judge, threshold_free_quality
from verification.benchmarks.bench import HOME, machine, options, recipe_of, show, table
from verification.benchmarks.bias_over_seeds import with_interval
from verification.benchmarks.choose_on_validation import linear_model


def main() -> None:
    """Prints a Markdown table on stdout."""
    chosen = options(__doc__, recipe="census", strength=2.5, threshold=0.38, home=HOME)
    recipe = recipe_of(chosen.recipe, f"reweighing.strength={chosen.strength}")
    rows = linear_model(recipe, split="test", home=chosen.home)
    fixed_metrics = threshold_free_quality(rows, recipe)
    point = judge(rows, recipe, chosen.threshold, threshold_free=fixed_metrics)
    lead = difference(
        rows.labels, rows.scores, majority_scores(rows.train_labels, rows=len(rows.labels)),
        threshold=chosen.threshold, other_threshold=MAJORITY_THRESHOLD,
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
    cells = ((name, with_interval(estimate)) for name, estimate in figures.items())
    show(table(("figure", "test [95 %]"), cells))
    print(f"\nGates: {', '.join(point.failed) + ' failed' if point.failed else 'all passed'}.")


if __name__ == "__main__":
    main()
