"""The bias gate's value over training seeds and reweighing strengths, on validation and on test.

    python -m benchmarks.bias_over_seeds --recipe complaints --strengths 0 1 1.5 --seeds 0 1 2 3 4

Runs the real pipeline (`sashiko run --set ...`) once per pair, sharing cached steps. A strength is
chosen by the validation columns; the test columns say what came of it.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from sashiko.contract.model import Contract, load_contract
from sashiko.evaluation import METRICS_FILE, read_evaluation
from sashiko.gates.estimates import INTERVALS_FILE, read_estimates
from sashiko.recipe import load_recipe
from sashiko.runner.record import RunRecord, read_run
from sashiko.runner.store import Store


@dataclass(frozen=True)
class Line:
    """One run: DI of the gated facet on both splits, and the quality on test."""

    strength: float
    seed: int
    threshold: float
    validation_di: float
    test_di: float
    test_interval: str
    auc: float
    accuracy: float
    linear_auc: float
    status: str


def main() -> None:
    """Prints a Markdown table on stdout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", required=True, help="a recipe's name")
    parser.add_argument("--strengths", nargs="+", type=float, help="default: the recipe's own")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--set", action="append", default=[], help="more overrides of the recipe")
    parser.add_argument("--home", type=Path, default=Path(".sashiko"))
    arguments = parser.parse_args()
    own = load_recipe(Path("recipes") / f"{arguments.recipe}.yaml").reweighing.strength

    print(f"{arguments.recipe} on {platform.machine()}, {os.cpu_count()} cores\n")
    columns = "strength|seed|threshold|DI validation|DI test [95 %]|AUC|accuracy|linear AUC|status"
    print("|" + columns + "|\n|" + "---|" * 9, flush=True)
    for strength in arguments.strengths or [own]:
        for seed in arguments.seeds:
            overrides = [f"reweighing.strength={strength}", f"train.seed={seed}", *arguments.set]
            record = run(arguments.recipe, overrides=overrides, home=arguments.home)
            line = describe(
                record, arguments.recipe, strength=strength, seed=seed, home=arguments.home
            )
            print(
                f"|{line.strength:g}|{line.seed}|{line.threshold:.3f}|{line.validation_di:.3f}"
                f"|{line.test_di:.3f} {line.test_interval}|{line.auc:.3f}|{line.accuracy:.3f}"
                f"|{line.linear_auc:.3f}|{line.status}|",
                flush=True,
            )


def run(recipe: str, *, overrides: list[str], home: Path) -> RunRecord:
    """Runs the pipeline with the overrides; a model that a gate blocks counts too."""
    command = ["sashiko", "run", "--recipe", recipe, "--home", str(home), "--json"]
    for override in overrides:
        command += ["--set", override]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode not in (0, 3):
        sys.exit(f"error: {' '.join(command)} ended with status {done.returncode}")
    return read_run(home / "runs" / json.loads(done.stdout)["id"])


def describe(record: RunRecord, recipe: str, *, strength: float, seed: int, home: Path) -> Line:
    """Reads what a run found."""
    store = Store(home / "s3")

    def output(step: str, name: str) -> Path:
        return store.path(record.step(step).outputs[name].uri)

    evaluation = read_evaluation(output("Evaluate", "metrics") / METRICS_FILE)
    settings = load_recipe(Path("recipes") / f"{recipe}.yaml")
    gate = settings.bias.gates[0]
    estimates = read_estimates(output("JudgeBias", "intervals") / INTERVALS_FILE)
    judged = next(
        item for item in estimates if (item.metric, item.facet) == (gate.metric, gate.facet)
    )
    validation = validation_di(
        load_contract(Path(settings.contract)),
        facet=gate.facet,
        predictions=output("Evaluate", "predictions"),
        facets=output("SnapshotFacets", "data"),
    )
    return Line(
        strength=strength,
        seed=seed,
        threshold=evaluation.threshold,
        validation_di=validation,
        test_di=judged.value or 0.0,
        test_interval=f"[{judged.low or 0:.2f}, {judged.high or 0:.2f}]",
        auc=evaluation.candidate["auc"].value or 0.0,
        accuracy=evaluation.candidate["accuracy"].value or 0.0,
        linear_auc=evaluation.others["tfidf_logistic_regression"]["auc"].value or 0.0,
        status=record.status,
    )


def validation_di(contract: Contract, *, facet: str, predictions: Path, facets: Path) -> float:
    """Disparate impact on the validation split: the groups' rates of positive predictions."""
    predicted = pq.read_table(predictions / "predictions.parquet")
    predicted = predicted.filter(pc.equal(predicted["split"], "validation"))
    groups = pq.read_table(facets / "data.parquet", columns=[contract.key, facet])
    keys = groups.rename_columns(["key", facet]).set_column(
        0, "key", pc.cast(groups[contract.key], "string")
    )
    joined = predicted.join(keys, keys="key", join_type="inner")
    group = next(item for item in contract.facets if item.column == facet)
    is_group = pc.is_in(joined[facet], value_set=pc.cast(list(group.disadvantaged), "string"))
    harmed = joined.filter(is_group)["predicted"]
    others = joined.filter(pc.invert(is_group))["predicted"]
    return pc.mean(harmed).as_py() / pc.mean(others).as_py()


if __name__ == "__main__":
    main()
