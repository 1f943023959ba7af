"""How time and memory of each step grow with the rows: the whole path at 1, 4 and 16 times as many.

    python -m verification.benchmarks.growth --plot docs/images/growth.svg

Each size is a real run of the recipe with that many generated rows, and as many times its training
rows, in one home of its own, so that nothing comes from the cache. Growth is the exponent e of
"rows^e" between the two greatest sizes, where what a step needs to start weighs least. Exits with 1
if a step grows faster than linear in time or memory, or the memory of a step that is to be bounded
faster than the root of the rows.
"""

import math
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from sashiko.pipeline.runner.run_record import read_run
from sashiko.report.svg import DARK, INK, LIGHT, MUTED, new_figure, styled, to_svg
from sashiko.settings.recipe_sources import GeneratorSource
from verification.benchmarks import bench

# A tenth above linear is what a second measurement may differ by.
_LINEAR, _BOUNDED = 1.1, 0.5
_BOUNDED_STEPS = (
    "Snapshot", "SnapshotFacets", "Validate", "ValidateFacets", "Prepare", "PreBias", "BiasInput",
    "PostBias", "JudgeBias",
)  # fmt: skip


@dataclass(frozen=True)
class Size:
    """A run of one size: rows, and of each step its seconds and its peak memory in MB."""

    rows: int
    seconds: dict[str, float]
    megabytes: dict[str, float]


def main() -> None:
    """Prints a Markdown table on stdout."""
    chosen = bench.options(__doc__, recipe="complaints", scales=[1, 4, 16], plot=Path)
    scales = sorted(set(chosen.scales))
    if len(scales) < 2 or scales[0] < 1:
        sys.exit("error: --scales: name at least two different sizes, such as 1 4 16")
    with tempfile.TemporaryDirectory(prefix="sashiko-benchmark-") as folder:
        sizes = [_measure(chosen.recipe, scale=scale, home=Path(folder)) for scale in scales]
    rows = [f"{size.rows:,} rows" for size in sizes]
    print(f"`{chosen.recipe}` at {', '.join(rows)} on {bench.machine()}.\n")
    heads = [f"{row}, s" for row in rows] + ["growth"] + [f"{row}, MB" for row in rows] + ["growth"]
    bench.show(bench.table(("step", *heads), _rows(sizes)))
    if chosen.plot:
        bench.save(chosen.plot, _picture(sizes))
    problems = list(_faults(sizes))
    for fault in problems:
        print(f"error: {fault}", file=sys.stderr)
    sys.exit(1 if problems else 0)


def _measure(recipe: str, *, scale: int, home: Path) -> Size:
    """Runs the recipe with so many times its rows and its training rows."""
    data = bench.recipe_of(recipe).data
    source = next((item for item in data.sources if isinstance(item, GeneratorSource)), None)
    if source is None:
        sys.exit(f"error: recipes/{recipe}.yaml: data.sources has no generator, whose rows grow")
    scaled = source.model_copy(update={"rows": source.rows * scale})
    command = [bench.SASHIKO, "run", "--recipe", recipe, "--home", str(home)]
    command += ["--set", f"data.sources=[{scaled.model_dump_json()}]"]
    if data.train_rows is not None:
        command += ["--set", f"data.train_rows={data.train_rows * scale}"]
    print(f"{scaled.rows:,} rows ...", file=sys.stderr)
    with (
        subprocess.Popen(command, stdout=subprocess.DEVNULL) as process,
        bench.Watch(process.pid) as watch,
    ):
        status = process.wait()
    if status not in (0, 3):
        sys.exit(f"error: sashiko run ended with status {status}")
    record = read_run(max((home / "runs").iterdir()))
    jobs = [step for step in record.steps if step.type in ("Processing", "Training")]
    seconds = {step.name: step.seconds for step in jobs if step.seconds}
    return Size(scaled.rows, seconds, watch.peaks)


def _growth(sizes: Sequence[Size], step: str, of: str) -> float:
    """Returns the exponent of a step's time or memory between the two greatest sizes."""
    one, two = sizes[-2:]
    ratio = getattr(two, of)[step] / getattr(one, of)[step]
    return math.log(ratio) / math.log(two.rows / one.rows)


def steps(sizes: Sequence[Size]) -> list[str]:
    """Returns the steps that were measured at every size, in the order of the definition."""
    measured = [size.seconds.keys() & size.megabytes.keys() for size in sizes]
    return [step for step in sizes[0].seconds if all(step in names for names in measured)]


def _rows(sizes: Sequence[Size]) -> Iterator[tuple[str, ...]]:
    for step in steps(sizes):
        seconds = [f"{size.seconds[step]:.1f}" for size in sizes]
        memory = [f"{size.megabytes[step]:.0f}" for size in sizes]
        time_growth = f"{_growth(sizes, step, 'seconds'):.2f}"
        yield step, *seconds, time_growth, *memory, f"{_growth(sizes, step, 'megabytes'):.2f}"


def _faults(sizes: Sequence[Size]) -> Iterator[str]:
    """Yields what grows faster than it may."""
    for step in steps(sizes):
        time, memory = (_growth(sizes, step, of) for of in ("seconds", "megabytes"))
        if time > _LINEAR:
            yield f"{step}: time grows faster than linear, as rows^{time:.2f}"
        if memory > _LINEAR:
            yield f"{step}: memory grows faster than linear, as rows^{memory:.2f}"
        elif step in _BOUNDED_STEPS and memory > _BOUNDED:
            yield f"{step}: memory is not bounded, it grows as rows^{memory:.2f}"


def _picture(sizes: Sequence[Size]) -> Markup:
    """Draws time and memory of each step against the rows, and what linear would be."""
    rows, measured = [size.rows for size in sizes], steps(sizes)
    with styled():
        figure = new_figure(width=860, height=460)
        figure.set_facecolor("white")
        panels = zip(figure.subplots(1, 2), (("seconds", "s"), ("megabytes", "MB")), strict=True)
        for axes, (of, unit) in panels:
            for step in measured:
                values = [getattr(size, of)[step] for size in sizes]
                color = DARK if step in _BOUNDED_STEPS else LIGHT
                axes.plot(rows, values, color=color, linewidth=1.6, marker="o", markersize=3)
            base = max(getattr(sizes[0], of)[step] for step in measured)
            linear = [base * row / rows[0] for row in rows]
            axes.plot(rows, linear, color=MUTED, linewidth=1.2, linestyle=(0, (5, 2)))
            axes.annotate("linear", (rows[0], base), xytext=(0, 8), textcoords="offset points",
                          color=INK, fontsize=8.5)  # fmt: skip
            axes.set(xscale="log", yscale="log", xlabel="rows", ylabel=unit)
            axes.set_xticks(rows, [f"{row:,}" for row in rows])
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
            axes.minorticks_off()
            axes.grid(True)
            low, high = axes.get_ylim()
            least, gap = 0.0, (high / low) ** (1 / 32)  # a ratio from one name to the next
            last = getattr(sizes[-1], of)
            for step in sorted(measured, key=lambda step: last[step]):
                least = max(last[step], least * gap)
                axes.annotate(step, (rows[-1], least), xytext=(6, 0), fontsize=7.5,
                              textcoords="offset points", va="center")  # fmt: skip
        exponents = "; ".join(
            f"{step} {_growth(sizes, step, 'seconds'):.2f} and "
            f"{_growth(sizes, step, 'megabytes'):.2f}"
            for step in measured
        )
        return to_svg(figure, name="growth", alt=f"Growth exponents, time and memory: {exponents}.")


if __name__ == "__main__":
    main()
