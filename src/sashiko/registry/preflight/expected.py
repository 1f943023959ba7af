"""What a version needs to be served by an environment, from its templates.

A recipe's gates decide in the training account what is registered. The serving environment decides
what is served: it has bounds of its own, and checks the signed values itself.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from sashiko.base.function_input import Properties

# `gender=female & age_band=60+`: of an intersection, as the bias gate names its checks.
_AND = " & "


@dataclass(frozen=True, kw_only=True)
class Expected(Properties):
    """The expected properties of a version; all strings, as a custom resource's properties are."""

    model_package_arn: str  # the version
    model_package_group: str  # the environment's own group
    models_uri: str  # S3 URI that the groups' signed files lie under
    signing_keys: str  # aliases or ARNs of the KMS keys whose signatures count, a comma between
    image: str  # URI of the image that the endpoint runs in
    target: str  # the endpoint's compile target
    instance_type: str  # the endpoint's
    # Of the endpoint; from 2 on an update of it sends a canary ahead. 0 if it sleeps.
    min_instances: str
    cores: str  # its accelerator cores; 0 if its target does not count them
    workers: str  # processes in a container, each with cores of its own
    gates: str  # that must have judged and passed, with a comma between two
    allow_waived: str  # `true` if a failed check may be served while its waiver holds, else `false`
    bounds: str  # the environment's own, as `write_bounds` writes them
    scans: str  # the rule for its images, as `sashiko.registry.preflight.scans` writes it

    @property
    def endpoint(self) -> str:
        """The endpoint's name: the group's, since it outlives each version."""
        return self.model_package_group

    @property
    def sleeps(self) -> bool:
        """Whether the endpoint is asynchronous."""
        return self.min_instances == "0"


@dataclass(frozen=True, kw_only=True)
class Bound:
    """A bound on a metric."""

    gate: str  # whose signed verdict holds it
    metric: str  # its name in a check, such as `auc` or `DI`
    # Of a bias metric: one, or those of an intersection; every group of it that the gate judged has
    # to hold.
    facets: tuple[str, ...]
    minimum: float | None  # None where there is none
    maximum: float | None  # likewise
    judged_by: str  # `value`, the point estimate; `bound`, the whole 95 % interval

    @classmethod
    def read(cls, text: str) -> tuple[Self, ...]:
        """Reads bounds from the text that a template carries."""
        return tuple(cls(**{**item, "facets": tuple(item["facets"])}) for item in json.loads(text))

    def is_of(self, name: str) -> bool:
        """Says whether it bounds the check of that name."""
        if not self.facets:
            return name == self.metric
        metric, _, subgroup = name.partition(" ")
        parts = re.split(rf"{_AND}(?=\w+=)", subgroup)
        return metric == self.metric and tuple(p.partition("=")[0] for p in parts) == self.facets

    def requirement(self) -> str:
        """Returns the required range in words."""
        low, high = self.minimum, self.maximum
        limit = f"at least {low:g}" if high is None else f"at most {high:g}"
        if low is not None and high is not None:
            limit = f"from {low:g} to {high:g}"
        return f"{limit} for the whole interval" if self.judged_by == "bound" else limit

    def __str__(self) -> str:
        """Names it, such as `DI of gender`."""
        return f"{self.metric} of {_AND.join(self.facets)}" if self.facets else self.metric


def write_bounds(bounds: Sequence[Bound]) -> str:
    """Writes bounds as the text that a template carries."""
    return json.dumps([asdict(bound) for bound in bounds], sort_keys=True)


def bound_problems(bound: Bound, verdict: Mapping[str, Any]) -> Iterator[str]:
    """Yields the checks of a signed verdict that violate a bound, or lack its value."""
    checks = [item for item in verdict.get("checks", ()) if bound.is_of(str(item.get("name")))]
    if not checks:
        yield f"no {bound} was judged"
    for check in checks:
        whole = bound.judged_by == "bound"
        low, high = (check.get(name) for name in (("low", "high") if whole else ("value",) * 2))
        if low is None or high is None:
            yield f"{check['name']} was signed without {'an interval' if whole else 'a value'}"
        elif (bound.minimum is not None and low < bound.minimum) or (
            bound.maximum is not None and high > bound.maximum
        ):
            yield describe(check)


def describe(check: Mapping[str, Any]) -> str:
    """Says a signed check's value, with its interval where it has one."""
    text = f"{check['name']} is {check.get('value'):.4g}"
    if check.get("low") is None or check.get("high") is None:
        return text
    return f"{text} [{check['low']:.4g}, {check['high']:.4g}]"
