"""What the bias gate decides over training seeds, with the recipe's reweighing and without.

    python -m verification.benchmarks.bias_over_seeds --recipe complaints --seeds 0 1 2 3 4

Runs the real pipeline once per strength and seed, sharing cached steps, and shows the test split.
Choose no setting by it: that is what `verification.benchmarks.choose_on_validation` is for.
"""

import argparse
from pathlib import Path

from sashiko.evaluation.gates.estimates import INTERVALS_FILE, read_estimates
from sashiko.evaluation.metrics.uncertainty import Estimate
from sashiko.evaluation.record import METRICS_FILE, read_evaluation
from sashiko.settings.bias import BiasGate
from sashiko.settings.recipe import load_recipe
from verification.benchmarks.runs import HOME, Run, machine, run

_COLUMNS = (
    "strength|seed|threshold|{metric} [95 %]|AUC [95 %]|accuracy"
    "|lead over majority [95 %]|linear AUC|status"
)


def main() -> None:
    """Prints a Markdown table on stdout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", required=True, help="a recipe's name")
    parser.add_argument("--strengths", nargs="+", type=float, help="default: 0 and the recipe's")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--home", type=Path, default=HOME, help="the benchmarks' state")
    arguments = parser.parse_args()
    recipe = load_recipe(Path("recipes") / f"{arguments.recipe}.yaml")
    gate = recipe.bias.gates[0]

    print(f"`{recipe.name}` on {machine()}\n")
    print(f"|{_COLUMNS.format(metric=gate.metric)}|\n" + "|---" * 9 + "|", flush=True)
    for strength in arguments.strengths or (0.0, recipe.reweighing.strength):
        for seed in arguments.seeds:
            overrides = [f"reweighing.strength={strength}", f"train.seed={seed}"]
            result = run(arguments.recipe, overrides=overrides, home=arguments.home)
            print(f"|{strength:g}|{seed}|{describe(result, gate)}|", flush=True)


def describe(result: Run, gate: BiasGate) -> str:
    """Writes what a run found on the test split as the rest of a table's line."""
    evaluation = read_evaluation(result.output("Evaluate", "metrics") / METRICS_FILE)
    estimates = read_estimates(result.output("JudgeBias", "intervals") / INTERVALS_FILE)
    metric = next(
        item for item in estimates if (item.metric, item.facet) == (gate.metric, gate.facet)
    )
    bias = Estimate(metric.value, metric.low, metric.high)
    candidate, linear = evaluation.candidate, evaluation.others["tfidf_logistic_regression"]
    return "|".join(
        (
            f"{evaluation.threshold:.3f}",
            format_estimate(bias),
            format_estimate(candidate["auc"]),
            f"{candidate['accuracy'].value:.3f}",
            format_estimate(evaluation.leads["majority"]["accuracy"]),
            f"{linear['auc'].value:.3f}",
            result.record.status,
        )
    )


def format_estimate(estimate: Estimate) -> str:
    """Writes a value with its interval."""
    if estimate.value is None:
        return "undefined"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


if __name__ == "__main__":
    main()
