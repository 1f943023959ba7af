"""Registers a version: signed files first, then its lineage, then the package, pending approval."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import regex

from sashiko.base.aws_calls import Clients
from sashiko.base.files import read_json, sha256_bytes
from sashiko.bias.gates.estimates import INTERVALS_FILE, POST_ANALYSIS_FILE, PRE_ANALYSIS_FILE
from sashiko.errors import InputError
from sashiko.evaluation.evaluation_record import METRICS_FILE
from sashiko.evaluation.reference import REFERENCE_FILE
from sashiko.registry.card.model_card import CARD_FILE, card_text
from sashiko.registry.model_packages.clients import translate_errors
from sashiko.registry.model_packages.model_files import (
    MANIFEST_FILE,
    SIGNATURE_FILE,
    ModelFiles,
    model_files,
    publish,
    signing_key_arn,
)
from sashiko.registry.model_packages.registry import PackageRegistry
from sashiko.registry.versions import (
    ARTIFACT_FILE,
    SIGNED_BY_TAG,
    ModelVersion,
    already_registered,
    recorded,
)
from sashiko.serving.compile_lock import read_lock
from sashiko.settings.targets import load_target

Edge = Literal["ContributedTo", "DerivedFrom", "Produced"]
_ACTION_NAME = 120
_ALLOWED = regex.compile(r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*")
_MAX_LENGTHS = {"key": 128, "value": 256}
_FREE_TEXT = frozenset({"gate.bias.reason", "gate.device.reason"})
_QUALITY = {
    "ModelQuality": {"Statistics": METRICS_FILE, "Constraints": "model-quality/verdict.json"},
    "ModelDataQuality": {
        "Statistics": REFERENCE_FILE,
        "Constraints": "data-quality/verdict.json",
    },
}
_JSON = ["application/json"]
_TOKEN = 36  # characters of a client token


# Records the SageMaker lineage of a model: data, action, model and model package.
#
# Each entity is looked up before it is created, so a retry adds no duplicates.


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The origin of a model."""

    group: str
    execution_id: str  # the pipeline execution; with the group it names the action
    git_sha: str
    made_from: str  # S3 URI of the training snapshot, or ARN of the version that this one copies
    data_sha256: str
    model_uri: str
    model_sha256: str
    manifest_uri: str


@dataclass(frozen=True)
class Lineage:
    """SageMaker's lineage of one model."""

    client: Any  # boto3's, of SageMaker
    origin: Origin

    def record_model(self) -> None:
        """Records data, action and model.

        Raises:
            InputError: if SageMaker refuses.
        """
        with translate_errors(f"record the lineage of {self.origin.model_uri}"):
            data, action, model = self._entities()
            self._associate(data, action, "ContributedTo")
            self._associate(action, model, "Produced")
            self._associate(data, model, "DerivedFrom")

    def record_package(self, arn: str) -> None:
        """Records that a model package holds the model.

        Raises:
            InputError: if SageMaker refuses.
        """
        with translate_errors(f"record the lineage of {arn}"):
            _, action, model = self._entities()
            package = self._artifact(arn, "ModelPackage", {})
            self._associate(action, package, "Produced")
            self._associate(model, package, "DerivedFrom")

    def _entities(self) -> tuple[str, str, str]:
        origin = self.origin
        if origin.made_from.startswith("s3://"):
            data = self._artifact(origin.made_from, "DataSet", {"sha256": origin.data_sha256})
        else:
            data = self._artifact(origin.made_from, "ModelPackage", {})
        model = self._artifact(origin.model_uri, "Model", {"sha256": origin.model_sha256})
        return data, self._action(), model

    def _artifact(self, uri: str, kind: str, properties: Mapping[str, str]) -> str:
        artifacts = self.client.list_artifacts(SourceUri=uri, ArtifactType=kind)[
            "ArtifactSummaries"
        ]
        if artifacts:
            return str(artifacts[0]["ArtifactArn"])
        response = self.client.create_artifact(
            Source={"SourceUri": uri}, ArtifactType=kind, Properties=dict(properties)
        )
        return str(response["ArtifactArn"])

    def _action(self) -> str:
        origin = self.origin
        name = f"{origin.group}-{origin.execution_id}"[:_ACTION_NAME]
        try:
            return str(self.client.describe_action(ActionName=name)["ActionArn"])
        except self.client.exceptions.ResourceNotFound:
            response = self.client.create_action(
                ActionName=name,
                Source={"SourceUri": origin.manifest_uri},
                ActionType="ModelRegistration",
                Status="Completed",
                Properties={"execution_id": origin.execution_id},
                MetadataProperties={"CommitId": origin.git_sha},
            )
            return str(response["ActionArn"])

    def _associate(self, source: str, destination: str, edge: Edge) -> None:
        ends = {"SourceArn": source, "DestinationArn": destination}
        if not self.client.list_associations(**ends)["AssociationSummaries"]:
            self.client.add_association(**ends, AssociationType=edge)


