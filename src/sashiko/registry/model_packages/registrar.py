"""Registers a version: signed files first, then its lineage, then the package, pending approval.

The files lie in S3 below a prefix that their manifest names, and a KMS key signs the manifest.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import regex

from sashiko.base.aws_calls import Clients
from sashiko.base.files import canonical_json, read_json, sha256_bytes, sha256_file
from sashiko.bias.gates.estimates import INTERVALS_FILE, POST_ANALYSIS_FILE, PRE_ANALYSIS_FILE
from sashiko.errors import InputError
from sashiko.evaluation.evaluation_record import METRICS_FILE
from sashiko.evaluation.reference import REFERENCE_FILE
from sashiko.evaluation.sagemaker_statistics import STATISTICS_FILE
from sashiko.registry import attestation, versions
from sashiko.registry.attestation import MANIFEST_FILE, SIGNATURE_FILE
from sashiko.registry.model_card import CARD_FILE, card_text
from sashiko.registry.model_packages.registry import PackageRegistry, translate_errors
from sashiko.registry.versions import ARTIFACT_FILE, SIGNED_BY_TAG, ModelVersion
from sashiko.serving.compile_lock import read_lock
from sashiko.settings.targets import load_target

# For an ECC_NIST_P256 key, as the Platform stack creates it.
_ALGORITHM = "ECDSA_SHA_256"
_ACTION_NAME = 120
# SageMaker limits its metadata's keys to 128 and values to 256 characters, of letters, digits,
# spaces and `_.:/=+-@` (CustomerMetadataKey and CustomerMetadataValue in botocore's model of the
# API), and supports tags on a group, not on a version (aws-cdk #33699). Free text and nested values
# are in the signed files and in the model card.
_ALLOWED = regex.compile(r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*")
_MAX_LENGTHS = {"key": 128, "value": 256}
_FREE_TEXT = frozenset({"gate.bias.reason", "gate.device.reason"})
# Reports of a package -> their files. In `ModelMetrics` the verdicts are constraints of metrics; in
# `DriftCheckBaselines` the same files are what later data and predictions are compared with.
_QUALITY = {
    "ModelQuality": {"Statistics": METRICS_FILE, "Constraints": "model-quality/verdict.json"},
    "ModelDataQuality": {"Statistics": REFERENCE_FILE, "Constraints": "data-quality/verdict.json"},
}
_BIAS_METRICS = {
    "Report": INTERVALS_FILE,
    "PreTrainingReport": PRE_ANALYSIS_FILE,
    "PostTrainingReport": POST_ANALYSIS_FILE,
}
_BIAS_BASELINES = {
    "PreTrainingConstraints": PRE_ANALYSIS_FILE,
    "PostTrainingConstraints": POST_ANALYSIS_FILE,
}
_JSON = ["application/json"]
_TOKEN = 36  # characters of a client token


@dataclass(frozen=True, kw_only=True)
class Placement:
    """The parameters of a package besides its files."""

    models_uri: str  # S3 URI above the prefixes of all models
    signing_key: str  # alias or ARN of the KMS key that signs manifests
    serving_image: str
    made_from: str  # S3 URI of the training snapshot, or ARN of the version that is copied


@dataclass(frozen=True, kw_only=True)
class _ModelFiles:
    folder: Path
    uri: str  # S3 prefix without a final slash; equal files have equal prefixes
    digests: Mapping[str, str]  # name -> hex SHA-256, the manifest's content
    manifest_sha256: str

    def file_uri(self, name: str) -> str:
        return f"{self.uri}/{name}"

    def reports(self, specs: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
        """Returns the reports that exist; a run without facets has no bias reports.

        Of more than two classes, the model's quality has a file by SageMaker's own names.
        """
        reports: dict[str, dict[str, Any]] = {}
        for kind, names in specs.items():
            for key, own in names.items():
                several = own == METRICS_FILE and STATISTICS_FILE in self.digests
                name = STATISTICS_FILE if several else own
                if name in self.digests:
                    reports.setdefault(kind, {})[key] = {
                        "ContentType": "application/json",
                        "ContentDigest": f"sha256:{self.digests[name]}",
                        "S3Uri": self.file_uri(name),
                    }
        return reports


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
        digest = sha256_file(files / MANIFEST_FILE)
        model = _ModelFiles(
            folder=files,
            uri=f"{self._placement.models_uri}/{group}/{digest[:16]}",
            digests=read_json(files / MANIFEST_FILE),
            manifest_sha256=digest,
        )
        alias, artifact = self._placement.signing_key, model.digests[ARTIFACT_FILE]
        with translate_errors(f"find the signing key {alias}"):  # one key signs all of a version
            key = str(self._clients.kms.describe_key(KeyId=alias)["KeyMetadata"]["Arn"])
        tags = versions.recorded(tags, artifact_sha256=artifact, threshold=threshold)
        tags[SIGNED_BY_TAG] = key
        metadata = _metadata(tags, model, run_id=run_id)
        lineage = _Lineage(self._clients.sagemaker, group, model, tags, self._placement.made_from)
        existing = versions.already_registered(self._registry.versions(group), tags)
        if existing:
            if existing.tags["execution_id"] == tags["execution_id"]:
                lineage.record_package(str(existing.arn))  # a killed attempt may lack it
            return existing, False
        self._publish(model, key=key)
        lineage.record_model()
        arn = self._create(group, model, metadata=metadata, threshold=threshold)
        lineage.record_package(arn)
        return self._registry.version(group, int(arn.rsplit("/", 1)[1])), True

    def _publish(self, files: _ModelFiles, *, key: str) -> None:
        """Signs manifest and provenance, and uploads the files, and last the manifest's signature.

        S3 accepts a file only with the digest in the manifest. A prefix without a signature is from
        a killed job: a retry uploads the same files to the same prefix.
        """
        answer = self._sign(files.manifest_sha256, of="manifest", key=key)
        signature = {
            "key": answer["KeyId"],
            "algorithm": answer["SigningAlgorithm"],
            "manifest_sha256": files.manifest_sha256,
            "signature": base64.b64encode(answer["Signature"]).decode(),
        }
        contents = {SIGNATURE_FILE: canonical_json(signature)}
        path = files.folder / attestation.STATEMENT_FILE
        if path.is_file():
            statement = path.read_bytes()
            digest = sha256_bytes(attestation.signature_input(statement))
            answer = self._sign(digest, of="provenance", key=key)
            envelope = attestation.write_envelope(
                statement, signature=answer["Signature"], key=answer["KeyId"]
            )
            contents = {attestation.ENVELOPE_FILE: envelope, **contents}
        for name, digest in {**files.digests, MANIFEST_FILE: files.manifest_sha256}.items():
            path = files.folder / name
            sha256 = sha256_file(path) if path.is_file() else "nothing"
            if sha256 != digest:
                raise InputError(
                    f"{name} is not the file that the manifest names: sha256 {sha256} instead of "
                    f"{digest}; run the step again"
                )
            checksum = base64.b64encode(bytes.fromhex(digest)).decode()
            with path.open("rb") as content:
                self._put(files.file_uri(name), Body=content, ChecksumSHA256=checksum)
        for name, signed in contents.items():
            self._put(files.file_uri(name), Body=signed)

    def _sign(self, sha256: str, *, of: str, key: str) -> Any:
        with translate_errors(f"sign the {of} with the key {key}"):
            return self._clients.kms.sign(
                KeyId=key,
                Message=bytes.fromhex(sha256),
                MessageType="DIGEST",
                SigningAlgorithm=_ALGORITHM,
            )

    def _put(self, uri: str, **content: Any) -> None:
        place = urlsplit(uri)
        with translate_errors(f"write {uri}"):
            self._clients.s3.put_object(Bucket=place.netloc, Key=place.path.lstrip("/"), **content)

    def _create(
        self, group: str, model: _ModelFiles, *, metadata: dict[str, str], threshold: float
    ) -> str:
        sagemaker = self._clients.sagemaker
        execution, key = metadata["execution_id"], metadata[SIGNED_BY_TAG]
        if source := metadata.get(versions.SOURCE_TAG):
            execution += f", on results of execution {source}"
        card = card_text(read_json(model.folder / CARD_FILE))
        valid = sagemaker.meta.service_model.shape_for("ProductionVariantInstanceType").enum
        target = load_target(read_lock(model.folder).target)
        container = {
            "Image": self._placement.serving_image,
            "ModelDataUrl": model.file_uri(ARTIFACT_FILE),
            "Environment": {"SASHIKO_THRESHOLD": repr(threshold)},
        }
        with translate_errors(f"create a model package in the group {group}"):
            response = sagemaker.create_model_package(
                ModelPackageGroupName=group,
                ModelPackageDescription=f"Recipe {metadata['recipe']}, execution {execution}",
                ModelApprovalStatus="PendingManualApproval",
                InferenceSpecification={
                    "Containers": [container],
                    "SupportedRealtimeInferenceInstanceTypes": target.serving_types(valid),
                    "SupportedContentTypes": _JSON,
                    "SupportedResponseMIMETypes": _JSON,
                },
                ModelMetrics=model.reports({**_QUALITY, "Bias": _BIAS_METRICS}),
                DriftCheckBaselines=model.reports({**_QUALITY, "Bias": _BIAS_BASELINES}),
                ModelCard={"ModelCardContent": card, "ModelCardStatus": "PendingReview"},
                MetadataProperties={"CommitId": metadata["git_sha"], "GeneratedBy": execution},
                CustomerMetadataProperties=metadata,
                # A call that is retried after a lost response creates no second version.
                ClientToken=sha256_bytes(f"{group} {execution} {key}".encode())[:_TOKEN],
            )
        return str(response["ModelPackageArn"])


def _metadata(tags: Mapping[str, str], files: _ModelFiles, *, run_id: str | None) -> dict[str, str]:
    """Returns a package's metadata: S3 URIs, digests, ids and single words."""
    values = {key: value for key, value in tags.items() if key not in _FREE_TEXT} | {
        "manifest": files.file_uri(MANIFEST_FILE),
        "manifest_sha256": files.manifest_sha256,
        "signature": files.file_uri(SIGNATURE_FILE),
    }
    if run_id is not None:
        values["mlflow_run_id"] = run_id
    for entry, value in values.items():
        for kind, text in (("key", entry), ("value", value)):
            if not 0 < len(text) <= _MAX_LENGTHS[kind]:
                raise InputError(
                    f"metadata `{entry}`: its {kind} has {len(text)} characters, a model package "
                    f"takes 1 to {_MAX_LENGTHS[kind]}; shorten it in the recipe or the contract"
                )
            if not _ALLOWED.fullmatch(text):
                raise InputError(
                    f"metadata `{entry}`: a model package takes letters, digits, spaces and "
                    f"_.:/=+-@, not {text!r}; change it in the recipe or the contract"
                )
    return values


