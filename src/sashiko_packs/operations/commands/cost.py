"""`sashiko env cost`: what an environment costs idle, a run, and a million predictions."""

import datetime as dt
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from sashiko.account.prices import Price, Prices, read_prices, stale, total
from sashiko.account.templates import CDK_OUT, read_templates
from sashiko.commands.options import AsJson, Home, Place, TemplatesFolder
from sashiko.packs import PackPipeline, load_packs
from sashiko.pipeline.definition.definition_records import parse_definition
from sashiko.pipeline.project import HOME, use_recipe
from sashiko.pipeline.use_cost import (
    WAKE_HOURS,
    JobCost,
    ModeCosts,
    PredictionCost,
    mode_costs,
    other_jobs,
    prediction_costs,
    run_cost,
)
from sashiko.settings.environment import Settings
from sashiko.settings.targets import load_target
from sashiko.settings.tools import TOOLS, load_place
from sashiko_packs.operations.idle_cost import (
    IdleCost,
    idle_cost,
    known_lines,
    lines,
)


@dataclass(frozen=True, kw_only=True)
class PipelineCosts:
    """What a pipeline of a pack costs."""

    pack: str
    of: PackPipeline
    jobs: tuple[JobCost, ...]  # of one execution

    @property
    def month(self) -> float | None:
        """US dollars a month, each job until its limit; None if that is unknown."""
        once = total(job.most for job in self.jobs)
        return None if once is None or not self.of.most_a_month else self.of.most_a_month * once


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
    modes: ModeCosts | None = None  # of the recipe's target; None if its price is unknown


def used_prices(costs: Costs) -> list[Price]:
    """Returns each price that was used, the oldest first."""
    of_charges = [charge.price for charge in costs.idle.charges if charge.price]
    of_packs = [job for one in costs.pipelines for job in one.jobs]
    of_jobs = [price for job in (*costs.run, *of_packs, *costs.others) for price in job.prices]
    used = {*of_charges, *of_jobs, *(item.price for item in costs.predictions)}
    if costs.modes:
        used |= {costs.modes.writes, costs.modes.reads}
    return sorted(used, key=lambda price: (price.read, price.source, price.usd))


def text(costs: Costs) -> Iterator[str]:
    """Yields the lines of the text output."""
    settings = costs.settings
    yield (
        f"{settings.environment}: account {settings.account}, {settings.region}; US dollars, "
        "on demand"
    )
    of_tools = settings.environment == TOOLS
    parts = (_delivery,) if of_tools else (_run, _pipelines, _predictions, _modes)
    for part in (_idle, *parts):
        yield ""
        yield from part(costs)


def _idle(costs: Costs) -> Iterator[str]:
    yield "idle, a month:"
    amounts, known = lines(costs.idle), known_lines(costs.idle)
    rows = [(name, _amount(usd, ".2f")) for name, usd in amounts.items()]
    missing = [name for name in amounts if name not in known]
    yield from _align([*rows, (_sum_of(missing), f"{sum(known.values()):.2f}")])
    yield "not included, as it is billed by use:"
    for kind, how in costs.idle.by_use.items():
        yield f"  {kind}: {how}"
    network = costs.settings.network
    if network.endpoints == "theirs" and costs.settings.environment != TOOLS:
        yield f"not included, as their owner pays for them: the endpoints that {network.vpc_id} has"


def _run(costs: Costs) -> Iterator[str]:
    assumed = costs.prices.typical_job
    yield f"one run of {costs.settings.recipe}, about and at most:"
    yield from _jobs(costs.run)
    load = "one load, and " if any(job.name.startswith("load ") for job in costs.others) else ""
    yield f"{load}one build of images where a deploy changes them:"
    yield from _align(map(_row, costs.others))
    yield from _reasons(costs.others)
    yield f"about: {assumed.seconds} s each ({assumed.source})"
    yield "at most: each job until its own limit, without cache and without spot"


