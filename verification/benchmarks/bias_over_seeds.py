"""What the bias gate decides over training seeds, with the recipe's reweighing and without.

    python -m verification.benchmarks.bias_over_seeds --recipe complaints --seeds 0 1 2 3 4

Runs the real pipeline once per strength (0 and the recipe's unless others are given) and seed,
sharing cached steps, and shows the test split. Choose no setting by it: that is what
`verification.benchmarks.choose_on_validation` is for.
"""

from collections.abc import Iterator

from sashiko.bias.gates.estimates import INTERVALS_FILE, read_estimates
from sashiko.evaluation.evaluation_record import METRICS_FILE, read_evaluation
from sashiko.evaluation.metrics.uncertainty import Estimate
from sashiko.settings.recipe_bias import BiasGate
from sashiko.settings.recipe_quality import CLASS_BASELINES, NUMBER_BASELINES
from verification.benchmarks.bench import HOME, Run, machine, options, recipe_of, run, show, table


def main() -> None:
    """Prints a Markdown table on stdout."""
    chosen = options(
        __doc__, recipe="complaints", strengths=[float], seeds=[0, 1, 2, 3, 4], home=HOME
    )
    recipe = recipe_of(chosen.recipe)
    gate = recipe.bias.gates[0]
    strengths = chosen.strengths or (0.0, recipe.reweighing.strength)

    def rows() -> Iterator[tuple[str, ...]]:
        for strength in strengths:
            for seed in chosen.seeds:
                overrides = (f"reweighing.strength={strength}", f"train.seed={seed}")
                result = run(chosen.recipe, *overrides, home=chosen.home)
                yield f"{strength:g}", str(seed), *of_test_split(result, gate)

    print(f"`{recipe.name}` on {machine()}\n")
    show(table(("strength", "seed", *test_heads(gate)), rows()))


def test_heads(gate: BiasGate) -> tuple[str, ...]:
    """Returns the heads of the columns of `of_test_split`."""
    lead = "lead over the simplest model [95 %]"
    metric = f"{gate.metric} [95 %]"
    # By the label: of two classes, of more, or a number.
    main, second = "AUC, F1 or R2", "accuracy or MAE"
    return "threshold", metric, f"{main} [95 %]", second, lead, f"linear {main}", "status"


def of_test_split(result: Run, gate: BiasGate) -> tuple[str, ...]:
    """Returns what a run came to on the test split; the lead is in the accuracy or the MAE."""
    evaluation = read_evaluation(result.output("Evaluate", "metrics") / METRICS_FILE)
    [metric] = [
        item
        for item in read_estimates(result.output("JudgeBias", "intervals") / INTERVALS_FILE)
        if (item.metric, item.facet) == (gate.metric, gate.facet)
    ][:1]
    simplest, linear = CLASS_BASELINES if evaluation.number is None else NUMBER_BASELINES
    main, second = evaluation.compared
    candidate, others = evaluation.candidate, evaluation.others
    return (
        f"{evaluation.threshold:.3f}",
        with_interval(Estimate(metric.value, metric.low, metric.high)),
        with_interval(candidate[main]),
        f"{candidate[second].value:.3f}",
        with_interval(evaluation.leads[simplest][second]),
        f"{others[linear][main].value:.3f}" if linear in others else "itself",
        result.record.status,
    )


def with_interval(estimate: Estimate) -> str:
    """Writes a value with its interval."""
    if estimate.value is None:
        return "undefined"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


if __name__ == "__main__":
    main()
