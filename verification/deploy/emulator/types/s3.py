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

    def create(self, at: Place, wanted: Properties) -> str:
        name = wanted.get("BucketName") or at.generated_name(63).lower()
        s3 = at.aws("s3")
        if name in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}:
            raise ResourceError(f"{name} already exists")
        given: Properties = {"ObjectLockEnabledForBucket": wanted.get("ObjectLockEnabled", False)}
        if at.region != "us-east-1":
            given["CreateBucketConfiguration"] = {"LocationConstraint": at.region}
        s3.create_bucket(Bucket=name, **given)
        at.made.append(name)
        self.update(at, name, {}, wanted)
        return str(name)

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        for key, setter in SETTERS.items():
            if key in new and new[key] != old.get(key):
                setter(at.aws("s3"), physical_id, new[key])
            elif key in old and key not in new:
                raise ResourceError(f"the emulator can't take {key} away from a bucket")

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        at.aws("s3").delete_bucket(Bucket=physical_id)

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        at.aws("s3").head_bucket(Bucket=physical_id)
        return {"BucketName": physical_id, **read_settings(at.aws("s3"), physical_id)}

    def attributes(self, at: Place, physical_id: str, wanted: Properties) -> dict[str, Any]:
        return {
            "Arn": f"arn:aws:s3:::{physical_id}",
            "DomainName": f"{physical_id}.s3.amazonaws.com",
            "RegionalDomainName": f"{physical_id}.s3.{at.region}.amazonaws.com",
        }


class BucketPolicy(ResourceType):
    name = "AWS::S3::BucketPolicy"
    updated = frozenset({"PolicyDocument"})

    def create(self, at: Place, wanted: Properties) -> str:
        bucket = wanted["Bucket"]
        try:
            at.aws("s3").get_bucket_policy(Bucket=bucket)
        except at.aws("s3").exceptions.ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchBucketPolicy":
                raise
        else:
            raise ResourceError(f"The bucket policy already exists on bucket {bucket}.")
        self.update(at, bucket, {}, wanted)
        return str(bucket)

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        policy = json.dumps(new["PolicyDocument"])
        at.aws("s3").put_bucket_policy(Bucket=physical_id, Policy=policy)

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        at.aws("s3").delete_bucket_policy(Bucket=physical_id)

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        found = at.aws("s3").get_bucket_policy(Bucket=physical_id)["Policy"]
        return {"Bucket": physical_id, "PolicyDocument": json.loads(found)}


TYPES = (Bucket, BucketPolicy)
