"""S3: buckets and their policies."""

import json
from typing import Any

from ..engine.errors import ResourceError
from ..engine.resources import Place, Properties, ResourceType
from .s3_settings import SETTERS, read_settings


class Bucket(ResourceType):
    name = "AWS::S3::Bucket"
    updated = frozenset(SETTERS)
    handled = updated | {"BucketName", "ObjectLockEnabled"}

    def create(self, place: Place, desired: Properties) -> str:
        name = desired.get("BucketName") or place.generated_name(63).lower()
        s3 = place.aws("s3")
        if name in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}:
            raise ResourceError(f"{name} already exists")
        arguments: Properties = {
            "ObjectLockEnabledForBucket": desired.get("ObjectLockEnabled", False)
        }
        if place.region != "us-east-1":
            arguments["CreateBucketConfiguration"] = {"LocationConstraint": place.region}
        s3.create_bucket(Bucket=name, **arguments)
        place.created_ids.append(name)
        self.update(place, name, {}, desired)
        return str(name)

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        for key, setter in SETTERS.items():
            if key in new and new[key] != old.get(key):
                setter(place.aws("s3"), physical_id, new[key])
            elif key in old and key not in new:
                raise ResourceError(f"the emulator can't take {key} away from a bucket")

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        place.aws("s3").delete_bucket(Bucket=physical_id)

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        place.aws("s3").head_bucket(Bucket=physical_id)
        return {"BucketName": physical_id, **read_settings(place.aws("s3"), physical_id)}

    def attributes(self, place: Place, physical_id: str, desired: Properties) -> dict[str, Any]:
        return {
            "Arn": f"arn:aws:s3:::{physical_id}",
            "DomainName": f"{physical_id}.s3.amazonaws.com",
            "RegionalDomainName": f"{physical_id}.s3.{place.region}.amazonaws.com",
        }


class BucketPolicy(ResourceType):
    name = "AWS::S3::BucketPolicy"
    updated = frozenset({"PolicyDocument"})

    def create(self, place: Place, desired: Properties) -> str:
        bucket = desired["Bucket"]
        try:
            place.aws("s3").get_bucket_policy(Bucket=bucket)
        except place.aws("s3").exceptions.ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchBucketPolicy":
                raise
        else:
            raise ResourceError(f"The bucket policy already exists on bucket {bucket}.")
        self.update(place, bucket, {}, desired)
        return str(bucket)

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        policy = json.dumps(new["PolicyDocument"])
        place.aws("s3").put_bucket_policy(Bucket=physical_id, Policy=policy)

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        place.aws("s3").delete_bucket_policy(Bucket=physical_id)

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        policy = place.aws("s3").get_bucket_policy(Bucket=physical_id)["Policy"]
        return {"Bucket": physical_id, "PolicyDocument": json.loads(policy)}


TYPES = (Bucket, BucketPolicy)
