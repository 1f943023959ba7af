"""What each step that sees every row needs at a size, and on paper at 1e8 and 1e9 rows.

    python -m verification.benchmarks.scale --rows 100000 1000000 10000000 --write

The steps run one after the other on a lake of that many rows of the recipe's contract, as SageMaker
runs them: in processes of their own, on each other's outputs (`scale_steps`). The rows are the
generator's, each with a key and a word of its own, so that no two texts are equal. Train is left
out, and the model's scores are drawn: a model is measured apart, by the texts a second that Score
does with the recipe's own, as that depends on the model and not on the rows. Evaluate and the bias
of the predictions are left out above a million rows, as the resamples of their intervals would take
hours.

On paper a step takes `seconds(n) = seconds(b) + (n - b) * (seconds(b) - seconds(a)) / (b - a)`,
where a and b are the two greatest sizes; memory and disk likewise. Its price is that of the
environment's (`--env`) instance, taken to be as fast as this machine. What is met first is the
smallest number of rows at which one of these is exceeded: the memory of that instance, the settings
of its job, the most that SageMaker allows a job.
"""

import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from botocore.loaders import Loader

from sashiko.account.prices import PRICE_FILE, Prices
from sashiko.base.yaml_models import read_yaml, validate
from sashiko.settings.environment import load_settings
from sashiko.settings.environment_sections import ProcessingJob
from verification.benchmarks.bench import machine, options, recipe_of, show, table, write_part
from verification.benchmarks.scale_steps import (
    PATTERN_ROWS,
    Use,
    measure,
    pattern_rows,
    score_rate,
)

_FIXED = "SageMaker's "
_PAPER = (100_000_000, 1_000_000_000)
_GIB = 1024**3
# Memory in GiB of the types of `config/base.yaml`: "Amazon EC2 M5 Instances", aws.amazon.com.
_MEMORY_GIB = {"ml.m5.large": 8, "ml.m5.xlarge": 16, "ml.m5.2xlarge": 32}
Uses = Mapping[int, Mapping[str, Use]]  # rows -> step


def main() -> None:
    """Prints the tables as Markdown on stdout; `--write` writes them into the page."""
    chosen = options(
        __doc__, recipe="complaints", env="dev", rows=[100_000, 1_000_000, 10_000_000],
        scored=20_000, write=False,
    )  # fmt: skip
    sizes = sorted(set(chosen.rows))
    if len(sizes) < 2 or sizes[0] < PATTERN_ROWS:
        sys.exit(f"error: --rows: name at least two sizes of {PATTERN_ROWS:,} or more")
    recipe = recipe_of(chosen.recipe)
    uses = {}
    with tempfile.TemporaryDirectory(prefix="sashiko-benchmark-") as folder:
        pattern = pattern_rows(recipe, Path(folder))
        rate = score_rate(recipe, pattern, rows=chosen.scored, root=Path(folder) / "score")
        for rows in sizes:
            print(f"{rows:,} rows ...", file=sys.stderr)
            with tempfile.TemporaryDirectory(dir=folder) as root:
                uses[rows] = measure(recipe, pattern, rows=rows, root=Path(root))
    jobs = load_settings(chosen.env).jobs
    prices = validate(Prices, read_yaml(PRICE_FILE), source=str(PRICE_FILE))
    numbers = [f"{rows:,}" for rows in sizes]
    lines = [
        f"`{recipe.name}`'s contract at {', '.join(numbers)} rows on {machine()}.",
        "",
        *table(("step", *(f"{rows} rows: s, MB, disk GB" for rows in numbers)), _measured(uses)),
        "",
        *_on_paper(uses, jobs.processing, jobs.scoring, prices),
        "",
        f"Score does {rate:,.0f} texts a second on one instance.",
        "",
        *table(("texts", "instances", "hours", "$"), _scoring(rate, jobs.scoring, prices)),
    ]
    show(lines)
    if chosen.write:
        write_part(Path("docs/scale.md"), "scale", lines)


