"""A read-only registry over a model package group, and what all calls of its services share."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sashiko.base import aws_calls as calls
from sashiko.base.files import sha256_file
from sashiko.errors import InputError
from sashiko.registry.versions import ARTIFACT_FILE, ModelVersion, number_in, to_version

_ADVICE: calls.Advice = (
    (
        ("kms:Sign",),
        "allow this role kms:Sign on the signing key of the Platform stack, or run the step again "
        "if that key was replaced a moment ago",
    ),
    (
        ("NotFoundException: Alias", "NotFoundException: Key"),
        "deploy the Platform stack, which creates the signing key",
    ),
    (("DisabledException", "KMSInvalidStateException"), "enable the key, or give another one"),
    (
        ("does not exist", "Could not find"),
        "deploy the DataLake and Platform stacks: bucket and model package group are theirs",
    ),
    (
        ("BadDigest", "checksum", "Content-MD5"),
        "a file was changed while it was read; run the step again",
    ),
)
connect = partial(calls.connect, "the model registry", "sagemaker", "s3", "kms")
translate_errors = partial(calls.translate_errors, advice=_ADVICE)


class PackageRegistry:
    """Reads the versions of a group."""

    def __init__(self, clients: calls.Clients) -> None:
        self._clients = clients

    def versions(self, group: str) -> list[ModelVersion]:
        """Returns a group's versions, newest first.

        Raises:
            InputError: if there is no such group, or the role may not read it.
        """
        arns = list(self._arns(group))
        marks = {"candidate": next(iter(arns), None), "champion": self._champion(group)}
        return [
            self._version(arn, aliases=tuple(name for name, at in marks.items() if at == arn))
            for arn in arns
        ]

    def champion(self, group: str) -> ModelVersion | None:
        """Returns the newest approved version, or None if none was approved yet.

        Raises:
            InputError: if there is no such group, the role may not read it, or Register did not
                create the version.
        """
        arn = self._champion(group)
        if arn is None:
            return None
        version = self._version(arn, aliases=("champion",))
        if not version.artifact_sha256:
            raise InputError(
                f"{arn} is approved and has no metadata `artifact_sha256`: Register did not create "
                "it, so its evidence is unknown; reject it"
            )
        return version

    def version(self, group: str, number: int) -> ModelVersion:
        """Returns one version.

        Raises:
            InputError: if there is no such version, or no such group.
        """
        return number_in(self.versions(group), number, group=group)

    def download(self, version: ModelVersion, folder: Path) -> Path:
        """Copies a version's `model.tar.gz` into `folder` and returns its path.

        Raises:
            InputError: if it is missing, or is not the file that was registered.
        """
        [container] = self._describe(str(version.arn))["InferenceSpecification"]["Containers"]
        location, path = urlsplit(container["ModelDataUrl"]), folder / ARTIFACT_FILE
        with translate_errors(f"read {container['ModelDataUrl']} of {version.arn}"):
            self._clients.s3.download_file(location.netloc, location.path.lstrip("/"), str(path))
        if sha256_file(path) != version.artifact_sha256:
            raise InputError(
                f"{version.arn}: {container['ModelDataUrl']} is not the file that was registered "
                "(its sha256 differs); reject that version and find out who wrote it"
            )
        return path

    def file(self, version: ModelVersion, name: str) -> bytes:
        """Reads one of the registered files of a version, from the prefix of its manifest.

        Raises:
            InputError: if it is missing, or the role may not read it.
        """
        uri = f"{version.tags['manifest'].rsplit('/', 1)[0]}/{name}"
        bucket, key = urlsplit(uri).netloc, urlsplit(uri).path.lstrip("/")
        with translate_errors(f"read {uri} of {version.arn}"):
            return bytes(self._clients.s3.get_object(Bucket=bucket, Key=key)["Body"].read())

    def _champion(self, group: str) -> str | None:
        return next(self._arns(group, ModelApprovalStatus="Approved"), None)

    def _arns(self, group: str, **only: str) -> Iterator[str]:
        pages = self._clients.sagemaker.get_paginator("list_model_packages").paginate(
            ModelPackageGroupName=group,
            ModelPackageType="Versioned",
            SortBy="CreationTime",
            SortOrder="Descending",
            **only,
        )
        with translate_errors(f"list the versions of the model package group {group}"):
            for page in pages:
                for summary in page["ModelPackageSummaryList"]:
                    yield str(summary["ModelPackageArn"])

    def _version(self, arn: str, *, aliases: tuple[str, ...]) -> ModelVersion:
        package = self._describe(arn)
        tags = dict(package.get("CustomerMetadataProperties", {}))
        if description := package.get("ApprovalDescription"):
            tags["approval.reason"] = description  # it begins with who decided
        return to_version(
            package["ModelPackageGroupName"],
            package["ModelPackageVersion"],
            status=package["ModelApprovalStatus"],
            tags=tags,
            aliases=aliases,
            arn=arn,
        )

    def _describe(self, arn: str) -> Any:
        with translate_errors(f"read the model package {arn}"):
            return self._clients.sagemaker.describe_model_package(ModelPackageName=arn)
