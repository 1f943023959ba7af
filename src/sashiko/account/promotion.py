"""Promotion: registers an approved version of one environment in another one, as pending.

Only facts signed by the source's key are trusted. SageMaker's metadata are not, because every
approver can change them.
"""

import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC
from pathlib import Path
from typing import Any

import regex

from sashiko.account.account import Account
from sashiko.account.endpoint_spec import endpoint_name, expected_of
from sashiko.account.names import (
    MODELS,
    arn,
    bucket_name,
    key_alias,
    model_package_arn,
    role_name,
    trusted_signing_aliases,
)
from sashiko.base.custom_resource import RefusedError
from sashiko.contract.manifest import read_manifest
from sashiko.errors import InputError
from sashiko.evaluation.evaluation_record import METRICS_FILE, read_evaluation
from sashiko.evaluation.gates.verdict import gate_tags, read_verdict
from sashiko.registry.model_packages.registrar import PackageRegistrar, Placement
from sashiko.registry.preflight import signed_files
from sashiko.registry.preflight.expected import Expected
from sashiko.registry.preflight.version_check import Judged, judge
from sashiko.registry.versions import ARTIFACT_FILE, ModelVersion, figure_text
from sashiko.serving.compile_lock import read_lock
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe

_MOST = 256  # characters of a metadata value
_NOT_ALLOWED = regex.compile(r"[^\p{L}\p{Z}\p{N}_.:/=+\-@]")
# The new version has its own values of them, or none.
_OWN = frozenset({"manifest", "mlflow_run_id", "signature"})


@dataclass(frozen=True, kw_only=True)
class Route:
    """The source and the target of a promotion."""

    source: Settings  # the environment whose version is taken
    target: Settings  # the environment that takes it
    recipe: Recipe  # the recipe of the model package group

    def package(self, number: int) -> str:
        """Returns the ARN of a version of the source."""
        return model_package_arn(self.source, self.recipe.model_package_group, number)

    def expected(self, number: int) -> Expected:
        """Returns the properties that the source's version needs to be served by the target.

        InputError if there is no image for the recipe's target, or the two have different ones.
        """
        package = self.package(number)
        source, target = (expected_of(s, self.recipe, package) for s in (self.source, self.target))
        images = [item.image.rpartition("/")[2] for item in (source, target)]
        if images[0] != images[1]:
            raise InputError(
                f"{self.source.environment} serves in {images[0]}, {self.target.environment} in "
                f"{images[1]}: a version is compiled for one image; give both the same "
                "`image_digests` in config/"
            )
        return replace(
            target,
            model_package_group=source.model_package_group,
            models_uri=source.models_uri,
            signing_keys=",".join(
                arn(self.source, "kms", alias) for alias in trusted_signing_aliases(self.source)
            ),
            image=source.image,
        )


def promote(route: Route, number: int) -> tuple[ModelVersion, bool]:
    """Copies an approved version into the target's registry, where it waits for approval.

    Each file is compared with the signed manifest before anything is written; the target's key
    signs the same manifest. A call after an aborted one creates no second version.

    Returns:
        The target's version, and whether it is new.

    Raises:
        InputError: if the caller is not the target's promoter, the version may not be served, its
            metadata contradict its signed files, or AWS refuses a call.
    """
    account, expected = Account(route.target), route.expected(number)
    caller = account.check_identity()
    promoter = role_name(route.target, "promoter")
    if f":assumed-role/{promoter}/" not in caller:
        raise InputError(
            f"{caller} may not promote: only the role {promoter} does; assume it (AWS_PROFILE, or "
            "aws sts assume-role) and run the command again"
        )
    clients = signed_files.connect(account.client)
    with (
        tempfile.TemporaryDirectory() as name,
        account.translate_errors(f"promoting {route.package(number)}"),
    ):
        folder = Path(name)
        try:
            judged = judge(clients, expected)
            _print(f"{route.package(number)}: approved, judged, signed by {judged.files.signed_by}")
            judged.files.save(folder)
        except RefusedError as refusal:
            raise InputError(f"not promoted: {refusal}") from refusal
        _print(f"{len(judged.files.digests)} files match the signed manifest")
        tags = _tags(folder, judged, source=route.package(number))
        target = route.target
        placement = Placement(
            models_uri=f"s3://{bucket_name(target, 'artifacts')}/{MODELS}",
            signing_key=key_alias(target, "signing"),
            serving_image=expected_of(target, route.recipe, route.package(number)).image,
            made_from=route.package(number),
        )
        return PackageRegistrar(clients, placement).register(
            endpoint_name(route.target, route.recipe),
            files=folder,
            run_id=None,
            threshold=float(judged.threshold),
            tags=tags,
        )


def _tags(folder: Path, judged: Judged, *, source: str) -> dict[str, str]:
    """Returns the new version's tags: those of the source, and the facts about its approval.

    InputError if a tag contradicts the signed files.
    """
    tags = dict(judged.package.get("CustomerMetadataProperties", {}))
    snapshot = read_manifest(folder)
    evaluation = read_evaluation(folder / METRICS_FILE)
    metric, _ = evaluation.compared
    verdicts = [read_verdict(folder / name) for name in judged.files.digests if "verdict." in name]
    gates = gate_tags(verdicts, bias_not_judged="")
    signed = {
        "artifact_sha256": judged.files.digests[ARTIFACT_FILE],
        "contract": snapshot.contract.id,
        "contract_sha256": snapshot.contract.sha256,
        "contract_version": snapshot.contract.version,
        "data_sha256": snapshot.sha256,
        "manifest_sha256": judged.files.manifest_sha256,
        f"metric.{metric}": figure_text(evaluation.candidate[metric].value),
        "threshold": judged.threshold,
        **read_lock(folder).facts(),
        **{key: value for key, value in gates.items() if not key.endswith(".reason")},
    }
    for key, value in tags.items():
        # A gate that the recipe does not have has no verdict.
        signed_value = signed.get(key, "not judged" if key.startswith("gate.") else value)
        if value != signed_value:
            raise InputError(
                f"not promoted: the metadata `{key}` of {source} says {value!r}, but its signed "
                f"files say {signed_value!r}; reject it and find out who changed it"
            )
    copied = {key: value for key, value in tags.items() if key not in _OWN}
    package: Mapping[str, Any] = judged.package
    changed = package.get("LastModifiedTime")
    approver = package.get("LastModifiedBy", {}).get("IamIdentity", {}).get("Arn")
    facts = {
        "source.package": source,
        "source.approved_at": changed and f"{changed.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "source.approved_by": approver,
        "source.approval": package.get("ApprovalDescription"),
        "source.mlflow_run_id": package.get("CustomerMetadataProperties", {}).get("mlflow_run_id"),
        "source.signature": judged.files.signature,
        "source.signed_by": judged.files.signed_by,
    }
    return {
        **copied,
        **signed,
        **{key: _NOT_ALLOWED.sub(" ", str(value))[:_MOST] for key, value in facts.items() if value},
    }


def _print(text: str) -> None:
    print(text, file=sys.stderr)
