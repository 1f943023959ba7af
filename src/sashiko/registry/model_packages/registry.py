"""A model package group as a registry, to read."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sashiko.core.aws_calls import Clients
from sashiko.core.files import sha256_file
from sashiko.errors import InputError
from sashiko.registry.model_packages.clients import told
from sashiko.registry.versions import ARTIFACT_FILE, ModelVersion, number_in, to_version


class PackageRegistry:
    """Reads a group; it writes nothing."""

    def __init__(self, clients: Clients) -> None:
        """Makes no call."""
        self._clients = clients

    def versions(self, group: str) -> list[ModelVersion]:
        """Returns a group's versions, newest first.

        Raises:
            InputError: if there is no such group, or the role may not read it.
        """
        arns = list(self._arns(group))
        approved = next(self._arns(group, ModelApprovalStatus="Approved"), None)
        aliases = {
            arn: (("candidate",) if arn == arns[0] else ())
            + (("champion",) if arn == approved else ())
            for arn in arns
        }
        return [self._version(arn, aliases=aliases[arn]) for arn in arns]

    def champion(self, group: str) -> ModelVersion | None:
        """Returns the newest approved version, or None if none was approved yet.

        Raises:
            InputError: if there is no such group, the role may not read it, or the version was
                registered by something else than Register.
        """
        arn = next(self._arns(group, ModelApprovalStatus="Approved"), None)
        if arn is None:
            return None
        version = self._version(arn, aliases=("champion",))
        if not version.artifact_sha256:
            raise InputError(
                f"{arn} is approved and has no metadata `artifact_sha256`: Register did not make "
                "it, so nothing says what it rests on; reject it"
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
        place, path = urlsplit(container["ModelDataUrl"]), folder / ARTIFACT_FILE
        with told(f"read {container['ModelDataUrl']} of {version.arn}"):
            self._clients.s3.download_file(place.netloc, place.path.lstrip("/"), str(path))
        if sha256_file(path) != version.artifact_sha256:
            raise InputError(
                f"{version.arn}: {container['ModelDataUrl']} is not the file that was registered "
                "(its sha256 differs); reject that version and find out who wrote it"
            )
        return path

    def file(self, version: ModelVersion, name: str) -> bytes:
        """Reads one of the files that were registered with a version, from beside its manifest.

        Raises:
            InputError: if it is missing, or the role may not read it.
        """
        uri = f"{version.tags['manifest'].rsplit('/', 1)[0]}/{name}"
        place = urlsplit(uri)
        with told(f"read {uri} of {version.arn}"):
            found = self._clients.s3.get_object(Bucket=place.netloc, Key=place.path.lstrip("/"))
            return bytes(found["Body"].read())

    def _arns(self, group: str, **only: str) -> Iterator[str]:
        pages = self._clients.sagemaker.get_paginator("list_model_packages").paginate(
            ModelPackageGroupName=group,
            ModelPackageType="Versioned",
            SortBy="CreationTime",
            SortOrder="Descending",
            **only,
        )
        with told(f"list the versions of the model package group {group}"):
            for page in pages:
                for summary in page["ModelPackageSummaryList"]:
                    yield str(summary["ModelPackageArn"])

    def _version(self, arn: str, *, aliases: tuple[str, ...]) -> ModelVersion:
        found = self._describe(arn)
        tags = dict(found.get("CustomerMetadataProperties", {}))
        if said := found.get("ApprovalDescription"):
            tags["approval.reason"] = said  # it begins with who decided
        return to_version(
            found["ModelPackageGroupName"],
            found["ModelPackageVersion"],
            status=found["ModelApprovalStatus"],
            tags=tags,
            aliases=aliases,
            arn=arn,
        )

    def _describe(self, arn: str) -> Mapping[str, Any]:
        with told(f"read the model package {arn}"):
            found: Mapping[str, Any] = self._clients.sagemaker.describe_model_package(
                ModelPackageName=arn
            )
        return found
