"""Registers a version: signed files first, then its lineage, then the package, pending approval."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sashiko.base.aws_calls import Clients
from sashiko.base.files import read_json, sha256_bytes
from sashiko.registry.card.model_card import CARD_FILE, card_text
from sashiko.registry.model_packages.clients import translate_errors
from sashiko.registry.model_packages.files import (
    MANIFEST_FILE,
    ModelFiles,
    model_files,
    publish,
    signing_key_arn,
)
from sashiko.registry.model_packages.lineage import Lineage, Origin
from sashiko.registry.model_packages.metadata import package_metadata
from sashiko.registry.model_packages.registry import PackageRegistry
from sashiko.registry.model_packages.reports import drift_baselines, model_metrics
from sashiko.registry.versions import (
    ARTIFACT_FILE,
    SIGNED_BY_TAG,
    ModelVersion,
    already_registered,
    recorded,
)
from sashiko.serving.compile_lock import read_lock
from sashiko.settings.targets import load_target

_JSON = ["application/json"]
_TOKEN = 36  # characters of a client token


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
