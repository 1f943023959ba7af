"""The properties that a version needs to be served by an environment."""

import datetime as dt
from pathlib import Path

from pydantic import Field

from sashiko.account.endpoint_spec import endpoint_name, endpoint_spec, served_package
from sashiko.account.images.job_images import job_images
from sashiko.account.names import MODELS, bucket_name, trusted_signing_aliases
from sashiko.base.yaml_models import Frozen, read_yaml, validate
from sashiko.errors import InputError
from sashiko.registry.preflight.expected import Bound, Expected, write_bounds
from sashiko.registry.preflight.scans import AcceptedFinding, ScanRule
from sashiko.settings.environment import Settings, file_of
from sashiko.settings.recipe import Recipe
from sashiko.settings.serving import ServingBound

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
    """Reads the accepted vulnerabilities.

    Raises:
        InputError: if the file is missing, or an entry lacks a reason, an owner or a last day.
    """
    return validate(_AcceptedFile, read_yaml(path), source=str(path)).accepted


def expected_version(settings: Settings, recipe: Recipe) -> Expected | None:
    """Returns the expected properties of the version an environment serves; None if it serves none.

    Raises:
        InputError: if `serving` does not fit the environment or the recipe, or there is no image.
    """
    arn = served_package(settings, recipe)
    return expected_of(settings, recipe, arn) if arn else None


def expected_of(settings: Settings, recipe: Recipe, arn: str) -> Expected:
    """Returns the properties that a version needs to be served by an environment.

    Raises:
        InputError: if there is no image for the recipe's target, or no gate of the recipe
            measures what a bound of the environment limits.
    """
    spec = endpoint_spec(settings, recipe.compile.target)
    facets = ("bias", "data-quality-facets") if recipe.bias.judged else ()
    device = () if settings.device_check == "off" else ("device",)
    return Expected(
        model_package_arn=arn,
        model_package_group=endpoint_name(settings, recipe),
        models_uri=f"s3://{bucket_name(settings, 'artifacts')}/{MODELS}",
        signing_keys=",".join(trusted_signing_aliases(settings)),
        image=spec.image.uri,
        target=spec.target,
        instance_type=spec.instance_type,
        min_instances=str(settings.serving.min_instances),
        cores=str(spec.cores),
        workers=str(spec.workers),
        gates=",".join(("data-quality", "model-quality", *facets, *device)),
        allow_waived=str(settings.serving.allow_waived).lower(),
        bounds=write_bounds(
            [
                _bound(settings, recipe, number, bound)
                for number, bound in enumerate(settings.serving.bounds)
            ]
        ),
        scans=scan_rule(settings, recipe).write(),
    )


def scan_rule(settings: Settings, recipe: Recipe) -> ScanRule:
    """Returns what the scans of an environment's own images must say before a deploy.

    Raises:
        InputError: if there is no image for the recipe's target, or `images/accepted.yaml` is not
            valid.
    """
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
        *((gate.metric, ()) for gate in recipe.quality.gates if not gate.better_than),
        *((gate.metric, gate.facets) for gate in recipe.bias.gates),
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
