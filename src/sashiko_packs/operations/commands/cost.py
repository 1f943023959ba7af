"""`sashiko env cost`: what an environment costs idle, a run, and a million predictions."""

import datetime as dt
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from sashiko.account.prices import HOURS_A_MONTH, Price, Prices, read_prices, stale, total
from sashiko.account.templates import CDK_OUT, Resource, Templates, read_templates
from sashiko.base.files import read_json
from sashiko.base.yaml_models import Frozen, read_yaml, validate
from sashiko.commands.options import AsJson, Home, Place, TemplatesFolder
from sashiko.errors import CHECK_FAILED, InputError
from sashiko.packs import load_object, load_packs
from sashiko.pipeline.definition.definition_records import parse_definition
from sashiko.pipeline.project import HOME, use_recipe
from sashiko.pipeline.use_cost import (
    WAKE_HOURS,
    JobCost,
    ModeCosts,
    PipelineCosts,
    PredictionCost,
    mode_costs,
    other_jobs,
    prediction_costs,
    run_cost,
)
from sashiko.settings.environment import Settings
from sashiko.settings.targets import load_target
from sashiko.settings.tools import TOOLS, load_place

_FILE = Path(__file__).parents[1] / "idle_cost.yaml"
_ENDPOINT = "AWS::SageMaker::Endpoint"
_CONFIG = "AWS::SageMaker::EndpointConfig"
_TARGET = "AWS::ApplicationAutoScaling::ScalableTarget"
_ALARMS_OF_TARGET_TRACKING = 2  # CloudWatch's own: one to scale out, one to scale in


class Unpriced(Frozen):
    """The types of resource without a price while they are idle, as `idle_cost.yaml` has them."""

    by_use: dict[str, str]  # type -> what is billed by use
    free: frozenset[str]  # never billed


@dataclass(frozen=True, kw_only=True)
class Charge:
    """A monthly charge of a resource that exists."""

    stack: str  # the stack that holds it
    what: str  # in words
    quantity: float  # how many units a month
    price: Price | None  # of one unit; None if it is unknown

    @property
    def monthly(self) -> float | None:
        """US dollars a month; None if that is unknown."""
        return self.quantity * self.price.usd if self.price else None


def charges(templates: Templates, prices: Prices) -> Iterator[Charge]:
    """Yields the charges of an environment that is not used.

    InputError if a price is not known, or a template is not understood.
    """
    for kind, rule in _RULES.items():
        for resource in templates.of_type(kind):
            for what, quantity, price in rule(resource, templates, prices):
                yield Charge(stack=resource.stack, what=what, quantity=quantity, price=price)


_ChargeLines = Iterator[tuple[str, float, Price | None]]


def _vpc_endpoint(resource: Resource, templates: Templates, prices: Prices) -> _ChargeLines:
    properties = resource.properties
    if properties.get("VpcEndpointType") != "Interface":
        return
    zones, name = len(properties["SubnetIds"]), str(properties["ServiceName"])
    name = name.replace(f"{templates.region}.", "").removeprefix("com.amazonaws.")
    what = f"VPC endpoint {name}, {zones} zone{'s' if zones > 1 else ''}"
    yield what, zones * HOURS_A_MONTH, prices.of("interface_endpoint_hour")


def _key(resource: Resource, templates: Templates, prices: Prices) -> _ChargeLines:
    names = [
        alias.properties["AliasName"]
        for alias in templates.of_type("AWS::KMS::Alias")
        if _is_of(alias.properties["TargetKeyId"], resource)
    ]
    yield f"KMS key {', '.join(names) or resource.logical_id}", 1, prices.of("kms_key_month")


def _alarm(resource: Resource, _: Templates, prices: Prices) -> _ChargeLines:
    properties = resource.properties
    stats = [item["MetricStat"] for item in properties.get("Metrics", ()) if "MetricStat" in item]
    periods = [int(item.get("Period", 60)) for item in stats or [properties]]
    fast = min(periods) < 60
    price = prices.of("fast_alarm_metric_month" if fast else "alarm_metric_month")
    yield f"alarm {properties.get('AlarmName', resource.logical_id)}", len(periods), price


def _dashboard(resource: Resource, _: Templates, prices: Prices) -> _ChargeLines:
    name = resource.properties.get("DashboardName", resource.logical_id)
    yield f"dashboard {name}", 1, prices.of("dashboard_month")


