"""How long LoRA takes to an AUC, against TRL's SFTTrainer.

    python -m verification.benchmarks.fine_tuning_causal

Both train the recipe's adapter (rank, alpha, layers, rate, batch size, warm-up, bf16) on the same
rows, without reweighing, from the same seed, in a process of their own with the same number of
threads, in turns. TRL has its own objective, the whole answer up to the token that ends it, and of
its defaults only gradient checkpointing is off, which costs time. Every so many rows the watch
stands still and the model scores the validation rows in float32, as P(yes) among the two answers.
Time starts with the tokenizer. The target is the AUC that TRL has at its end; the time to it is
that of the first evaluation to reach it. Of each contender the fastest round counts.
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from sashiko.pipeline.local_run import run_pipeline
from sashiko.pipeline.runner.store import Store
from sashiko.pipeline.staging import weights_uri
from sashiko.settings.environment import load_settings
from sashiko.settings.recipe import Recipe, load_recipe
from verification.benchmarks.fine_tuning import OUR_LOOP, Curve, link_data, train
from verification.benchmarks.fine_tuning_job import Job
from verification.benchmarks.runs import HOME, Run, machine

_PEER = (".venv-trl/bin/python", "fine_tuning_trl")
_PROMISED = 1.5
_OURS, _TRL = "ours", "TRL's SFTTrainer"
_CONTENDERS = {_OURS: OUR_LOOP, _TRL: _PEER}


def main() -> None:
    """Prints a Markdown table on stdout; exits with 1 where the ratio is below the promised one."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipe", default="complaints-llm", help="a recipe's name")
    parser.add_argument("--home", type=Path, default=HOME, help="the benchmarks' state")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rows", type=int, default=640, help="of training")
    parser.add_argument("--validation-rows", type=int, default=200)
    parser.add_argument("--every", type=int, default=320, help="training rows, between evaluations")
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    if not Path(_PEER[0]).exists():
        parser.error("TRL has an environment of its own: run `make .venv-trl/.done` first")
    recipe = load_recipe(
        Path("recipes") / f"{options.recipe}.yaml",
        overrides=(
            f"data.train_rows={options.rows}",
            f"data.validation_rows={options.validation_rows}",
        ),
    )
    with tempfile.TemporaryDirectory(prefix="sashiko-benchmark-") as folder:
        rounds = measure(
            recipe,
            home=options.home,
            folder=Path(folder),
            every=options.every,
            threads=options.threads,
            rounds=options.rounds,
        )
    print(
        f"`{options.recipe}` without reweighing, {options.rows} rows, on {machine()}, "
        f"{options.threads} threads.\n"
    )
    ratio = print_table({name: fastest(curves) for name, curves in rounds.items()})
    sys.exit(0 if ratio >= _PROMISED else 1)


def measure(
    recipe: Recipe, *, home: Path, folder: Path, every: int, threads: int, rounds: int
) -> dict[str, list[Curve]]:
    """Trains each contender in turns.

    Args:
        recipe: of a causal LM.
        home: the local state.
        folder: for the files of the trainings.
        every: training rows from one evaluation to the next.
        threads: of each training.
        rounds: how often each contender trains.
    """
    settings = load_settings("local")
    run = run_pipeline(
        settings, recipe, home=home, from_step=None, until="Weights",
        command="python -m verification.benchmarks.fine_tuning_causal",
    )  # fmt: skip
    if run.status != "partial":
        sys.exit(f"error: run {run.id} ended {run.status}: {run.reason}")
    labels = link_data(Run(run, home), folder)
    job = Job(
        data=str(folder),
        model=str(Store(home / "s3").path(weights_uri(settings, recipe)).resolve()),
        output=str(folder / "curve.npz"),
        every_rows=every,
        hyperparameters=recipe.hyperparameters.model_dump(mode="json"),
    )
    curves: dict[str, list[Curve]] = {name: [] for name in _CONTENDERS}
    for _ in range(rounds):
        for name, peer in _CONTENDERS.items():
            curves[name].append(train(name, job, peer, labels=labels, threads=threads))
    return curves


def fastest(curves: list[Curve]) -> Curve:
    """Returns the curve of the round that took the least time; a round's AUCs are all the same."""
    return min(curves, key=lambda curve: curve.seconds[-1])


def print_table(curves: Mapping[str, Curve]) -> float:
    """Prints seconds and AUCs; returns how many times faster ours reaches the target.

    The ratio is 0 where ours does not reach it.
    """
    target = float(curves[_TRL].auc[-1])
    heads = (f"s to the AUC {target:.3f}", "whole training, s", "processor, s", "AUC at its end")
    print(f"| | {' | '.join(heads)} |\n{'|---' * (len(heads) + 1)}|")
    for name, curve in curves.items():
        seconds = curve.seconds_to(target)
        reached = "never" if seconds is None else f"{seconds:.1f}"
        print(
            f"| {name} | {reached} | {curve.seconds[-1]:.1f} | {curve.cpu_seconds[-1]:.1f} "
            f"| {curve.auc[-1]:.3f} |"
        )
    theirs, ours = curves[_TRL], curves[_OURS]
    reached_target = ours.seconds_to(target)
    ratio = (theirs.seconds_to(target) or 0.0) / reached_target if reached_target else 0.0
    whole, cpu = (
        a[-1] / b[-1]
        for a, b in ((theirs.seconds, ours.seconds), (theirs.cpu_seconds, ours.cpu_seconds))
    )
    print(f"| TRL : ours | **{ratio:.1f}** | {whole:.1f} | {cpu:.1f} | |")
    return ratio


if __name__ == "__main__":
    main()
