"""How long LoRA takes to an AUC, against TRL's SFTTrainer.

    python -m verification.benchmarks.fine_tuning_causal

Both train the recipe's adapter on the same rows from the same seed, in turns, as `fine_tuning`
does. TRL has its own objective, the whole answer up to the token that ends it, and of its defaults
only gradient checkpointing is off, which costs time. The target is the AUC that TRL has at its end.
Of each contender the fastest round counts.
"""

import sys
import tempfile
from pathlib import Path

from sashiko.pipeline.runner.store import Store
from sashiko.pipeline.staging import weights_uri
from sashiko.settings.environment import load_settings
from verification.benchmarks import bench
from verification.benchmarks.choose_on_validation import run_until
from verification.benchmarks.fine_tuning import (
    OUR_LOOP,
    OURS,
    Curve,
    link_data,
    seconds_cell,
    train,
)
from verification.benchmarks.fine_tuning_job import Job

_PROMISED = 1.5
_TRL = "TRL's SFTTrainer"


def main() -> None:
    """Prints a Markdown table on stdout; exits with 1 where the ratio is below the promised one."""
    chosen = bench.options(
        __doc__, recipe="complaints-llm", home=bench.HOME, threads=2, rows=640, validation_rows=200,
        every=320, rounds=2,
    )  # fmt: skip
    contenders = {OURS: OUR_LOOP, _TRL: (bench.peer_python("trl"), "fine_tuning_trl")}
    overrides = (
        f"data.train_rows={chosen.rows}", f"data.validation_rows={chosen.validation_rows}"
    )  # fmt: skip
    recipe = bench.recipe_of(chosen.recipe, *overrides)
    prepared = bench.Run(run_until("Weights", recipe, home=chosen.home), chosen.home)
    weights = weights_uri(load_settings("local"), recipe)
    with tempfile.TemporaryDirectory(prefix="sashiko-benchmark-") as folder:
        labels = link_data(prepared, Path(folder))
        job = Job(
            data=folder,
            model=str(Store(chosen.home / "s3").path(weights).resolve()),
            output=f"{folder}/curve.npz",
            every_rows=chosen.every,
            hyperparameters=recipe.hyperparameters.model_dump(mode="json"),
        )
        rounds: dict[str, list[Curve]] = {name: [] for name in contenders}
        for _ in range(chosen.rounds):
            for name, contender in contenders.items():
                rounds[name].append(train(job, contender, labels, threads=chosen.threads))
    # A round's AUCs are all the same.
    ours, theirs = (min(rounds[name], key=lambda one: one.seconds[-1]) for name in contenders)
    target = float(theirs.auc[-1])
    ratio = theirs.seconds_to(target) / ours.seconds_to(target)
    whole, cpu = (
        getattr(theirs, of)[-1] / getattr(ours, of)[-1] for of in ("seconds", "cpu_seconds")
    )
    print(
        f"`{chosen.recipe}` without reweighing, {chosen.rows} rows, on {bench.machine()}, "
        f"{chosen.threads} threads.\n"
    )
    rows = [
        (name, seconds_cell(curve.seconds_to(target)), f"{curve.seconds[-1]:.1f}",
         f"{curve.cpu_seconds[-1]:.1f}", f"{curve.auc[-1]:.3f}")
        for name, curve in ((OURS, ours), (_TRL, theirs))
    ]  # fmt: skip
    rows.append(("TRL : ours", f"**{ratio:.1f}**", f"{whole:.1f}", f"{cpu:.1f}", ""))
    to_target = f"s to the AUC {target:.3f}"
    bench.show(
        bench.table(("", to_target, "whole training, s", "processor, s", "AUC at its end"), rows)
    )
    sys.exit(0 if ratio >= _PROMISED else 1)


if __name__ == "__main__":
    main()