def _scaling_policy(resource: Resource, _: Templates, prices: Prices) -> _ChargeLines:
    if resource.properties.get("PolicyType") == "TargetTrackingScaling":
        name = resource.properties.get("PolicyName", resource.logical_id)
        price = prices.of("alarm_metric_month")
        yield f"alarms of the scaling policy {name}", _ALARMS_OF_TARGET_TRACKING, price


def _endpoint(resource: Resource, templates: Templates, prices: Prices) -> _ChargeLines:
    name = str(resource.properties.get("EndpointName", resource.logical_id))
    for variant in _variants(resource, templates):
        count, kind = _least(templates, name, variant), variant["InstanceType"]
        what = f"endpoint {name}, {variant['VariantName']}: {count} x {kind}"
        yield what, count * HOURS_A_MONTH, prices.instances.get(kind)
        if size := variant.get("VolumeSizeInGB"):
            yield f"{what}, volumes", count * float(size), prices.of("volume_gb_month")


def least_instances(templates: Templates) -> int:
    """Returns how many instances the idle endpoints keep; 0 without an endpoint."""
    return sum(
        _least(templates, str(endpoint.properties.get("EndpointName")), variant)
        for endpoint in templates.of_type(_ENDPOINT)
        for variant in _variants(endpoint, templates)
    )


def _variants(endpoint: Resource, templates: Templates) -> Iterator[Mapping[str, Any]]:
    config_name = endpoint.properties["EndpointConfigName"]
    for config in templates.of_type(_CONFIG):
        properties = config.properties
        if _is_of(config_name, config) or config_name == properties.get("EndpointConfigName"):
            yield from properties.get("ProductionVariants", ())


def _least(templates: Templates, endpoint: str, variant: Mapping[str, Any]) -> int:
    """Returns how many instances an idle variant keeps: scaling goes down to its minimum."""
    scaled = f"endpoint/{endpoint}/variant/{variant['VariantName']}"
    for target in templates.of_type(_TARGET):
        if target.properties["ResourceId"] == scaled:
            return int(target.properties["MinCapacity"])
    return int(variant["InitialInstanceCount"])


def _is_of(reference: object, resource: Resource) -> bool:
    """Says whether a reference is to a resource: by `Ref`, or by one of its attributes."""
    prefix = f"<{resource.stack}.{resource.logical_id}"
    return reference == resource.ref or str(reference).startswith((f"{prefix}.", f"{prefix}>"))


_Rule = Callable[[Resource, Templates, Prices], _ChargeLines]
_RULES: Mapping[str, _Rule] = {
    "AWS::ApplicationAutoScaling::ScalingPolicy": _scaling_policy,
    "AWS::CloudWatch::Alarm": _alarm,
    "AWS::CloudWatch::Dashboard": _dashboard,
    "AWS::EC2::VPCEndpoint": _vpc_endpoint,
    "AWS::KMS::Key": _key,
    _ENDPOINT: _endpoint,
}
# Types with a price; the last two are part of the price of their endpoint.
PRICED = frozenset({*_RULES, _CONFIG, _TARGET})
# A function of ours that CloudFormation calls in a deploy: it is priced as the function is.
_CUSTOM = ("Custom::", "AWS::CloudFormation::CustomResource")
_CENT = 0.005


@dataclass(frozen=True, kw_only=True)
class IdleCost:
    """The idle cost of an environment."""

    charges: tuple[Charge, ...]  # line by line
    instances: int  # the fewest that its endpoint keeps; 1 if it has none
    by_use: Mapping[str, str]  # type that is billed by use -> how

    @property
    def monthly(self) -> float | None:
        """US dollars a month; None if a price is unknown."""
        return total(charge.monthly for charge in self.charges)


