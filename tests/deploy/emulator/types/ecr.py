"""ECR."""

import json
from typing import Any

from ..engine.resources import Place, Properties, ResourceType


class Repository(ResourceType):
    name = "AWS::ECR::Repository"
    handled = frozenset(
        {
            "EmptyOnDelete", "EncryptionConfiguration", "ImageScanningConfiguration",
            "ImageTagMutability", "LifecyclePolicy", "RepositoryName", "RepositoryPolicyText",
            "Tags",
        }
    )  # fmt: skip

    def create(self, at: Place, wanted: Properties) -> str:
        name = wanted.get("RepositoryName") or at.generated_name(256).lower()
        encryption = wanted.get("EncryptionConfiguration", {"EncryptionType": "AES256"})
        at.aws("ecr").create_repository(
            repositoryName=name,
            imageTagMutability=wanted.get("ImageTagMutability", "MUTABLE"),
            imageScanningConfiguration=_scanning(wanted),
            encryptionConfiguration={k[0].lower() + k[1:]: v for k, v in encryption.items()},
            tags=wanted.get("Tags", []),
        )
        self.update(at, name, {}, wanted)
        return str(name)

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        at.aws("ecr").put_image_tag_mutability(
            repositoryName=physical_id,
            imageTagMutability=new.get("ImageTagMutability", "MUTABLE"),
        )
        at.aws("ecr").put_image_scanning_configuration(
            repositoryName=physical_id, imageScanningConfiguration=_scanning(new)
        )
        if text := new.get("LifecyclePolicy", {}).get("LifecyclePolicyText"):
            at.aws("ecr").put_lifecycle_policy(repositoryName=physical_id, lifecyclePolicyText=text)
        if policy := new.get("RepositoryPolicyText"):
            at.aws("ecr").set_repository_policy(
                repositoryName=physical_id, policyText=json.dumps(policy)
            )

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        force = had.get("EmptyOnDelete", False)
        at.aws("ecr").delete_repository(repositoryName=physical_id, force=force)

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Any:
        found = at.aws("ecr").describe_repositories(repositoryNames=[physical_id])
        return found["repositories"][0]

    def attributes(self, at: Place, physical_id: str, wanted: Properties) -> dict[str, Any]:
        found = self.read(at, physical_id, wanted)
        return {"Arn": found["repositoryArn"], "RepositoryUri": found["repositoryUri"]}


def _scanning(properties: Properties) -> dict[str, bool]:
    scanning = properties.get("ImageScanningConfiguration", {})
    return {"scanOnPush": scanning.get("ScanOnPush", False)}


TYPES = (Repository,)
