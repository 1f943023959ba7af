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

    def create(self, at: Place, wanted: Properties) -> str:
        name = wanted.get("RepositoryName") or at.generated_name(256).lower()
        encryption = wanted.get("EncryptionConfiguration", {"EncryptionType": "AES256"})
        at.aws("ecr").create_repository(
            repositoryName=name,
            encryptionConfiguration={k[0].lower() + k[1:]: v for k, v in encryption.items()},
        )
        at.made.append(name)
        self.update(at, name, {}, wanted)
        return str(name)

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        ecr, one = at.aws("ecr"), {"repositoryName": physical_id}
        mutability = new.get("ImageTagMutability", "MUTABLE")
        ecr.put_image_tag_mutability(**one, imageTagMutability=mutability)
        scanning = new.get("ImageScanningConfiguration", {}).get("ScanOnPush", False)
        ecr.put_image_scanning_configuration(
            **one, imageScanningConfiguration={"scanOnPush": scanning}
        )
        if text := new.get("LifecyclePolicy", {}).get("LifecyclePolicyText"):
            ecr.put_lifecycle_policy(**one, lifecyclePolicyText=text)
        elif "LifecyclePolicy" in old:
            ecr.delete_lifecycle_policy(**one)
        if policy := new.get("RepositoryPolicyText"):
            ecr.set_repository_policy(**one, policyText=json.dumps(policy))
        elif "RepositoryPolicyText" in old:
            ecr.delete_repository_policy(**one)
        arn = self._found(at, physical_id)["repositoryArn"]
        gone, tags = changed_tags(old, new)
        ecr.untag_resource(resourceArn=arn, tagKeys=gone)
        ecr.tag_resource(resourceArn=arn, tags=tags)

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        force = had.get("EmptyOnDelete", False)
        at.aws("ecr").delete_repository(repositoryName=physical_id, force=force)

    def _found(self, at: Place, physical_id: str) -> Any:
        found = at.aws("ecr").describe_repositories(repositoryNames=[physical_id])
        return found["repositories"][0]

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        found = self._found(at, physical_id)
        ecr = at.aws("ecr")
        tags = ecr.list_tags_for_resource(resourceArn=found["repositoryArn"])["tags"]
        encryption = found["encryptionConfiguration"]
        rules = {}
        if "LifecyclePolicy" in wanted:
            rules = ecr.get_lifecycle_policy(repositoryName=physical_id)
        return {
            "EncryptionConfiguration": {k[0].upper() + k[1:]: v for k, v in encryption.items()},
            "ImageScanningConfiguration": {
                "ScanOnPush": found["imageScanningConfiguration"]["scanOnPush"]
            },
            "LifecyclePolicy": {"LifecyclePolicyText": rules.get("lifecyclePolicyText")},
            "RepositoryName": found["repositoryName"],
            "ImageTagMutability": found["imageTagMutability"],
            "Tags": tags,
        }

    def attributes(self, at: Place, physical_id: str, wanted: Properties) -> dict[str, Any]:
        found = self._found(at, physical_id)
        return {"Arn": found["repositoryArn"], "RepositoryUri": found["repositoryUri"]}


TYPES = (Repository,)