# The metadata of a model package: S3 URIs, digests, ids and single words.
#
# SageMaker limits its metadata's keys to 128 and values to 256 characters, of letters, digits,
# spaces and `_.:/=+-@` (CustomerMetadataKey and CustomerMetadataValue in botocore's model of the
# API), and supports tags on a group, not on a version (aws-cdk #33699). Free text and nested values
# are in the signed files and in the model card.


def package_metadata(
    tags: Mapping[str, str], files: ModelFiles, *, run_id: str | None
) -> dict[str, str]:
    """Returns a package's metadata.

    Raises:
        InputError: naming the entry that SageMaker would refuse.
    """
    values = {key: value for key, value in tags.items() if key not in _FREE_TEXT} | {
        "manifest": files.file_uri(MANIFEST_FILE),
        "manifest_sha256": files.manifest_sha256,
        "signature": files.file_uri(SIGNATURE_FILE),
    }
    if run_id is not None:
        values["mlflow_run_id"] = run_id
    for key, value in values.items():
        _check("key", key, entry=key)
        _check("value", value, entry=key)
    return values


def _check(kind: str, text: str, *, entry: str) -> None:
    if not 0 < len(text) <= _MAX_LENGTHS[kind]:
        raise InputError(
            f"metadata `{entry}`: its {kind} has {len(text)} characters, a model package takes 1 "
            f"to {_MAX_LENGTHS[kind]}; shorten it in the recipe or the contract"
        )
    if not _ALLOWED.fullmatch(text):
        raise InputError(
            f"metadata `{entry}`: a model package takes letters, digits, spaces and _.:/=+-@, not "
            f"{text!r}; change it in the recipe or the contract"
        )


def model_metrics(files: ModelFiles) -> dict[str, Any]:
    """Returns `ModelMetrics`: the metrics, and the verdicts as their constraints."""
    return _present(
        files,
        _QUALITY
        | {
            "Bias": {
                "Report": INTERVALS_FILE,
                "PreTrainingReport": PRE_ANALYSIS_FILE,
                "PostTrainingReport": POST_ANALYSIS_FILE,
            },
        },
    )


def drift_baselines(files: ModelFiles) -> dict[str, Any]:
    """Returns `DriftCheckBaselines`: the baselines for later data and predictions."""
    return _present(
        files,
        _QUALITY
        | {
            "Bias": {
                "PreTrainingConstraints": PRE_ANALYSIS_FILE,
                "PostTrainingConstraints": POST_ANALYSIS_FILE,
            },
        },
    )


