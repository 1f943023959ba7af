"""SageMaker's lineage, which moto lacks: artifacts, actions and associations."""

from time import time
from typing import Any

from .json_api import Handler, ServiceError

Record = dict[str, Any]


class Lineage:
    """The recorded lineage of models; nothing of it is deleted."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._entities: dict[str, Record] = {}
        self._edges: list[Record] = []
        self.operations: dict[str, Handler] = {
            "CreateArtifact": self._create_artifact,
            "DescribeArtifact": lambda request: self._get(request["ArtifactArn"]),
            "ListArtifacts": self._list_artifacts,
            "CreateAction": self._create_action,
            "ListActions": self._list_actions,
            "DescribeAction": lambda request: self._get(self._action(request["ActionName"])),
            "AddAssociation": self._associate,
            "ListAssociations": self._list_associations,
        }

    def _action(self, name: str) -> str:
        return f"{self._place}:action/{name}"

    def _get(self, arn: str) -> Record:
        if arn not in self._entities:
            raise ServiceError("ResourceNotFound", f"{arn} does not exist")
        return self._entities[arn]

    def _create_artifact(self, request: Record) -> Record:
        arn = f"{self._place}:artifact/{len(self._entities):032x}"
        self._entities[arn] = {**request, "ArtifactArn": arn}
        return {"ArtifactArn": arn}

    def _create_action(self, request: Record) -> Record:
        arn = self._action(request["ActionName"])
        if arn in self._entities:
            # "Must be unique to your account in an AWS Region": API_CreateAction.
            raise ServiceError("ValidationException", f"{arn} already exists")
        self._entities[arn] = {**request, "ActionArn": arn, "CreationTime": time()}
        return {"ActionArn": arn}

    def _list_actions(self, request: Record) -> Record:
        actions = [
            {
                key: item[key]
                for key in ("ActionArn", "ActionName", "Source", "ActionType", "CreationTime")
            }
            for item in self._entities.values()
            if "ActionArn" in item
            and item["Source"]["SourceUri"] == request.get("SourceUri")
            and item["ActionType"] == request.get("ActionType")
        ]
        newest_first = request.get("SortOrder", "Descending") == "Descending"
        return {"ActionSummaries": actions[::-1] if newest_first else actions}

    def _list_artifacts(self, request: Record) -> Record:
        artifacts = [
            {key: item[key] for key in ("ArtifactArn", "Source", "ArtifactType")}
            for item in self._entities.values()
            if "ArtifactArn" in item
            and item["Source"]["SourceUri"] == request.get("SourceUri")
            and item["ArtifactType"] == request.get("ArtifactType")
        ]
        return {"ArtifactSummaries": artifacts}

    def _associate(self, request: Record) -> Record:
        for end in ("SourceArn", "DestinationArn"):
            self._get(request[end])
        self._edges.append(request)
        return {key: request[key] for key in ("SourceArn", "DestinationArn")}

    def _list_associations(self, request: Record) -> Record:
        ends = [end for end in ("SourceArn", "DestinationArn") if end in request]
        edges = [edge for edge in self._edges if all(edge[e] == request[e] for e in ends)]
        return {"AssociationSummaries": edges}
