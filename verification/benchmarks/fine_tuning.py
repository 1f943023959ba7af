"""How long fine-tuning takes to an AUC, against Hugging Face's Trainer with its defaults.

    python -m verification.benchmarks.fine_tuning --plot docs/images/fine-tuning.svg

Both train the recipe's model on Prepare's training rows, without reweighing, from the same seed,
in a process of their own with the same number of threads, one after the other. Every so many rows
the watch stands still and the model scores the validation rows in float32. Time starts with the
tokenizer and includes checkpoints as each writes them. A target is the AUC that Trainer with its
defaults has after one of its epochs; the time to it is that of the first evaluation to reach it.

Two more rows say where a difference comes from: Trainer with the recipe's hyperparameters (epochs,
batch size, learning rate, warm-up, weight decay, dropout, frozen layers), and the same in bfloat16.
What is left between that one and ours is the code: batches of similar length, plain attention.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from markupsafe import Markup
from sklearn.metrics import roc_auc_score

from sashiko.pipeline.runner.store import Store
from sashiko.report.svg import DARK, INK, LIGHT, MUTED, axes_of, new_figure, styled, to_svg
from sashiko.settings.recipe import load_recipe
from sashiko.settings.train import Hyperparameters
from verification.benchmarks.fine_tuning_job import Job
from verification.benchmarks.runs import HOME, Run, machine, run

OUR_LOOP = (sys.executable, "fine_tuning_ours")
_PEER = (".venv-trainer/bin/python", "fine_tuning_trainer")
_EPOCHS = 3  # Trainer's default
_PROMISED = 2
_DEFAULTS, _OURS = "Trainer, its defaults", "ours"
_SAME, _SAME_BF16 = "Trainer, our hyperparameters", "Trainer, ours and bf16"
_LINES = {
    _DEFAULTS: {"color": LIGHT, "linewidth": 2.4},
    _OURS: {"color": DARK, "linewidth": 2.4},
    _SAME: {"color": MUTED, "linewidth": 1.4, "linestyle": (0, (5, 2))},
    _SAME_BF16: {"color": MUTED, "linewidth": 1.4, "linestyle": (0, (1, 1))},
}


@dataclass(frozen=True)
class Curve:
    """One training: rows, seconds, those of the processor, and validation AUC at evaluations."""

    rows: npt.NDArray[np.int64]
    seconds: npt.NDArray[np.float64]
    cpu_seconds: npt.NDArray[np.float64]
    auc: npt.NDArray[np.float64]

    def seconds_to(self, auc: float) -> float | None:
        """Returns when an AUC is first reached, None if never."""
        reached = np.flatnonzero(self.auc >= auc)
        return float(self.seconds[reached[0]]) if len(reached) else None


def main() -> None:
    """Prints a Markdown table on stdout; exits with 1 where a ratio is below the promised one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="complaints", help="a recipe's name")
    parser.add_argument("--home", type=Path, default=HOME, help="the benchmarks' state")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE",
                        help="another value in the recipe's train section, for ours")  # fmt: skip
    parser.add_argument("--every", type=int, default=320, help="training rows, between evaluations")
    parser.add_argument("--plot", type=Path, help="an SVG of AUC by time, to be written")
    options = parser.parse_args()
    if not Path(_PEER[0]).exists():
        parser.error("Trainer has an environment of its own: run `make .venv-trainer/.done` first")
    result = run(options.recipe, overrides=[], home=options.home)
    with tempfile.TemporaryDirectory(prefix="sashiko-benchmark-") as folder:
        labels = link_data(result, Path(folder))
        settings = load_recipe(
            Path("recipes") / f"{options.recipe}.yaml", overrides=tuple(options.overrides)
        ).hyperparameters
        jobs = contenders(settings, result, folder=Path(folder), every=options.every)
        curves = {
            name: train(
                name,
                job,
                OUR_LOOP if name == _OURS else _PEER,
                labels=labels,
                threads=options.threads,
            )
            for name, job in jobs.items()
        }
    targets = epoch_ends(curves[_DEFAULTS])
    print(f"`{options.recipe}` without reweighing on {machine()}, {options.threads} threads.\n")
    print_table(curves, targets)
    if options.plot:
        options.plot.write_text(f"{picture(curves, targets)}\n")
    sys.exit(0 if all(ratio >= _PROMISED for ratio in ratios(curves, targets)) else 1)


def link_data(result: Run, folder: Path) -> npt.NDArray[np.int64]:
    """Puts Prepare's splits where a job has them.

    Returns:
        The labels of the validation rows.
    """
    for name in ("train", "validation", "meta"):
        (folder / name).symlink_to(result.output("Prepare", name).resolve())
    table = pq.read_table(folder / "validation" / "data.parquet", columns=["label"])
    return np.asarray(table["label"], dtype=np.int64)