def _present(files: ModelFiles, specs: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """Returns the reports that exist; a run without facets has no bias reports."""
    entries = {
        kind: {
            key: {
                "ContentType": "application/json",
                "ContentDigest": f"sha256:{files.digests[name]}",
                "S3Uri": files.file_uri(name),
            }
            for key, name in names.items()
            if name in files.digests
        }
        for kind, names in specs.items()
    }
    return {kind: sources for kind, sources in entries.items() if sources}


@dataclass(frozen=True, kw_only=True)
class Placement:
    """The parameters of a package besides its files."""

    models_uri: str  # S3 URI above the prefixes of all models
    signing_key: str  # alias or ARN of the KMS key that signs manifests
    serving_image: str
    made_from: str  # S3 URI of the training snapshot, or ARN of the version that is copied


class PackageRegistrar:
    """Registers versions as pending approval; it does not approve them."""

    def __init__(self, clients: Clients, placement: Placement) -> None:
        self._clients = clients
        self._placement = placement
        self._registry = PackageRegistry(clients)

    def register(
        self, group: str, *, files: Path, run_id: str | None, threshold: float, tags: dict[str, str]
    ) -> tuple[ModelVersion, bool]:
        """Registers an artifact as the group's newest version, pending approval.

        The package is created after everything that it refers to, so a step that is killed before
        leaves no version. A retry finds the version of this run. The folder has the compile lock
        and the manifest of all files; the tags must have `execution_id`, `git_sha`, `data_sha256`
        and `contract_sha256`.

        Returns:
            The version, and whether it is new.

        Raises:
            InputError: if a package does not accept an entry of `tags`, or AWS refuses a call.
        """
        model = model_files(files, prefix=f"{self._placement.models_uri}/{group}")
        artifact = model.digests[ARTIFACT_FILE]
        key = signing_key_arn(self._clients, self._placement.signing_key)
        tags = recorded(tags, artifact_sha256=artifact, threshold=threshold) | {SIGNED_BY_TAG: key}
        metadata = package_metadata(tags, model, run_id=run_id)
        lineage = Lineage(self._clients.sagemaker, self._origin(group, model, tags))
        existing = already_registered(self._registry.versions(group), tags)
        if existing:
            if existing.tags["execution_id"] == tags["execution_id"]:
                lineage.record_package(str(existing.arn))  # a killed attempt may lack it
            return existing, False
        publish(self._clients, model, key=key)
        lineage.record_model()
        arn = self._create(group, model, metadata=metadata, threshold=threshold)
        lineage.record_package(arn)
        return self._registry.version(group, int(arn.rsplit("/", 1)[1])), True

    def _origin(self, group: str, model: ModelFiles, tags: Mapping[str, str]) -> Origin:
        return Origin(
            group=group,
            execution_id=tags["execution_id"],
            git_sha=tags["git_sha"],
            made_from=self._placement.made_from,
            data_sha256=tags["data_sha256"],
            model_uri=model.file_uri(ARTIFACT_FILE),
            model_sha256=model.digests[ARTIFACT_FILE],
            manifest_uri=model.file_uri(MANIFEST_FILE),
        )

    def _instance_types(self, model: ModelFiles) -> list[str]:
        api = self._clients.sagemaker.meta.service_model
        valid = api.shape_for("ProductionVariantInstanceType").enum
        return load_target(read_lock(model.folder).target).serving_types(valid)

    def _create(
        self, group: str, model: ModelFiles, *, metadata: dict[str, str], threshold: float
    ) -> str:
        execution, key = metadata["execution_id"], metadata[SIGNED_BY_TAG]
        card = card_text(read_json(model.folder / CARD_FILE))
        container = {
            "Image": self._placement.serving_image,
            "ModelDataUrl": model.file_uri(ARTIFACT_FILE),
            "Environment": {"SASHIKO_THRESHOLD": repr(threshold)},
        }
        with translate_errors(f"create a model package in the group {group}"):
            response = self._clients.sagemaker.create_model_package(
                ModelPackageGroupName=group,
                ModelPackageDescription=f"Recipe {metadata['recipe']}, execution {execution}",
                ModelApprovalStatus="PendingManualApproval",
                InferenceSpecification={
                    "Containers": [container],
                    "SupportedRealtimeInferenceInstanceTypes": self._instance_types(model),
                    "SupportedContentTypes": _JSON,
                    "SupportedResponseMIMETypes": _JSON,
                },
                ModelMetrics=model_metrics(model),
                DriftCheckBaselines=drift_baselines(model),
                ModelCard={"ModelCardContent": card, "ModelCardStatus": "PendingReview"},
                MetadataProperties={"CommitId": metadata["git_sha"], "GeneratedBy": execution},
                CustomerMetadataProperties=metadata,
                # A call that is retried after a lost response creates no second version.
                ClientToken=sha256_bytes(f"{group} {execution} {key}".encode())[:_TOKEN],
            )
        return str(response["ModelPackageArn"])
