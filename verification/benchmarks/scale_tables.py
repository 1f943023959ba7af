"""Tables of what steps used at the sizes that were run, and of what they would use at greater ones.

On paper a step takes `seconds(n) = seconds(b) + (n - b) * (seconds(b) - seconds(a)) / (b - a)`,
where a and b are the two greatest sizes; memory and disk likewise. Its price is that of the
environment's instance, taken to be as fast as this machine. What is met first is the smallest
number of rows at which one of these is exceeded: the memory of that instance, the settings of its
job, the most that SageMaker allows a job.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from botocore.loaders import Loader

from sashiko.aws.operations.cost.prices import Prices
from sashiko.settings.jobs import ProcessingJob
from verification.benchmarks.scale_bench import Use

_FIXED = "SageMaker's "
_PAPER = (100_000_000, 1_000_000_000)
_GIB = 1024**3
# Memory in GiB of the types of `config/base.yaml`: "Amazon EC2 M5 Instances", aws.amazon.com.
_MEMORY_GIB = {"ml.m5.large": 8, "ml.m5.xlarge": 16, "ml.m5.2xlarge": 32}


def on_paper(uses: Mapping[int, Use], rows: float, what: Callable[[Use], float]) -> float:
    """Returns what a step needs at a size, on the line through its two greatest ones."""
    (a, one), (b, two) = sorted(uses.items())[-2:]
    slope = max(0.0, (what(two) - what(one)) / (b - a))
    return what(two) + (rows - b) * slope


def rows_at(uses: Mapping[int, Use], limit: float, what: Callable[[Use], float]) -> float:
    """Returns at how many rows a step needs as much; infinite if it needs no more for more rows."""
    (a, one), (b, two) = sorted(uses.items())[-2:]
    slope = (what(two) - what(one)) / (b - a)
    return b + (limit - what(two)) / slope if slope > 0 else float("inf")


def measures(uses: Mapping[int, Mapping[str, Use]]) -> Iterator[str]:
    """Yields the lines of what each step used at each size."""
    yield "| step | " + " | ".join(f"{rows:,} rows: s, MB, disk GB" for rows in uses) + " |"
    yield "|---" * (len(uses) + 1) + "|"
    for step in next(iter(uses.values())):
        cells = [
            f"{use[step].seconds:,.1f}, {use[step].memory / 1e6:,.0f}, {use[step].disk / 1e9:.2f}"
            if step in use
            else ""
            for use in uses.values()
        ]
        yield f"| {step} | {' | '.join(cells)} |"


def paper(
    uses: Mapping[int, Mapping[str, Use]],
    processing: ProcessingJob,
    scoring: ProcessingJob,
    prices: Prices,
) -> Iterator[str]:
    """Yields the lines of hours, dollars, memory and disk on paper, and of the limit met first."""
    sizes = [f"{rows:.0e}".replace("e+0", "e") for rows in _PAPER]
    heads = [f"{size} rows: h, $, memory GB, disk GB" for size in sizes]
    yield f"| step | instance | {' | '.join(heads)} | met first, at rows |"
    yield "|---" * (len(heads) + 3) + "|"
    met: list[tuple[float, str, str]] = []  # rows, limit, step
    for step in next(iter(uses.values())):
        of_step = {rows: use[step] for rows, use in uses.items() if step in use}
        job = scoring if step == "Evaluate" else processing
        usd = prices.instances[job.instance_type].usd
        cells = []
        for rows in _PAPER:
            hours = on_paper(of_step, rows, _seconds) / 3600
            memory = on_paper(of_step, rows, _memory) / 1e9
            disk = on_paper(of_step, rows, _disk) / 1e9
            cells.append(f"{hours:,.1f}, {hours * usd:,.2f}, {memory:,.1f}, {disk:,.0f}")
        of_job = sorted((rows, limit, step) for limit, rows in limits(of_step, job))
        met += of_job
        at, limit, _ = of_job[0]
        cells.append(f"{limit}, {at:.1e}" if at < float("inf") else "none")
        yield f"| {step} | {job.instance_type} | {' | '.join(cells)} |"
    yield ""
    fixed = _first(met, only=_FIXED)
    yield f"A run meets {_first(met)}. Of what no setting raises, it meets {fixed}."


def _first(met: Sequence[tuple[float, str, str]], only: str = "") -> str:
    rows, limit, step = min(item for item in met if item[1].startswith(only))
    return f"{limit} first, in {step}, at {rows:.1e} rows"


def limits(uses: Mapping[int, Use], job: ProcessingJob) -> Iterator[tuple[str, float]]:
    """Yields each limit of a job, and the rows at which a step meets it."""
    shapes = Loader().load_service_model("sagemaker", "service-2")["shapes"]
    most_gb = shapes["ProcessingVolumeSizeInGB"]["max"]
    most_seconds = shapes["ProcessingMaxRuntimeInSeconds"]["max"]
    memory = _MEMORY_GIB[job.instance_type]
    yield f"`max_runtime` {job.max_runtime / 3600:g} h", rows_at(uses, job.max_runtime, _seconds)
    yield f"{_FIXED}{most_seconds / 86400:g} days", rows_at(uses, most_seconds, _seconds)
    yield f"`volume_size` {job.volume_size} GB", rows_at(uses, job.volume_size * _GIB, _disk)
    yield f"{_FIXED}{most_gb:,} GB", rows_at(uses, most_gb * _GIB, _disk)
    yield f"memory {memory} GiB", rows_at(uses, memory * _GIB, _memory)


def _seconds(use: Use) -> float:
    return use.seconds


def _memory(use: Use) -> float:
    return use.memory


def _disk(use: Use) -> float:
    return use.disk


def scoring_lines(rate: float, job: ProcessingJob, prices: Prices) -> Iterator[str]:
    """Yields the lines of what scoring that many texts takes on some numbers of instances."""
    usd = prices.instances[job.instance_type].usd
    yield f"Score does {rate:,.0f} texts a second on one instance."
    yield ""
    yield "| texts | instances | hours | $ |"
    yield "|---|---|---|---|"
    for texts in (1_000_000, 100_000_000, 1_000_000_000):
        for count in (1, 10, 100):
            hours = texts / rate / count / 3600
            yield f"| {texts:,} | {count} | {hours:,.1f} | {hours * count * usd:,.2f} |"
