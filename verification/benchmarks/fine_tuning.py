"""How long fine-tuning takes to an AUC, against Hugging Face's Trainer with its defaults.

    python -m verification.benchmarks.fine_tuning --plot docs/images/fine-tuning.svg

Each contender trains on Prepare's rows from the same seed, in a process of its own. Every so many
rows the watch stands still and the model scores the validation rows in float32. Time starts with
the tokenizer and includes checkpoints as each writes them. A target is the AUC that Trainer with
its defaults has after one of its epochs. Two more rows say where a difference comes from: Trainer
with the recipe's hyperparameters, and the same in bfloat16. `--overrides` are for ours.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from markupsafe import Markup
from sklearn.metrics import roc_auc_score

from sashiko.pipeline.runner.store import Store
from sashiko.report.svg import DARK, INK, LIGHT, MUTED, axes_of, new_figure, styled, to_svg
from sashiko.settings.recipe_train import Hyperparameters
from verification.benchmarks import bench
from verification.benchmarks.fine_tuning_job import Job

OURS = "ours"
OUR_LOOP = (sys.executable, "fine_tuning_ours")
_EPOCHS = 3  # Trainer's default
_PROMISED = 2
_DEFAULTS = "Trainer, its defaults"
_SAME, _SAME_BF16 = "Trainer, our hyperparameters", "Trainer, ours and bf16"
_LINES = {
    _DEFAULTS: {"color": LIGHT, "linewidth": 2.4},
    OURS: {"color": DARK, "linewidth": 2.4},
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

    def seconds_to(self, auc: float) -> float:
        """Returns when an AUC is first reached, infinite if never."""
        reached = np.flatnonzero(self.auc >= auc)
        return float(self.seconds[reached[0]]) if len(reached) else float("inf")


def main() -> None:
    """Prints a Markdown table on stdout; exits with 1 where a ratio is below the promised one."""
    chosen = bench.options(
        __doc__,
        recipe="complaints",
        home=bench.HOME,
        threads=2,
        overrides=[str],
        every=320,
        plot=Path,
    )
    peer = (bench.peer_python("trainer"), "fine_tuning_trainer")
    result = bench.run(chosen.recipe, home=chosen.home)
    settings = bench.recipe_of(chosen.recipe, *chosen.overrides).hyperparameters
    with tempfile.TemporaryDirectory(prefix="sashiko-benchmark-") as folder:
        labels = link_data(result, Path(folder))
        jobs = _jobs(settings, result, folder=Path(folder), every=chosen.every)
        curves = {
            name: train(job, OUR_LOOP if name == OURS else peer, labels, threads=chosen.threads)
            for name, job in jobs.items()
        }
    defaults, ours = curves[_DEFAULTS], curves[OURS]
    ends = [defaults.rows[-1] * epoch // _EPOCHS for epoch in range(1, _EPOCHS + 1)]
    targets = [float(defaults.auc[np.flatnonzero(defaults.rows == end)[0]]) for end in ends]
    ratios = [defaults.seconds_to(auc) / ours.seconds_to(auc) for auc in targets]
    print(f"`{chosen.recipe}` without reweighing on {bench.machine()}, {chosen.threads} threads.\n")
    heads = [f"{auc:.3f}, epoch {epoch}" for epoch, auc in enumerate(targets, start=1)]
    heads = ["seconds to the AUC", *heads, "whole training", "AUC at its end"]
    bench.show(bench.table(heads, _rows(curves, targets, ratios)))
    if chosen.plot:
        bench.save(chosen.plot, _picture(curves, targets, ratios))
    sys.exit(0 if all(ratio >= _PROMISED for ratio in ratios) else 1)


def link_data(result: bench.Run, folder: Path) -> npt.NDArray[np.int64]:
    """Puts Prepare's splits where a job has them; returns the labels of the validation rows."""
    for name in ("train", "validation", "meta"):
        (folder / name).symlink_to(result.output("Prepare", name).resolve())
    rows = pq.read_table(folder / "validation" / "data.parquet", columns=["label"])
    return np.asarray(rows["label"], dtype=np.int64)


def _jobs(
    settings: Hyperparameters, result: bench.Run, *, folder: Path, every: int
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
    in_bf16 = replace(same, arguments=same.arguments | {"bf16": True})
    return {_DEFAULTS: job, OURS: job, _SAME: same, _SAME_BF16: in_bf16}


def train(
    job: Job, contender: tuple[str, str], labels: npt.NDArray[np.int64], *, threads: int
) -> Curve:
    """Trains in a process of its own: a Python, and its module in `verification.benchmarks`."""
    python, module = contender
    print(f"{module} ...", file=sys.stderr)
    file = Path(job.output).with_suffix(".json")
    job.write(file)
    process = subprocess.run(
        [python, "-m", f"verification.benchmarks.{module}", str(file)],
        env=os.environ | {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"},
        stdout=sys.stderr,
        check=False,
    )
    if process.returncode:
        sys.exit(f"error: {module} ended with status {process.returncode}")
    with np.load(job.output) as arrays:
        auc = np.array([roc_auc_score(labels, margins) for margins in arrays["margins"]])
        return Curve(arrays["rows"], arrays["seconds"], arrays["cpu_seconds"], auc)


def seconds_cell(seconds: float) -> str:
    """Writes the seconds to a target, which may never be reached."""
    return "never" if np.isinf(seconds) else f"{seconds:.1f}"


def _rows(
    curves: dict[str, Curve], targets: Sequence[float], ratios: Sequence[float]
) -> Iterator[tuple[str, ...]]:
    for name, curve in curves.items():
        times = [seconds_cell(curve.seconds_to(auc)) for auc in targets]
        yield name, *times, f"{curve.seconds[-1]:.1f}", f"{curve.auc[-1]:.3f}"
    whole = curves[_DEFAULTS].seconds[-1] / curves[OURS].seconds[-1]
    yield "Trainer's defaults : ours", *(f"**{ratio:.1f}**" for ratio in ratios), f"{whole:.1f}", ""


def _picture(curves: dict[str, Curve], targets: Sequence[float], ratios: Sequence[float]) -> Markup:
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
        values = ", ".join(f"{ratio:.1f}" for ratio in ratios)
        alt = f"Validation AUC by seconds of training. Ours is there {values} times faster."
        return to_svg(figure, name="fine-tuning", alt=alt)


if __name__ == "__main__":
    main()
