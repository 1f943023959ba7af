"""The text output of `sashiko cost`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sashiko.account.prices import Price, Prices
from sashiko.pipeline.use_cost import JobCost, PipelineCosts, PredictionCost
from sashiko.settings.environment import Settings
from sashiko.settings.tools import TOOLS
from sashiko_packs.operations.cost.idle_cost import IdleCost, known_lines, lines


@dataclass(frozen=True, kw_only=True)
class Costs:
    """All results of the command."""

    settings: Settings  # the environment
    prices: Prices  # the prices used
    idle: IdleCost  # a month, unused
    others: tuple[JobCost, ...]  # loads and builds
    # Of an environment; the tools' account runs and serves nothing.
    run: tuple[JobCost, ...] = ()  # job by job
    pipelines: tuple[PipelineCosts, ...] = ()  # of the packs
    load: float = 0  # predictions a second
    instance_types: Mapping[str, str] = field(default_factory=dict)  # compile target -> machine
    predictions: tuple[PredictionCost, ...] = ()  # the targets with known prices


def used_prices(costs: Costs) -> list[Price]:
    """Returns each price that was used, the oldest first."""
    of_charges = [charge.price for charge in costs.idle.charges if charge.price]
    of_packs = [job for one in costs.pipelines for job in one.jobs]
    of_jobs = [price for job in (*costs.run, *of_packs, *costs.others) for price in job.prices]
    used = {*of_charges, *of_jobs, *(item.price for item in costs.predictions)}
    return sorted(used, key=lambda price: (price.read, price.source, price.usd))


def text(costs: Costs) -> Iterator[str]:
    """Yields the lines of the text output."""
    settings = costs.settings
    yield (
        f"{settings.environment}: account {settings.account}, {settings.region}; US dollars, "
        "on demand"
    )
    tools = settings.environment == TOOLS
    for part in (_idle, _delivery) if tools else (_idle, _run, _pipelines, _predictions):
        yield ""
        yield from part(costs)


def _idle(costs: Costs) -> Iterator[str]:
    yield "idle, a month:"
    amounts, known = lines(costs.idle), known_lines(costs.idle)
    rows = [(name, _amount(usd, ".2f")) for name, usd in amounts.items()]
    missing = [name for name in amounts if name not in known]
    yield from _align([*rows, (_sum_of(missing), f"{sum(known.values()):.2f}")])
    yield "not in it, as it is billed by use:"
    for kind, how in costs.idle.by_use.items():
        yield f"  {kind}: {how}"


def _run(costs: Costs) -> Iterator[str]:
    assumed = costs.prices.typical_job
    yield f"one run of {costs.settings.recipe}, about and at most:"
    yield from _jobs(costs.run)
    yield "one load, and one build of images where a deploy changes them:"
    yield from _align(map(_row, costs.others))
    yield from _reasons(costs.others)
    yield f"about: {assumed.seconds} s each ({assumed.source})"
    yield "at most: each until its own limit, nothing from the cache, nothing on spot"


def _delivery(costs: Costs) -> Iterator[str]:
    yield "one delivery to all stages, about and at most:"
    yield from _jobs(costs.others)
    yield f"about: {costs.prices.typical_job.seconds} s each, as a job of a run is taken to last"
    yield "at most: each build until its own limit"


def _pipelines(costs: Costs) -> Iterator[str]:
    for one in costs.pipelines:
        yield one.title
        yield from _jobs(one.jobs)
        for _, words, usd in one.months:
            yield f"{words}, {_amount(usd, '.2f')}"


def _jobs(jobs: Sequence[JobCost]) -> Iterator[str]:
    typical = sum(job.typical for job in jobs if job.typical is not None)
    maximum = sum(job.most for job in jobs if job.most is not None)
    name = _sum_of([job.name for job in jobs if job.unknown])
    yield from _align([*map(_row, jobs), (name, f"{typical:.2f}", f"{maximum:.2f}")])
    yield from _reasons(jobs)


def _row(job: JobCost) -> tuple[str, ...]:
    return f"{job.name}: {job.machines}", _amount(job.typical, ".3f"), _amount(job.most, ".2f")


def _reasons(jobs: Sequence[JobCost]) -> Iterator[str]:
    for reason in dict.fromkeys(job.unknown for job in jobs if job.unknown):
        yield f"unknown: {', '.join(job.name for job in jobs if job.unknown == reason)}: {reason}"


def _sum_of(missing: Sequence[str]) -> str:
    """Names a sum, with the parts that are not in it because they are unknown."""
    return f"all of it but {', '.join(missing)}" if missing else "all of it"


def _amount(usd: float | None, format_: str) -> str:
    return "unknown" if usd is None else format(usd, format_)


def _predictions(costs: Costs) -> Iterator[str]:
    by_target = {item.target: item for item in costs.predictions}
    load = f"{costs.load:g} a second"
    yield f"a million predictions, at {load} all month and at an instance's full speed:"
    yield from _align(
        (
            f"{name}: {item.instances} x {item.instance_type}",
            _usd(item.per_million),
            _usd(item.floor),
        )
        for name, item in by_target.items()
    )
    for target, kind in costs.instance_types.items():
        if target in by_target:
            speed = by_target[target].speed
            yield f"{target}: {speed.per_second:g} a second, {speed.what} ({speed.source})"
        else:
            yield (
                f"{target}: how fast {kind} is, or its price, is not known: give `speeds.{kind}` "
                f"and `instances.{kind}` in a file of your own, as --prices FILE"
            )


def _usd(amount: float) -> str:
    return f"{amount:.2f}" if amount >= 1 else f"{amount:.3f}"


def _align(rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    rows = list(rows)
    width = max((len(row[0]) for row in rows), default=0)
    for name, *figures in rows:
        yield f"  {name:<{width}}" + "".join(f"  {figure:>8}" for figure in figures)