def _delivery(costs: Costs) -> Iterator[str]:
    yield "one delivery to all stages, about and at most:"
    yield from _jobs(costs.others)
    yield f"about: {costs.prices.typical_job.seconds} s each, the length assumed for a job of a run"
    yield "at most: each build until its own limit"


def _pipelines(costs: Costs) -> Iterator[str]:
    for one in costs.pipelines:
        yield one.of.costs
        yield from _jobs(one.jobs)
        if times := one.of.most_a_month:
            yield f"at most in a month: {times} of them, {_amount(one.month, '.2f')}"


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
    return f"all except {', '.join(missing)}" if missing else "all of it"


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
                f"and `instances.{kind}` in your own file, as --prices FILE"
            )


def _modes(costs: Costs) -> Iterator[str]:
    modes = costs.modes
    if modes is None:
        return
    one = modes.at_load
    yield f"{one.target} by `serving.mode`: idle a month, and a million at {one.load:g} a second:"
    yield from _align(
        [
            ("real-time", f"{modes.real_time_idle:.2f}", _usd(one.per_million)),
            ("asynchronous", f"{0:.2f}", _usd(modes.asynchronous_per_million)),
        ]
    )
    yield (
        f"asynchronous costs less below {modes.crossing:,.0f} requests a month, evenly spread; "
        f"one that wakes it is taken to cost {60 * WAKE_HOURS:g} minutes of an instance"
    )


def _usd(amount: float) -> str:
    return f"{amount:.2f}" if amount >= 1 else f"{amount:.3f}"


