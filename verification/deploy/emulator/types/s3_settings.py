"""A bucket's settings: CloudFormation's names, and the calls that write and read them."""

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from ..engine.errors import ResourceError
from ..engine.resources import Properties

Setter = Callable[[Any, str, Any], None]
# CloudFormation flattens nested members of the API, under other names.
_EXPIRATION = {
    "ExpirationInDays": "Days",
    "ExpiredObjectDeleteMarker": "ExpiredObjectDeleteMarker",
}
_PLAIN = ("Status", "AbortIncompleteMultipartUpload", "NoncurrentVersionExpiration")
_TRANSITIONS = {"Transitions": "Days", "NoncurrentVersionTransitions": "NoncurrentDays"}


def _check_keys(value: dict[str, Any], *allowed: str) -> dict[str, Any]:
    if unknown := set(value) - set(allowed):
        raise ResourceError(f"the emulator does not know {min(unknown)} of a bucket")
    return value


def _encryption(s3: Any, bucket: str, value: Any) -> None:
    rules = [
        {
            {"ServerSideEncryptionByDefault": "ApplyServerSideEncryptionByDefault"}.get(k, k): item
            for k, item in rule.items()
        }
        for rule in value["ServerSideEncryptionConfiguration"]
    ]
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})


def _logging(s3: Any, bucket: str, value: Any) -> None:
    _check_keys(value, "DestinationBucketName", "LogFilePrefix")
    target = {
        "TargetBucket": value.get("DestinationBucketName", bucket),
        "TargetPrefix": value.get("LogFilePrefix", ""),
    }
    s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={"LoggingEnabled": target})


def _lifecycle(s3: Any, bucket: str, value: Any) -> None:
    rules = [_rule(rule) for rule in _check_keys(value, "Rules")["Rules"]]
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})


def _rule(rule: dict[str, Any]) -> dict[str, Any]:
    _check_keys(rule, "Id", "Prefix", *_EXPIRATION, *_PLAIN, *_TRANSITIONS)
    api_rule: dict[str, Any] = {"Filter": {"Prefix": rule.get("Prefix", "")}}
    api_rule.update({key: rule[key] for key in _PLAIN if key in rule})
    if "Id" in rule:
        api_rule["ID"] = rule["Id"]
    if expiration := {name: rule[key] for key, name in _EXPIRATION.items() if key in rule}:
        api_rule["Expiration"] = expiration
    for key, days in _TRANSITIONS.items():
        if key in rule:
            api_rule[key] = [
                {
                    "StorageClass": _check_keys(item, "StorageClass", "TransitionInDays")[
                        "StorageClass"
                    ],
                    days: item["TransitionInDays"],
                }
                for item in rule[key]
            ]
    return api_rule


def _rule_read(rule: dict[str, Any]) -> dict[str, Any]:
    """Returns the template's form of a rule of the API."""
    properties = {key: rule[key] for key in _PLAIN if key in rule}
    properties["Prefix"] = rule["Filter"]["Prefix"]
    properties["Id"] = rule.get("ID")
    expiration = rule.get("Expiration", {})
    properties.update(
        {key: expiration[name] for key, name in _EXPIRATION.items() if name in expiration}
    )
    for key, days in _TRANSITIONS.items():
        if key in rule:
            properties[key] = [
                {"StorageClass": item["StorageClass"], "TransitionInDays": item[days]}
                for item in rule[key]
            ]
    return properties


def _notifications(s3: Any, bucket: str, value: Any) -> None:
    _check_keys(value, "EventBridgeConfiguration")
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )


def _access(s3: Any, bucket: str, value: str) -> None:
    if value != "Private":
        raise ResourceError(f"the emulator knows no bucket with AccessControl {value}")
    s3.put_bucket_acl(Bucket=bucket, ACL="private")


SETTERS: dict[str, Setter] = {
    "AccessControl": _access,
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


def read_settings(s3: Any, bucket: str) -> Properties:
    """Returns a bucket's settings in the shape of its template's properties."""

    def get(operation: str, key: str) -> Any:
        try:
            return getattr(s3, f"get_{operation}")(Bucket=bucket).get(key)
        except ClientError as error:
            # Each missing setting is an error of its own: NoSuchTagSet, ...
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
                raise
            return None

    logs = get("bucket_logging", "LoggingEnabled") or {}
    encryption = get("bucket_encryption", "ServerSideEncryptionConfiguration") or {}
    events = get("bucket_notification_configuration", "EventBridgeConfiguration")
    return {
        "BucketEncryption": {
            "ServerSideEncryptionConfiguration": [
                {
                    "ServerSideEncryptionByDefault": rule["ApplyServerSideEncryptionByDefault"],
                    "BucketKeyEnabled": rule.get("BucketKeyEnabled"),
                }
                for rule in encryption.get("Rules", [])
            ]
        },
        "LifecycleConfiguration": {
            "Rules": [
                _rule_read(rule) for rule in get("bucket_lifecycle_configuration", "Rules") or []
            ]
        },
        "LoggingConfiguration": {
            "DestinationBucketName": logs.get("TargetBucket"),
            "LogFilePrefix": logs.get("TargetPrefix"),
        },
        "NotificationConfiguration": {
            "EventBridgeConfiguration": {"EventBridgeEnabled": events is not None}
        },
        "ObjectLockConfiguration": get("object_lock_configuration", "ObjectLockConfiguration"),
        "OwnershipControls": get("bucket_ownership_controls", "OwnershipControls"),
        "PublicAccessBlockConfiguration": get(
            "public_access_block", "PublicAccessBlockConfiguration"
        ),
        "Tags": get("bucket_tagging", "TagSet"),
        "VersioningConfiguration": {"Status": get("bucket_versioning", "Status")},
    }