@dataclass(frozen=True)
class _Lineage:
    """SageMaker's lineage of a model: data, action, model and model package.

    Each entity is looked up before it is created, so a retry adds no duplicates.
    """

    client: Any  # boto3's, of SageMaker
    group: str
    model: _ModelFiles
    tags: Mapping[str, str]
    made_from: str  # S3 URI of the training snapshot, or ARN of the version that this one copies

    def record_model(self) -> None:
        """Records data, action and model."""
        with translate_errors(f"record the lineage of {self.model.file_uri(ARTIFACT_FILE)}"):
            data, action, model = self._entities()
            self._associate(data, action, "ContributedTo")
            self._associate(action, model, "Produced")
            self._associate(data, model, "DerivedFrom")

    def record_package(self, arn: str) -> None:
        """Records that a model package holds the model."""
        with translate_errors(f"record the lineage of {arn}"):
            _, action, model = self._entities()
            package = self._artifact(arn, "ModelPackage")
            self._associate(action, package, "Produced")
            self._associate(model, package, "DerivedFrom")

    def _entities(self) -> tuple[str, str, str]:
        if self.made_from.startswith("s3://"):
            data = self._artifact(self.made_from, "DataSet", sha256=self.tags["data_sha256"])
        else:
            data = self._artifact(self.made_from, "ModelPackage")
        uri, digest = self.model.file_uri(ARTIFACT_FILE), self.model.digests[ARTIFACT_FILE]
        model = self._artifact(uri, "Model", sha256=digest)
        return data, self._action(), model

    def _artifact(self, uri: str, kind: str, **properties: str) -> str:
        known = self.client.list_artifacts(SourceUri=uri, ArtifactType=kind)["ArtifactSummaries"]
        if known:
            return str(known[0]["ArtifactArn"])
        source = {"SourceUri": uri}
        made = self.client.create_artifact(Source=source, ArtifactType=kind, Properties=properties)
        return str(made["ArtifactArn"])

    def _action(self) -> str:
        execution = self.tags["execution_id"]
        name = f"{self.group}-{execution}"[:_ACTION_NAME]  # with the group it names the action
        try:
            return str(self.client.describe_action(ActionName=name)["ActionArn"])
        except self.client.exceptions.ResourceNotFound:
            response = self.client.create_action(
                ActionName=name,
                Source={"SourceUri": self.model.file_uri(MANIFEST_FILE)},
                ActionType="ModelRegistration",
                Status="Completed",
                Properties={
                    name: self.tags[name]
                    for name in ("execution_id", versions.SOURCE_TAG)
                    if name in self.tags
                },
                MetadataProperties={"CommitId": self.tags["git_sha"]},
            )
            return str(response["ActionArn"])

    def _associate(self, source: str, destination: str, edge: str) -> None:
        ends = {"SourceArn": source, "DestinationArn": destination}
        if not self.client.list_associations(**ends)["AssociationSummaries"]:
            self.client.add_association(**ends, AssociationType=edge)
