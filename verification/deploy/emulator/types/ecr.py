"""ECR."""

import json
from typing import Any

from ..engine.resources import Place, Properties, ResourceType, changed_tags


class Repository(ResourceType):
    name = "AWS::ECR::Repository"
    updated = frozenset(
        {
            "EmptyOnDelete", "ImageScanningConfiguration", "ImageTagMutability", "LifecyclePolicy",
            "RepositoryPolicyText", "Tags",
        }
    )  # fmt: skip
    handled = updated | {"EncryptionConfiguration", "RepositoryName"}

    def create(self, place: Place, desired: Properties) -> str:
        name = desired.get("RepositoryName") or place.generated_name(256).lower()
        encryption = desired.get("EncryptionConfiguration", {"EncryptionType": "AES256"})
        place.aws("ecr").create_repository(
            repositoryName=name,
            encryptionConfiguration={k[0].lower() + k[1:]: v for k, v in encryption.items()},
        )
        place.created_ids.append(name)
        self.update(place, name, {}, desired)
        return str(name)

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        ecr, by_name = place.aws("ecr"), {"repositoryName": physical_id}
        mutability = new.get("ImageTagMutability", "MUTABLE")
        ecr.put_image_tag_mutability(**by_name, imageTagMutability=mutability)
        scanning = new.get("ImageScanningConfiguration", {}).get("ScanOnPush", False)
        ecr.put_image_scanning_configuration(
            **by_name, imageScanningConfiguration={"scanOnPush": scanning}
        )
        if text := new.get("LifecyclePolicy", {}).get("LifecyclePolicyText"):
            ecr.put_lifecycle_policy(**by_name, lifecyclePolicyText=text)
        elif "LifecyclePolicy" in old:
            ecr.delete_lifecycle_policy(**by_name)
        if policy := new.get("RepositoryPolicyText"):
            ecr.set_repository_policy(**by_name, policyText=json.dumps(policy))
        elif "RepositoryPolicyText" in old:
            ecr.delete_repository_policy(**by_name)
        arn = self._describe(place, physical_id)["repositoryArn"]
        removed_keys, tags = changed_tags(old, new)
        ecr.untag_resource(resourceArn=arn, tagKeys=removed_keys)
        ecr.tag_resource(resourceArn=arn, tags=tags)

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        force = properties.get("EmptyOnDelete", False)
        place.aws("ecr").delete_repository(repositoryName=physical_id, force=force)

    def _describe(self, place: Place, physical_id: str) -> Any:
        response = place.aws("ecr").describe_repositories(repositoryNames=[physical_id])
        return response["repositories"][0]

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        repository = self._describe(place, physical_id)
        ecr = place.aws("ecr")
        tags = ecr.list_tags_for_resource(resourceArn=repository["repositoryArn"])["tags"]
        encryption = repository["encryptionConfiguration"]
        rules = {}
        if "LifecyclePolicy" in desired:
            rules = ecr.get_lifecycle_policy(repositoryName=physical_id)
        return {
            "EncryptionConfiguration": {k[0].upper() + k[1:]: v for k, v in encryption.items()},
            "ImageScanningConfiguration": {
                "ScanOnPush": repository["imageScanningConfiguration"]["scanOnPush"]
            },
            "LifecyclePolicy": {"LifecyclePolicyText": rules.get("lifecyclePolicyText")},
            "RepositoryName": repository["repositoryName"],
            "ImageTagMutability": repository["imageTagMutability"],
            "Tags": tags,
        }

    def attributes(self, place: Place, physical_id: str, desired: Properties) -> dict[str, Any]:
        repository = self._describe(place, physical_id)
        return {"Arn": repository["repositoryArn"], "RepositoryUri": repository["repositoryUri"]}


TYPES = (Repository,)