def idle_cost(templates: Templates, prices: Prices) -> IdleCost:
    """Returns the cost of the templates' resources while the environment is idle.

    InputError if a type of resource is not known here, or a price is not.
    """
    kinds, unpriced = templates.types(), validate(Unpriced, read_yaml(_FILE), source=_FILE.name)
    unknown = {
        kind: stack
        for kind, stack in kinds.items()
        if kind not in PRICED | unpriced.free | unpriced.by_use.keys()
        and not kind.startswith(_CUSTOM)
    }
    if unknown:
        listing = ", ".join(f"{kind} ({stack})" for kind, stack in sorted(unknown.items()))
        raise InputError(
            f"no cost rule for {listing}; add a rule to commands/cost.py, or a line with the "
            "reason why it costs nothing while it is idle to idle_cost.yaml, both in "
            "src/sashiko_packs/operations/"
        )
    all_charges = sorted(charges(templates, prices), key=lambda charge: (charge.stack, charge.what))
    return IdleCost(
        charges=tuple(all_charges),
        instances=max(1, least_instances(templates)),
        by_use={kind: unpriced.by_use[kind] for kind in sorted(kinds) if kind in unpriced.by_use},
    )


def describe_rise(cost: IdleCost, *, before: Any, allowed: float) -> str | None:
    """Returns a message if an environment's idle cost rose by more than is allowed.

    `before` is an earlier output of `sashiko env cost --json`, `allowed` is in US dollars a month.
    InputError if `before` is not such an output, or an amount of the two is unknown.
    """
    current = known_lines(cost)
    try:
        earlier = {str(name): float(usd) for name, usd in before["idle"]["lines"].items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError("--against: expected an output of `sashiko env cost --json`") from error
    if unknown := sorted({*lines(cost)} - {*current}):
        raise InputError(
            f"--against: the rise is unknown, as the cost is of {'; '.join(unknown)}: give the "
            "price in your own file, as --prices FILE"
        )
    rise = sum(current.values()) - sum(earlier.values())
    if rise <= allowed:
        return None
    changes = {
        name: current.get(name, 0) - earlier.get(name, 0)
        for name in current.keys() | earlier.keys()
    }
    listing = [f"{usd:+.2f} {name}" for name, usd in sorted(changes.items()) if abs(usd) >= _CENT]
    return (
        f"idle it costs {rise:.2f} dollars a month more, from {sum(earlier.values()):.2f} to "
        f"{sum(current.values()):.2f}; `budget.idle_rise` allows {allowed:g}: {'; '.join(listing)}"
    )


def lines(cost: IdleCost) -> Mapping[str, float | None]:
    """Returns line -> US dollars a month, None if unknown; equal lines are added up."""
    amounts: dict[str, list[float | None]] = {}
    for charge in cost.charges:
        amounts.setdefault(f"{charge.stack}: {charge.what}", []).append(charge.monthly)
    sums = {name: total(values) for name, values in amounts.items()}
    return {name: usd if usd is None else round(usd, 2) for name, usd in sums.items()}


def known_lines(cost: IdleCost) -> dict[str, float]:
    """Returns the lines whose cost is known."""
    return {name: usd for name, usd in lines(cost).items() if usd is not None}


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
    tools = settings.environment == TOOLS
    for part in (
        (_idle, _delivery)
        if tools
        else (
            _idle,
            _run,
            _pipelines,
            _predictions,
            _modes,
        )
    ):
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


def _run(costs: Costs) -> Iterator[str]:
    assumed = costs.prices.typical_job
    yield f"one run of {costs.settings.recipe}, about and at most:"
    yield from _jobs(costs.run)
    yield "one load, and one build of images where a deploy changes them:"
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
    against: Annotated[
        Path | None, typer.Option(help="An earlier --json output to compare idle costs with.")
    ] = None,
    home: Home = HOME,
    json_: AsJson = False,
) -> None:
    """Print what an environment costs: idle per month, per run, per million predictions.

    It needs `make synth`, but no account. Prices are on demand in US dollars, without tax, free
    tiers and discounts. A cost without a known price is `unknown` (`null` in JSON), and a sum names
    what it lacks. Exit status: 0; 4 the idle cost rose over --against by more than
    `budget.idle_rise`; 1 an error.
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
    if against:
        problem = describe_rise(
            costs.idle, before=read_json(against), allowed=settings.budget.idle_rise
        )
        if problem:
            print(f"error: {problem}", file=sys.stderr)
            raise typer.Exit(CHECK_FAILED)


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
            one.key: {
                "jobs": _jobs_as_json(one.jobs),
                **{key: _rounded(usd) for key, _, usd in one.months},
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
    of_packs = zip((one for pack in packs for one in pack.pipelines), others_of_packs, strict=True)
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
            load_object(one.costs)(
                recipe, run=run, jobs=run_cost(definition, region_prices, device=None)
            )
            for one, definition in of_packs
            if one.costs
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