def _align(rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    rows = list(rows)
    width = max((len(row[0]) for row in rows), default=0)
    for name, *figures in rows:
        yield f"  {name:<{width}}" + "".join(f"  {figure:>8}" for figure in figures)


def cost(
    env: Place = "dev",
    templates: TemplatesFolder = CDK_OUT,
    prices: Annotated[
        Path | None,
        typer.Option(help="A file of prices that override src/sashiko/account/prices.yaml."),
    ] = None,
    load: Annotated[
        float, typer.Option(min=0.001, help="Predictions per second, all month.")
    ] = 10.0,
    home: Home = HOME,
    json_: AsJson = False,
) -> None:
    """Print what an environment costs: idle per month, per run, per million predictions.

    It needs `make synth`, but no account. Prices are on demand in US dollars, without tax, free
    tiers and discounts. A cost without a known price is `unknown` (`null` in JSON), and a sum names
    what it lacks.
    """
    settings = load_place(env)
    costs = _costs(settings, templates=templates, prices=prices, load=load, home=home)
    if json_:
        typer.echo(json.dumps(as_json(costs), indent=2))
    else:
        for line in text(costs):
            typer.echo(line)
    for line in _warnings(costs, today=dt.datetime.now(dt.UTC).date()):
        print(f"warning: {line}", file=sys.stderr)


def as_json(costs: Costs) -> Mapping[str, object]:
    """Returns all results as plain JSON values."""
    return {
        "environment": costs.settings.environment,
        "region": costs.prices.region,
        "idle": {"lines": lines(costs.idle), "monthly": _rounded(costs.idle.monthly)},
        "by_use": costs.idle.by_use,
        "loads_and_builds": _jobs_as_json(costs.others),
        "run": {
            "jobs": _jobs_as_json(costs.run),
            "typical": _rounded(total(job.typical for job in costs.run)),
            "at_most": _rounded(total(job.most for job in costs.run)),
        },
        **{
            one.pack: {
                "jobs": _jobs_as_json(one.jobs),
                **({"month_at_most": _rounded(one.month)} if one.of.most_a_month else {}),
            }
            for one in costs.pipelines
        },
        "per_million_predictions": {
            item.target: {
                "load_per_second": item.load,
                "instances": item.instances,
                "instance_type": item.instance_type,
                "at_load": round(item.per_million, 3),
                "at_full_speed": round(item.floor, 3),
                "speed": item.speed.model_dump(mode="json"),
            }
            for item in costs.predictions
        },
        "modes": costs.modes and _modes_as_json(costs.modes),
        "prices": [price.model_dump(mode="json") for price in used_prices(costs)],
    }


def _modes_as_json(modes: ModeCosts) -> Mapping[str, object]:
    return {
        "target": modes.at_load.target,
        "real-time": {
            "idle": round(modes.real_time_idle, 2),
            "per_million": round(modes.at_load.per_million, 3),
        },
        "asynchronous": {"idle": 0.0, "per_million": round(modes.asynchronous_per_million, 3)},
        "asynchronous_costs_less_below_requests_a_month": round(modes.crossing),
    }


def _jobs_as_json(jobs: Iterable[JobCost]) -> Mapping[str, object]:
    return {
        job.name: {
            "machines": job.machines,
            "typical": _rounded(job.typical, digits=4),
            "at_most": _rounded(job.most, digits=4),
            **({"unknown": job.unknown} if job.unknown else {}),
        }
        for job in jobs
    }


def _rounded(usd: float | None, *, digits: int = 2) -> float | None:
    return None if usd is None else round(usd, digits)


def _costs(
    settings: Settings, *, templates: Path, prices: Path | None, load: float, home: Path
) -> Costs:
    from sashiko.pipeline.compiled import compile_pipelines

    region_prices = read_prices(settings, own=prices)
    stacks = read_templates(settings, folder=templates)
    idle = idle_cost(stacks, region_prices)
    others = other_jobs(stacks, region_prices)
    if settings.environment == TOOLS:
        return Costs(settings=settings, prices=region_prices, idle=idle, others=others)
    recipe = use_recipe(settings, None)
    training, *others_of_packs = (
        parse_definition(json.loads(item.definition))
        for item in compile_pipelines(settings, recipe, home=home)
    )
    packs = load_packs(settings.packs, source="settings")
    of_packs = zip(
        ((pack.name, one) for pack in packs for one in pack.pipelines), others_of_packs, strict=True
    )
    target, serving = recipe.compile.target, settings.serving
    instance_types = serving.known_instance_types() | {target: serving.instance_type(target)}
    device = None if settings.device_check == "off" else instance_types[target]
    run = run_cost(training, region_prices, device=device)
    # One that sleeps is compared with the least that the tier allows.
    kept = max(serving.min_instances, idle.instances, 2 if settings.tier == "prod" else 1)
    predictions = prediction_costs(
        region_prices,
        # The speeds are those of encoders.
        instance_types={
            name: kind for name, kind in instance_types.items() if not load_target(name).causal_only
        },
        load=load,
        least=kept,
    )
    return Costs(
        settings=settings,
        prices=region_prices,
        idle=idle,
        run=run,
        pipelines=tuple(
            PipelineCosts(pack=pack, of=one, jobs=run_cost(definition, region_prices, device=None))
            for (pack, one), definition in of_packs
        ),
        others=others,
        load=load,
        instance_types=instance_types,
        predictions=predictions,
        modes=next(
            (mode_costs(one, region_prices) for one in predictions if one.target == target), None
        ),
    )


def _warnings(costs: Costs, *, today: dt.date) -> Iterator[str]:
    used = used_prices(costs)
    if stale_prices := stale(used, today=today):
        yield (
            f"{len(stale_prices)} of {len(used)} prices are older than 180 days, the oldest of "
            f"{stale_prices[0].read} ({stale_prices[0].source}); look them up and pass your own as "
            "--prices FILE"
        )
    if weak_count := sum(price.weak for price in used):
        yield (
            f"{weak_count} prices are not AWS's own word (`weak` in "
            "src/sashiko/account/prices.yaml)"
        )
    budget, idle = costs.settings.budget.amount, sum(known_lines(costs.idle).values())
    if idle > budget:
        yield (
            f"idle it costs {idle:.2f} a month, more than `budget.amount` in "
            f"config/ ({budget:g}): the alert comes without anybody using it"
        )
