"""An environment's model registry with a person's credentials: versions, decisions, lineage."""

from collections.abc import Iterator

from sashiko.aws.resources.account import Account
from sashiko.aws.resources.names import role_name
from sashiko.core.aws_calls import Clients
from sashiko.errors import InputError
from sashiko.registry.model_packages.clients import translate_errors
from sashiko.registry.model_packages.registry import PackageRegistry
from sashiko.registry.versions import ApprovalStatus, LineageEdge, ModelVersion
from sashiko.settings.environment import Settings

_DESCRIPTION = 1024  # characters of a decision's reason


class AccountRegistry(PackageRegistry):
    """The model packages of an environment's account."""

    def __init__(self, settings: Settings) -> None:
        """Looks up the caller.

        Raises:
            InputError: without credentials of that account.
        """
        account = Account(settings)
        self._caller = account.check_identity()
        self._approver = role_name(settings, "approver")
        self._sagemaker = account.client("sagemaker")
        super().__init__(
            Clients(sagemaker=self._sagemaker, s3=account.client("s3"), kms=account.client("kms"))
        )

    def decide(
        self, group: str, number: int, *, status: ApprovalStatus, by: str, reason: str
    ) -> ModelVersion:
        """Records a person's decision with the caller; the newest approved version is the champion.

        Raises:
            InputError: if the caller is not the approver, there is no such version, or SageMaker
                refuses.
        """
        self.require_approver()
        version = self.version(group, number)
        description = " ".join(f"{by} ({self._caller}): {reason}".split())
        with translate_errors(f"set {version.arn} to {status}"):
            self._sagemaker.update_model_package(
                ModelPackageArn=version.arn,
                ModelApprovalStatus=status,
                ApprovalDescription=description[:_DESCRIPTION],
            )
        return self.version(group, number)

    def require_approver(self) -> None:
        """Checks that the caller has the approver role; IAM denies the call to other roles as well.

        Raises:
            InputError: if the caller has another role.
        """
        if f":assumed-role/{self._approver}/" not in self._caller:
            raise InputError(
                f"{self._caller} may not decide: only the role {self._approver} does; assume it "
                "(AWS_PROFILE, or aws sts assume-role) and run the command again"
            )

    def lineage(self, version: ModelVersion) -> list[LineageEdge]:
        """Returns the lineage of a version, nearest first.

        Raises:
            InputError: if SageMaker refuses, or nothing is recorded.
        """
        with translate_errors(f"read the lineage of {version.arn}"):
            artifacts = self._sagemaker.list_artifacts(
                SourceUri=version.arn, ArtifactType="ModelPackage"
            )["ArtifactSummaries"]
            if not artifacts:
                raise InputError(f"{version.arn} has no lineage: start its Register step again")
            return list(self._edges(artifacts[0]["ArtifactArn"]))

    def _edges(self, start: str) -> Iterator[LineageEdge]:
        seen, waiting, sources = {start}, [start], {start: self._source(start)}
        for arn in waiting:
            pages = self._sagemaker.get_paginator("list_associations").paginate(DestinationArn=arn)
            for edge in (item for page in pages for item in page["AssociationSummaries"]):
                source = edge["SourceArn"]
                if source not in seen:
                    seen.add(source)
                    waiting.append(source)
                    sources[source] = self._source(source)
                yield LineageEdge(sources[source], edge["AssociationType"], sources[arn])

    def _source(self, arn: str) -> str:
        """Returns the URI that an artifact or an action stands for."""
        kind, name = arn.rsplit(":", 1)[1].split("/", 1)
        description = (
            self._sagemaker.describe_action(ActionName=name)
            if kind == "action"
            else self._sagemaker.describe_artifact(ArtifactArn=arn)
        )
        return f"{kind} {description['Source']['SourceUri']}"
