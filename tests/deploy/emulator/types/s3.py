"""S3: buckets and their policies."""

import json
from collections.abc import Callable
from typing import Any

from ..engine.errors import ResourceError
from ..engine.resources import Place, Properties, ResourceType

Setter = Callable[[Any, str, Any], None]


def _encryption(s3: Any, bucket: str, value: Any) -> None:
    rules = [
        {
            "ApplyServerSideEncryptionByDefault": rule.get("ServerSideEncryptionByDefault", {}),
            **(
                {"BucketKeyEnabled": rule["BucketKeyEnabled"]} if "BucketKeyEnabled" in rule else {}
            ),
        }
        for rule in value["ServerSideEncryptionConfiguration"]
    ]
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})


def _logging(s3: Any, bucket: str, value: Any) -> None:
    target = {
        "TargetBucket": value.get("DestinationBucketName", bucket),
        "TargetPrefix": value.get("LogFilePrefix", ""),
    }
    s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={"LoggingEnabled": target})


def _lifecycle(s3: Any, bucket: str, value: Any) -> None:
    rules = [_rule(rule) for rule in value["Rules"]]
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})


def _rule(rule: dict[str, Any]) -> dict[str, Any]:
    """CloudFormation flattens what the API nests."""
    left = dict(rule)
    made = {"Filter": {"Prefix": left.pop("Prefix", "")}}
    if "Id" in left:
        made["ID"] = left.pop("Id")
    expiration = {
        "Days": left.pop("ExpirationInDays", None),
        "ExpiredObjectDeleteMarker": left.pop("ExpiredObjectDeleteMarker", None),
    }
    if given := {key: item for key, item in expiration.items() if item is not None}:
        made["Expiration"] = given
    if "Transitions" in left:
        made["Transitions"] = [
            {"StorageClass": item["StorageClass"], "Days": item["TransitionInDays"]}
            for item in left.pop("Transitions")
        ]
    if "NoncurrentVersionTransitions" in left:
        made["NoncurrentVersionTransitions"] = [
            {"StorageClass": item["StorageClass"], "NoncurrentDays": item["TransitionInDays"]}
            for item in left.pop("NoncurrentVersionTransitions")
        ]
    return {**left, **made}


def _notifications(s3: Any, bucket: str, value: Any) -> None:
    if set(value) - {"EventBridgeConfiguration"}:
        raise ResourceError("the emulator knows notifications to EventBridge only")
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )


_SETTERS: dict[str, Setter] = {
    "BucketEncryption": _encryption,
    "LifecycleConfiguration": _lifecycle,
    "LoggingConfiguration": _logging,
    "NotificationConfiguration": _notifications,
    "ObjectLockConfiguration": lambda s3, bucket, value: s3.put_object_lock_configuration(
        Bucket=bucket, ObjectLockConfiguration=value
    ),
    "OwnershipControls": lambda s3, bucket, value: s3.put_bucket_ownership_controls(
        Bucket=bucket, OwnershipControls=value
    ),
    "PublicAccessBlockConfiguration": lambda s3, bucket, value: s3.put_public_access_block(
        Bucket=bucket, PublicAccessBlockConfiguration=value
    ),
    "Tags": lambda s3, bucket, value: s3.put_bucket_tagging(
        Bucket=bucket, Tagging={"TagSet": value}
    ),
    "VersioningConfiguration": lambda s3, bucket, value: s3.put_bucket_versioning(
        Bucket=bucket, VersioningConfiguration=value
    ),
}


class Bucket(ResourceType):
    name = "AWS::S3::Bucket"
    handled = frozenset({"AccessControl", "BucketName", "ObjectLockEnabled", *_SETTERS})

    def create(self, at: Place, wanted: Properties) -> str:
        name = wanted.get("BucketName") or at.generated_name(63).lower()
        s3 = at.aws("s3")
        if name in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}:
            raise ResourceError(f"{name} already exists")
        given: Properties = {"ObjectLockEnabledForBucket": wanted.get("ObjectLockEnabled", False)}
        if at.region != "us-east-1":
            given["CreateBucketConfiguration"] = {"LocationConstraint": at.region}
        s3.create_bucket(Bucket=name, **given)
        self.update(at, name, {}, wanted)
        return str(name)

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        for key, setter in _SETTERS.items():
            if key in new and new[key] != old.get(key):
                setter(at.aws("s3"), physical_id, new[key])
            elif key in old and key not in new:
                raise ResourceError(f"the emulator can't take {key} away from a bucket")

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        at.aws("s3").delete_bucket(Bucket=physical_id)

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Any:
        return at.aws("s3").head_bucket(Bucket=physical_id)

    def attributes(self, at: Place, physical_id: str, wanted: Properties) -> dict[str, Any]:
        return {
            "Arn": f"arn:aws:s3:::{physical_id}",
            "DomainName": f"{physical_id}.s3.amazonaws.com",
            "RegionalDomainName": f"{physical_id}.s3.{at.region}.amazonaws.com",
        }


class BucketPolicy(ResourceType):
    name = "AWS::S3::BucketPolicy"

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

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Any:
        return json.loads(at.aws("s3").get_bucket_policy(Bucket=physical_id)["Policy"])


TYPES = (Bucket, BucketPolicy)
