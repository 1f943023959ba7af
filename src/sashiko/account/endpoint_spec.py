"""The specification of an endpoint by compile target: instance, image, driver, timeouts, variables.

The serving stack's endpoint and the pipeline's device check use the same specification, and the
preflight compares a model package with it.
"""

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import Field

from sashiko.account.images.job_images import JobImage, job_images, serving_image
from sashiko.account.names import (
    MODELS,
    bucket_name,
    model_package_group_name,
    prefix,
    trusted_signing_aliases,
)
from sashiko.base.yaml_models import Frozen, read_yaml, validate
from sashiko.errors import InputError
from sashiko.registry.preflight.expected import Bound, Expected, write_bounds
from sashiko.registry.preflight.scans import AcceptedFinding, ScanRule
from sashiko.settings.environment import Settings, file_of
from sashiko.settings.recipe import Recipe
from sashiko.settings.serving import ServingBound, ServingSection
from sashiko.settings.targets import load_target

__all__ = ["endpoint_name", "endpoint_spec", "served_package"]


# Scaling and retained instance counts refer to the variant by name, so the name never changes.
VARIANT: Final = "primary"
_AWAKE: Final = 2  # instances during an update of an endpoint that sleeps: a canary and another one
_PACKAGE = re.compile(
    r"arn:aws:sagemaker:(?P<region>[^:]+):(?P<account>\d+):model-package/(?P<group>[^/]+)/\d+"
)


@dataclass(frozen=True, kw_only=True)
class EndpointSpec:
    """An endpoint's variant."""

    target: str  # what the artifact is compiled for
    instance_type: str  # what it runs on
    image: JobImage  # what it runs in
    ami: str | None  # `InferenceAmiVersion`, which pins the driver; None leaves it to SageMaker
    cores: int  # accelerator cores of the instance; 0 if the target does not count them
    # Processes in the container: one for each core, or one that uses the whole machine.
    workers: int
    environment: Mapping[str, str]  # the container's variables, beside the package's own threshold
    utilization: tuple[str, ...]  # CloudWatch metrics of the instances, for the dashboard
    # Seconds of the artifact's download, and until the container answers. A first load of a Neuron
    # artifact takes minutes (aws-neuron-sdk #753), and the default check at start-up gives up
    # before (amazon-sagemaker-examples #3432).
    download_timeout: int = 600
    startup_timeout: int = 600


def endpoint_spec(settings: Settings, target: str) -> EndpointSpec:
    """Returns the specification of an environment's endpoint for a target.

    InputError if there is no such target, or no serving image for it in the region.
    """
    facts, instance_type = load_target(target), settings.serving.instance_type(target)
    cores = facts.cores.get(instance_type, 0)
    workers = max(cores, 1)
    return EndpointSpec(
        target=target,
        instance_type=instance_type,
        image=serving_image(settings, target),
        ami=facts.ami,
        cores=cores,
        workers=workers,
        environment={"SAGEMAKER_MODEL_SERVER_WORKERS": str(workers), **facts.environment},
        utilization=facts.utilization,
    )


def endpoint_name(settings: Settings, recipe: Recipe) -> str:
    """Returns the endpoint's name: that of its model package group, which outlives each version."""
    return model_package_group_name(settings, recipe.model_package_group)


def alarm_name(settings: Settings, subject: str) -> str:
    """Returns the name of an alarm of the endpoint; a deployment refers to its rollback alarms."""
    return f"{prefix(settings)}-endpoint-{subject}"


def served_package(settings: Settings, recipe: Recipe) -> str | None:
    """Returns the ARN of the version that an environment serves; None where it serves none.

    InputError if `serving` is enabled and its keys do not fit each other, the environment or the
    recipe.
    """
    serving = settings.serving
    if not serving.enabled:
        return None
    location = f"{file_of('serving', settings.environment)}: key `serving"
    arn, group = serving.model_package_arn, endpoint_name(settings, recipe)
    if arn is None:
        options = f"--env {settings.environment} --recipe {recipe.name}"
        raise InputError(
            f"{location}.model_package_arn`: nothing to serve; set the ARN of an approved version "
            f"of {group} (`sashiko model list {options}`), or `enabled: false`"
        )
    # SageMaker writes a group's name in lower case there.
    match = _PACKAGE.fullmatch(arn.lower())
    parts = match.groupdict() if match else {}
    expected = {"region": settings.region, "account": settings.account, "group": group.lower()}
    if mismatched := [key for key, value in expected.items() if parts.get(key) != value]:
        raise InputError(
            f"{location}.model_package_arn`: {arn} is of another {' and '.join(mismatched)} than "
            f"this environment serves: arn:aws:sagemaker:{settings.region}:{settings.account}:"
            f"model-package/{group}/<version>"
        )
    if serving.sleeps:
        _check_asynchronous(serving, location)
        return arn
    if serving.min_instances < 1:
        raise InputError(
            f"{location}.min_instances`: 0; an endpoint in mode `real-time` keeps 1 or more: set "
            "`mode: asynchronous` for one that sleeps"
        )
    if settings.tier == "prod" and serving.min_instances < 2:
        raise InputError(
            f"{location}.min_instances`: {serving.min_instances}; in tier `prod` set 2 or more: "
            "with a single instance, its failure is an outage and an update has no canary"
        )
    if serving.max_instances < serving.min_instances:
        raise InputError(
            f"{location}.max_instances`: {serving.max_instances} is less than `min_instances`, "
            f"{serving.min_instances}"
        )
    return arn