def _measured(uses: Uses) -> Iterator[tuple[str, ...]]:
    for step in next(iter(uses.values())):
        of_step = [by_step.get(step) for by_step in uses.values()]
        yield (
            step,
            *(
                f"{use.seconds:,.1f}, {use.memory / 1e6:,.0f}, {use.disk / 1e9:.2f}" if use else ""
                for use in of_step
            ),
        )


def _on_paper(
    uses: Uses, processing: ProcessingJob, scoring: ProcessingJob, prices: Prices
) -> Iterator[str]:
    """Yields the lines of hours, dollars, memory and disk on paper, and of the limit met first."""
    met: list[tuple[float, str, str]] = []  # rows, limit, step

    def rows() -> Iterator[tuple[str, ...]]:
        for step in next(iter(uses.values())):
            of_step = {rows: use[step] for rows, use in uses.items() if step in use}
            job = scoring if step == "Evaluate" else processing
            usd = prices.instances[job.instance_type].usd
            cells = []
            for size in _PAPER:
                seconds, memory, disk = (
                    last + (size - rows) * max(0.0, slope)
                    for rows, last, slope in (_line(of_step, of) for of in _OF)
                )
                hours = seconds / 3600
                cells.append(
                    f"{hours:,.1f}, {hours * usd:,.2f}, {memory / 1e9:,.1f}, {disk / 1e9:,.0f}"
                )
            of_job = sorted((rows, limit, step) for limit, rows in _limits(of_step, job))
            met.extend(of_job)
            at, limit, _ = of_job[0]
            first = f"{limit}, {at:.1e}" if at < float("inf") else "none"
            yield step, job.instance_type, *cells, first

    def first(only: str = "") -> str:
        rows, limit, step = min(item for item in met if item[1].startswith(only))
        return f"{limit} first, in {step}, at {rows:.1e} rows"

    sizes = [f"{rows:.0e}".replace("e+0", "e") for rows in _PAPER]
    heads = [f"{size} rows: h, $, memory GB, disk GB" for size in sizes]
    yield from table(("step", "instance", *heads, "met first, at rows"), rows())
    yield ""
    yield f"A run meets {first()}. Of what no setting raises, it meets {first(_FIXED)}."


_OF = ("seconds", "memory", "disk")


def _line(uses: Mapping[int, Use], of: str) -> tuple[int, float, float]:
    """Returns the greatest size, what a step needed there, and how much more a row needs."""
    (a, one), (b, two) = sorted(uses.items())[-2:]
    last = float(getattr(two, of))
    return b, last, (last - getattr(one, of)) / (b - a)


def _limits(uses: Mapping[int, Use], job: ProcessingJob) -> Iterator[tuple[str, float]]:
    """Yields each limit of a job, and the rows at which a step meets it; infinite if at none."""
    shapes = Loader().load_service_model("sagemaker", "service-2")["shapes"]
    most_gb = shapes["ProcessingVolumeSizeInGB"]["max"]
    most_seconds = shapes["ProcessingMaxRuntimeInSeconds"]["max"]
    memory = _MEMORY_GIB[job.instance_type]
    for name, limit, of in (
        (f"`max_runtime` {job.max_runtime / 3600:g} h", job.max_runtime, "seconds"),
        (f"{_FIXED}{most_seconds / 86400:g} days", most_seconds, "seconds"),
        (f"`volume_size` {job.volume_size} GB", job.volume_size * _GIB, "disk"),
        (f"{_FIXED}{most_gb:,} GB", most_gb * _GIB, "disk"),
        (f"memory {memory} GiB", memory * _GIB, "memory"),
    ):
        rows, last, slope = _line(uses, of)
        yield name, rows + (limit - last) / slope if slope > 0 else float("inf")


def _scoring(rate: float, job: ProcessingJob, prices: Prices) -> Iterator[tuple[str, ...]]:
    """Yields what scoring that many texts takes on some numbers of instances."""
    usd = prices.instances[job.instance_type].usd
    for texts in (1_000_000, 100_000_000, 1_000_000_000):
        for count in (1, 10, 100):
            hours = texts / rate / count / 3600
            yield f"{texts:,}", str(count), f"{hours:,.1f}", f"{hours * count * usd:,.2f}"


if __name__ == "__main__":
    main()
