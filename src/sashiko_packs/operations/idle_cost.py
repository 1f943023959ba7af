"""What the resources of an environment's templates cost while nobody uses them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sashiko.account.prices import HOURS_A_MONTH, Price, Prices, total
from sashiko.account.templates import Resource, Templates
from sashiko.base.yaml_models import Frozen, read_yaml, validate
from sashiko.errors import InputError

_FILE = Path(__file__).with_name("idle_cost.yaml")
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
            f"no cost rule for {listing}; add a rule to idle_cost.py, or a line with the "
            "reason why it costs nothing while it is idle to idle_cost.yaml, both in "
            "src/sashiko_packs/operations/"
        )
    all_charges = sorted(charges(templates, prices), key=lambda charge: (charge.stack, charge.what))
    return IdleCost(
        charges=tuple(all_charges),
        instances=max(1, least_instances(templates)),
        by_use={kind: unpriced.by_use[kind] for kind in sorted(kinds) if kind in unpriced.by_use},
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