def contenders(
    settings: Hyperparameters, result: Run, *, folder: Path, every: int
) -> dict[str, Job]:
    """Returns what each contender trains."""
    model = Store(result.home / "s3").path(result.record.step("Train").inputs["model"].uri)
    job = Job(
        data=str(folder),
        model=str(model.resolve()),
        output=str(folder / "result.npz"),
        every_rows=every,
        hyperparameters=settings.model_dump(mode="json"),
    )
    same = replace(
        job,
        arguments={
            "num_train_epochs": settings.epochs,
            "per_device_train_batch_size": settings.batch_size,
            "learning_rate": settings.learning_rate,
            "warmup_steps": settings.warmup_ratio,  # a share where it is below 1
            "weight_decay": settings.weight_decay,
        },
        frozen=settings.frozen_layers,
        dropout=settings.dropout,
    )
    return {
        _DEFAULTS: job,
        _OURS: job,
        _SAME: same,
        _SAME_BF16: replace(same, arguments=same.arguments | {"bf16": True}),
    }


def train(
    name: str, job: Job, peer: tuple[str, str], *, labels: npt.NDArray[np.int64], threads: int
) -> Curve:
    """Trains in a process of its own.

    Args:
        name: of the contender, for progress.
        job: what it trains.
        peer: its Python, and its module in `verification.benchmarks`.
        labels: of the validation rows.
        threads: how many it may use.
    """
    print(f"{name} ...", file=sys.stderr)
    file = Path(job.output).with_suffix(".json")
    job.write(file)
    python, module = peer
    process = subprocess.run(
        [python, "-m", f"verification.benchmarks.{module}", str(file)],
        env=os.environ | {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"},
        stdout=sys.stderr,
        check=False,
    )
    if process.returncode:
        sys.exit(f"error: {name} ended with status {process.returncode}")
    with np.load(job.output) as arrays:
        auc = np.array([roc_auc_score(labels, margins) for margins in arrays["margins"]])
        return Curve(arrays["rows"], arrays["seconds"], arrays["cpu_seconds"], auc)


def epoch_ends(curve: Curve) -> list[float]:
    """Returns the AUC after each of Trainer's epochs, which have as many steps each."""
    ends = [curve.rows[-1] * epoch // _EPOCHS for epoch in range(1, _EPOCHS + 1)]
    return [float(curve.auc[np.flatnonzero(curve.rows == end)[0]]) for end in ends]


def ratios(curves: dict[str, Curve], targets: Sequence[float]) -> list[float]:
    """Returns for each target how many times faster ours is; 0 where it does not reach it."""
    times = [(curves[_DEFAULTS].seconds_to(auc), curves[_OURS].seconds_to(auc)) for auc in targets]
    return [peer / ours if peer and ours else 0.0 for peer, ours in times]


def print_table(curves: dict[str, Curve], targets: Sequence[float]) -> None:
    """Prints the seconds to each target, and of the whole training."""
    heads = [f"{auc:.3f}, epoch {epoch}" for epoch, auc in enumerate(targets, start=1)]
    print(f"| seconds to the AUC | {' | '.join(heads)} | whole training | AUC at its end |")
    print("|---" * (len(targets) + 3) + "|")
    for name, curve in curves.items():
        times = [curve.seconds_to(auc) for auc in targets]
        cells = ["never" if time is None else f"{time:.1f}" for time in times]
        print(f"| {name} | {' | '.join(cells)} | {curve.seconds[-1]:.1f} | {curve.auc[-1]:.3f} |")
    ratio_cells = [f"**{ratio:.1f}**" for ratio in ratios(curves, targets)]
    total_ratio = curves[_DEFAULTS].seconds[-1] / curves[_OURS].seconds[-1]
    print(f"| Trainer's defaults : ours | {' | '.join(ratio_cells)} | {total_ratio:.1f} | |")


def picture(curves: dict[str, Curve], targets: Sequence[float]) -> Markup:
    """Draws the validation AUC by seconds of training, a line for each contender."""
    with styled():
        figure = new_figure(width=720, height=380)
        figure.set_facecolor("white")
        axes = axes_of(figure)
        for name, curve in curves.items():
            axes.plot(curve.seconds, curve.auc, label=name, **_LINES[name])
        for auc in targets:
            axes.axhline(auc, color=INK, linewidth=0.8, linestyle=(0, (1, 2)))
        # One name for all: the targets may lie on each other.
        axes.annotate("Trainer after each epoch", (0.995, max(targets)),
                      xycoords=("axes fraction", "data"), ha="right", va="bottom",
                      fontsize=8.5)  # fmt: skip
        axes.set(xlabel="seconds of training", ylabel="AUC on validation", ylim=(0.5, None))
        axes.set_xlim(left=0)
        axes.grid(True)
        axes.legend(loc="lower right")
        values = ", ".join(f"{ratio:.1f}" for ratio in ratios(curves, targets))
        alt = f"Validation AUC by seconds of training. Ours is there {values} times faster."
        return to_svg(figure, name="fine-tuning", alt=alt)


if __name__ == "__main__":
    main()