def _check_asynchronous(serving: ServingSection, location: str) -> None:
    for key, value, fits, why in (
        (
            "min_instances", serving.min_instances, serving.min_instances == 0,
            "set 0: an endpoint in mode `asynchronous` sleeps while nothing is queued",
        ),
        (
            "max_instances", serving.max_instances, serving.max_instances >= _AWAKE,
            f"set {_AWAKE} or more: an update wakes {_AWAKE}",
        ),
        (
            "capture.percent", serving.capture.percent, serving.capture.percent > 0,
            "in mode `asynchronous` requests and answers are objects, which all stay until "
            "`capture.retention` ends: set 1 or more",
        ),
    ):  # fmt: skip
        if not fits:
            raise InputError(f"{location}.{key}`: {value}; {why}")


_ACCEPTED = Path("images/accepted.yaml")


class Accepted(Frozen):
    """An accepted vulnerability, with an expiry date."""

    id: str = Field(min_length=4, description="OSV's id, or an alias such as CVE-2026-1234")
    package: str
    reason: str = Field(min_length=10, description="why it does no harm here")
    owner: str = Field(min_length=2, description="who answers for it")
    expires: dt.date = Field(description="the last day on which it holds (UTC)")


class _AcceptedFile(Frozen):
    accepted: tuple[Accepted, ...]


def read_accepted(path: Path) -> tuple[Accepted, ...]:
    """Reads the accepted vulnerabilities; InputError if the file is missing or not valid."""
    return validate(_AcceptedFile, read_yaml(path), source=str(path)).accepted


def expected_version(settings: Settings, recipe: Recipe) -> Expected | None:
    """Returns what `expected_of` the version that an environment serves; None if it serves none."""
    arn = served_package(settings, recipe)
    return expected_of(settings, recipe, arn) if arn else None


def expected_of(settings: Settings, recipe: Recipe, arn: str) -> Expected:
    """Returns the properties that a version needs to be served by an environment.

    InputError if there is no image for the recipe's target, or no gate of the recipe measures what
    a bound of the environment limits.
    """
    spec, serving = endpoint_spec(settings, recipe.compile.target), settings.serving
    return Expected(
        model_package_arn=arn,
        model_package_group=endpoint_name(settings, recipe),
        models_uri=f"s3://{bucket_name(settings, 'artifacts')}/{MODELS}",
        signing_keys=",".join(trusted_signing_aliases(settings)),
        image=spec.image.uri,
        target=spec.target,
        instance_type=spec.instance_type,
        min_instances=str(serving.min_instances),
        cores=str(spec.cores),
        workers=str(spec.workers),
        gates=required_gates(settings, recipe),
        allow_waived=str(serving.allow_waived).lower(),
        bounds=write_bounds(
            [_bound(settings, recipe, *numbered) for numbered in enumerate(serving.bounds)]
        ),
        scans=scan_rule(settings, recipe).write(),
    )


def required_gates(settings: Settings, recipe: Recipe) -> str:
    """Returns the gates with mandatory verdicts, with a comma between two.

    Any other verdict that was registered must have passed too.
    """
    facets = ("bias", "data-quality-facets") if recipe.bias.judged else ()
    device = () if settings.device_check == "off" else ("device",)
    return ",".join(("data-quality", "model-quality", *facets, *device))


def scan_rule(settings: Settings, recipe: Recipe) -> ScanRule:
    """Returns what the scans of an environment's own images must say before a deploy."""
    images = job_images(settings, recipe.compile.target)
    uris = dict.fromkeys(image.uri for image in (*images.of_jobs(), images.serving))
    accepted = read_accepted(_ACCEPTED) if _ACCEPTED.is_file() else ()
    return ScanRule(
        images=tuple(uri for uri in uris if uri.startswith(f"{settings.account}.")),
        accepted=tuple(AcceptedFinding(**item.model_dump(mode="json")) for item in accepted),
        strict=settings.tier == "prod",
    )


def _bound(settings: Settings, recipe: Recipe, number: int, bound: ServingBound) -> Bound:
    """Returns a bound for the preflight: only the values of gated metrics are signed."""
    gated: set[tuple[str, tuple[str, ...]]] = {
        *(
            (gate.metric, ())
            for gate in recipe.quality.gates
            if not gate.better_than and gate.of_class is None
        ),
        *((gate.metric, gate.facets) for gate in recipe.bias.gates if not gate.change_since),
    }
    if (bound.metric, bound.facets) not in gated:
        known = ", ".join(" of ".join((m, " & ".join(f))) if f else m for m, f in sorted(gated))
        raise InputError(
            f"{file_of('serving', settings.environment)}: key `serving.bounds.{number}`: the "
            f"recipe {recipe.name} has no gate on {bound}, so no version is signed with its "
            f"value; add one to the recipe, or bound what it gates: {known or 'nothing'}"
        )
    return Bound(
        gate="bias" if bound.facets else "model-quality",
        metric=bound.metric,
        facets=bound.facets,
        minimum=bound.minimum,
        maximum=bound.maximum,
        judged_by=bound.judged_by,
    )
