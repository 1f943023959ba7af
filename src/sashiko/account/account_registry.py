"""An environment's model registry with a person's credentials: versions, decisions, lineage."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from sashiko.account.account import Account
from sashiko.account.names import role_name
from sashiko.base.aws_calls import Clients
from sashiko.errors import InputError
from sashiko.registry.model_packages.registry import PackageRegistry, translate_errors
from sashiko.registry.versions import (
    ApprovalStatus,
    Decision,
    LineageEdge,
    ModelVersion,
    digests_of,
)
from sashiko.settings.environment import Settings

# Characters of UpdateModelPackage's ApprovalDescription and of CreateAction's Description.
# https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_UpdateModelPackage.html
_APPROVAL_DESCRIPTION = 1024
# https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateAction.html
_REASON = 3072
_KIND = "ModelApproval"  # ActionType of a decision


class AccountRegistry(PackageRegistry):
    """The model packages of an environment's account."""

    def __init__(self, settings: Settings) -> None:
        """Looks up the caller; InputError without credentials of that account."""
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
        """Appends a person's decision with the caller; the newest approved version is the champion.

        ApprovalDescription holds the last decision alone, so each one is an action of SageMaker's
        lineage as well. The name of an action is unique in an account's region, and the approver
        may neither update nor delete one. InputError if the caller is not the approver, there is no
        such version, the reason is too long, or SageMaker refuses.
        """
        self.require_approver()
        version = self.version(group, number)
        if len(reason) > _REASON:
            raise InputError(f"the reason has {len(reason)} characters; at most {_REASON} are kept")
        description = " ".join(f"{by} ({self._caller}): {reason}".split())
        time = datetime.now(UTC).strftime("%Y%m%dt%H%M%Sx%f")
        # The record comes first: no decision of this command is in force without one.
        with translate_errors(f"record the decision on {version.arn}"):
            self._sagemaker.create_action(
                ActionName=f"{version.group}-decision-{number}-{time}",
                Source={"SourceUri": version.arn, "SourceType": "ModelPackage"},
                ActionType=_KIND,
                Status="Completed",
                Description=" ".join(reason.split()),
                Properties={"by": by, "status": status, **digests_of(version)},
            )
        with translate_errors(f"set {version.arn} to {status}"):
            self._sagemaker.update_model_package(
                ModelPackageArn=version.arn,
                ModelApprovalStatus=status,
                ApprovalDescription=description[:_APPROVAL_DESCRIPTION],
            )
        return self.version(group, number)

    def decisions(self, version: ModelVersion) -> list[Decision]:
        """Returns the decisions on a version, oldest first; InputError if SageMaker refuses.

        Time and caller are SageMaker's own record of who created the action.
        """
        order = {"SortBy": "CreationTime", "SortOrder": "Ascending"}
        with translate_errors(f"read the decisions on {version.arn}"):
            pages = self._sagemaker.get_paginator("list_actions").paginate(
                SourceUri=version.arn, ActionType=_KIND, **order
            )
            names = [item["ActionName"] for page in pages for item in page["ActionSummaries"]]
            return [_decision(self._sagemaker.describe_action(ActionName=name)) for name in names]

    def require_approver(self) -> None:
        """Refuses a caller without the approver's role; IAM denies other roles the call as well."""
        if f":assumed-role/{self._approver}/" not in self._caller:
            raise InputError(
                f"{self._caller} may not decide: only the role {self._approver} does; assume it "
                "(AWS_PROFILE, or aws sts assume-role) and run the command again"
            )

    def lineage(self, version: ModelVersion) -> list[LineageEdge]:
        """Returns the lineage of a version, nearest first; InputError if none is recorded."""
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


def _decision(action: Mapping[str, Any]) -> Decision:
    properties = dict(action["Properties"])
    by, status = properties.pop("by"), properties.pop("status")
    caller = action.get("CreatedBy", {}).get("IamIdentity", {}).get("Arn")
    return Decision(
        status=status,
        by=f"{by} ({caller})" if caller else by,
        reason=action.get("Description", ""),
        time=action["CreationTime"].astimezone(UTC).isoformat(),
        digests=properties,
    )
