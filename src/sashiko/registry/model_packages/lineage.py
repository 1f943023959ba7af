"""Records the SageMaker lineage of a model: data, action, model and model package.

Each entity is looked up before it is created, so a retry adds no duplicates.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sashiko.registry.model_packages.clients import translate_errors

Edge = Literal["ContributedTo", "DerivedFrom", "Produced"]
_ACTION_NAME = 120


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
