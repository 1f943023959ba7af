"""The registry that the bootstrap makes; no image is ever in it."""

import json
from typing import Any

from ..engine.resources import Place, Properties, ResourceType


class Repository(ResourceType):
    name = "AWS::ECR::Repository"
    handled = frozenset(
        {"ImageTagMutability", "LifecyclePolicy", "RepositoryName", "RepositoryPolicyText", "Tags"}
    )

    def create(self, at: Place, wanted: Properties) -> str:
        name = wanted.get("RepositoryName") or at.generated_name(256).lower()
        at.aws("ecr").create_repository(
            repositoryName=name, imageTagMutability=wanted.get("ImageTagMutability", "MUTABLE")
        )
        self.update(at, name, {}, wanted)
        return str(name)

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        if text := new.get("LifecyclePolicy", {}).get("LifecyclePolicyText"):
            at.aws("ecr").put_lifecycle_policy(repositoryName=physical_id, lifecyclePolicyText=text)
        if policy := new.get("RepositoryPolicyText"):
            at.aws("ecr").set_repository_policy(
                repositoryName=physical_id, policyText=json.dumps(policy)
            )

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        at.aws("ecr").delete_repository(repositoryName=physical_id)

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Any:
        found = at.aws("ecr").describe_repositories(repositoryNames=[physical_id])
        return found["repositories"][0]

    def attributes(self, at: Place, physical_id: str, wanted: Properties) -> dict[str, Any]:
        found = self.read(at, physical_id, wanted)
        return {"Arn": found["repositoryArn"], "RepositoryUri": found["repositoryUri"]}


TYPES = (Repository,)
