"""S3, ECR, KMS, CloudWatch Logs, SNS and SQS."""

import json
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from ..engine.resources import AbsentError, Place, Properties, ResourceError, ResourceType
from .api import Api, call, retag, words

Setter = Callable[[Any, str, Any], None]
# CloudFormation flattens nested members of the API, under other names.
_EXPIRATION = {"ExpirationInDays": "Days", "ExpiredObjectDeleteMarker": "ExpiredObjectDeleteMarker"}
_PLAIN = ("Status", "AbortIncompleteMultipartUpload", "NoncurrentVersionExpiration")
_TRANSITIONS = {"Transitions": "Days", "NoncurrentVersionTransitions": "NoncurrentDays"}


def _check_keys(value: dict[str, Any], *allowed: str) -> dict[str, Any]:
    if unknown := set(value) - set(allowed):
        raise ResourceError(f"the emulator does not know {min(unknown)} of a bucket")
    return value


def _encryption(s3: Any, bucket: str, value: Any) -> None:
    rules = {"Rules": value["ServerSideEncryptionConfiguration"]}
    arguments = {"Bucket": bucket, "ServerSideEncryptionConfiguration": rules}
    renamed = {"ServerSideEncryptionByDefault": "ApplyServerSideEncryptionByDefault"}
    call(s3, "put_bucket_encryption", arguments, renamed)


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
        for item in rule.get(key, []):
            _check_keys(item, "StorageClass", "TransitionInDays")
            transition = {"StorageClass": item["StorageClass"], days: item["TransitionInDays"]}
            api_rule.setdefault(key, []).append(transition)
    return api_rule


def _rule_read(rule: dict[str, Any]) -> dict[str, Any]:
    """Returns the template's form of a rule of the API."""
    properties = {key: rule[key] for key in _PLAIN if key in rule}
    properties |= {"Prefix": rule["Filter"]["Prefix"], "Id": rule.get("ID")}
    expiration = rule.get("Expiration", {})
    properties |= {key: expiration[name] for key, name in _EXPIRATION.items() if name in expiration}
    for key, days in _TRANSITIONS.items():
        for item in rule.get(key, []):
            transition = {"StorageClass": item["StorageClass"], "TransitionInDays": item[days]}
            properties.setdefault(key, []).append(transition)
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


# Properties that are an argument of the API: its operation and the argument.
_SAME = {
    "ObjectLockConfiguration": "object_lock_configuration",
    "OwnershipControls": "bucket_ownership_controls",
    "PublicAccessBlockConfiguration": "public_access_block",
    "VersioningConfiguration": "bucket_versioning",
}


def _same(key: str) -> Setter:
    return lambda s3, bucket, value: getattr(s3, f"put_{_SAME[key]}")(Bucket=bucket, **{key: value})


SETTERS: dict[str, Setter] = {
    "AccessControl": _access,
    "BucketEncryption": _encryption,
    "LifecycleConfiguration": _lifecycle,
    "LoggingConfiguration": _logging,
    "NotificationConfiguration": _notifications,
    "Tags": lambda s3, bucket, value: s3.put_bucket_tagging(
        Bucket=bucket, Tagging={"TagSet": value}
    ),
    **{key: _same(key) for key in _SAME},
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
        "Tags": get("bucket_tagging", "TagSet"),
        **{key: get(operation, key) for key, operation in _SAME.items()},
        "VersioningConfiguration": {"Status": get("bucket_versioning", "Status")},
    }


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


class Repository(Api):
    def create(self, place: Place, desired: Properties) -> str:
        made = ("EncryptionConfiguration", "RepositoryName")
        name = super().create(place, {key: desired[key] for key in made if key in desired})
        self.update(place, name, {}, desired)
        return name

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        ecr, by_name = place.aws("ecr"), {"repositoryName": physical_id}
        mutability = new.get("ImageTagMutability", "MUTABLE")
        ecr.put_image_tag_mutability(**by_name, imageTagMutability=mutability)
        scanning = {
            "scanOnPush": new.get("ImageScanningConfiguration", {}).get("ScanOnPush", False)
        }
        ecr.put_image_scanning_configuration(**by_name, imageScanningConfiguration=scanning)
        if text := new.get("LifecyclePolicy", {}).get("LifecyclePolicyText"):
            ecr.put_lifecycle_policy(**by_name, lifecyclePolicyText=text)
        elif "LifecyclePolicy" in old:
            ecr.delete_lifecycle_policy(**by_name)
        if policy := new.get("RepositoryPolicyText"):
            ecr.set_repository_policy(**by_name, policyText=json.dumps(policy))
        elif "RepositoryPolicyText" in old:
            ecr.delete_repository_policy(**by_name)
        retag(place, "ecr", self._format(self.tags, place, physical_id, new), old, new)

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        repository, ecr = super().read(place, physical_id, desired), place.aws("ecr")
        if "LifecyclePolicy" in desired:
            rules = ecr.get_lifecycle_policy(repositoryName=physical_id)["lifecyclePolicyText"]
            repository["LifecyclePolicy"] = {"LifecyclePolicyText": rules}
        return repository

    def attributes(self, place: Place, physical_id: str, desired: Properties) -> dict[str, Any]:
        repository = self._answer(place, physical_id)
        return {"Arn": repository["repositoryArn"], "RepositoryUri": repository["repositoryUri"]}


class Key(Api):
    def create(self, place: Place, desired: Properties) -> str:
        key = super().create(place, desired)
        self._rotate(place, key, desired)
        return key

    def _rotate(self, place: Place, key: str, desired: Properties) -> None:
        if desired.get("KeySpec", "SYMMETRIC_DEFAULT") != "SYMMETRIC_DEFAULT":
            return  # KMS rotates symmetric keys only
        verb = "enable" if desired.get("EnableKeyRotation") else "disable"
        getattr(place.aws("kms"), f"{verb}_key_rotation")(KeyId=key)

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        kms, by_id = place.aws("kms"), {"KeyId": physical_id}
        if new.get("KeyPolicy") != old.get("KeyPolicy"):
            kms.put_key_policy(**by_id, PolicyName="default", Policy=json.dumps(new["KeyPolicy"]))
        kms.update_key_description(**by_id, Description=new.get("Description", ""))
        retag(place, "kms", physical_id, old, new)
        self._rotate(place, physical_id, new)

    def _answer(self, place: Place, physical_id: str) -> Any:
        kms, by_id = place.aws("kms"), {"KeyId": physical_id}
        key = super()._answer(place, physical_id)
        if not key:
            return None
        if key["KeySpec"] == "SYMMETRIC_DEFAULT":
            key["EnableKeyRotation"] = kms.get_key_rotation_status(**by_id)["KeyRotationEnabled"]
        return {**key, "Policy": kms.get_key_policy(**by_id, PolicyName="default")["Policy"]}


class Alias(Api):
    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        kms = place.aws("kms")
        # "UpdateAlias", KMS API Reference; moto moves an alias to any key.
        both = [
            kms.describe_key(KeyId=key)["KeyMetadata"] for key in (physical_id, new["TargetKeyId"])
        ]
        # moto knows no default of a key's usage.
        kinds = {
            (key.get("KeyUsage", "ENCRYPT_DECRYPT"), key["KeySpec"] == "SYMMETRIC_DEFAULT")
            for key in both
        }
        if len(kinds) > 1:
            raise ResourceError(f"{physical_id} names a key of another type or usage")
        kms.update_alias(**new)

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        for alias in place.aws("kms").get_paginator("list_aliases").paginate().search("Aliases"):
            if alias["AliasName"] == physical_id:
                # A template may give the key's ARN where KMS answers with its id.
                target = alias["TargetKeyId"]
                if desired.get("TargetKeyId", "").startswith("arn:"):
                    target = place.aws("kms").describe_key(KeyId=target)["KeyMetadata"]["Arn"]
                return {"AliasName": physical_id, "TargetKeyId": target}
        raise AbsentError(f"no alias {physical_id}")


class LogGroup(Api):
    def create(self, place: Place, desired: Properties) -> str:
        name = super().create(place, desired)
        if "RetentionInDays" in desired:
            self._retain(place, name, desired)
        return name

    def _retain(self, place: Place, name: str, desired: Properties) -> None:
        if days := desired.get("RetentionInDays"):
            place.aws("logs").put_retention_policy(logGroupName=name, retentionInDays=days)
        else:
            place.aws("logs").delete_retention_policy(logGroupName=name)

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        logs, by_name = place.aws("logs"), {"logGroupName": physical_id}
        self._retain(place, physical_id, new)
        retag(place, "logs", physical_id, old, new)
        if "KmsKeyId" in new:
            logs.associate_kms_key(**by_name, kmsKeyId=new["KmsKeyId"])
        elif "KmsKeyId" in old:
            logs.disassociate_kms_key(**by_name)

    def _answer(self, place: Place, physical_id: str) -> Any:
        answer = place.aws("logs").describe_log_groups(logGroupNamePrefix=physical_id)
        return next((g for g in answer["logGroups"] if g["logGroupName"] == physical_id), None)


class Topic(Api):
    def create(self, place: Place, desired: Properties) -> str:
        arn = super().create(place, {k: v for k, v in desired.items() if k == "TopicName"})
        self.update(place, arn, {}, desired)
        return arn

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        sns, by_arn = place.aws("sns"), {"TopicArn": physical_id}
        key = {"AttributeName": "KmsMasterKeyId", "AttributeValue": new.get("KmsMasterKeyId", "")}
        sns.set_topic_attributes(**by_arn, **key)
        retag(place, "sns", physical_id, old, new)
        desired = new.get("Subscription", [])
        current = {
            item["SubscriptionArn"]: item for item in self._subscriptions(place, physical_id)
        }
        for arn, item in current.items():
            if {key: item[key] for key in ("Protocol", "Endpoint")} not in desired:
                sns.unsubscribe(SubscriptionArn=arn)
        present = [(item["Protocol"], item["Endpoint"]) for item in current.values()]
        for pair in desired:
            if (pair["Protocol"], pair["Endpoint"]) not in present:
                sns.subscribe(**by_arn, **pair)

    def _subscriptions(self, place: Place, arn: str) -> Any:
        return place.aws("sns").list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"]

    def _answer(self, place: Place, physical_id: str) -> Any:
        answer = super()._answer(place, physical_id)
        subscriptions = self._subscriptions(place, physical_id)
        return {**answer, "Name": physical_id.rpartition(":")[2], "Subscription": subscriptions}


class Queue(Api):
    def create(self, place: Place, desired: Properties) -> str:
        named = {key: item for key, item in desired.items() if key in ("QueueName", "Tags")}
        name = desired.get("QueueName", "")
        # CreateQueue answers with one of the same name.
        queues = place.aws("sqs").list_queues().get("QueueUrls", [])
        if any(url.rpartition("/")[2] == name for url in queues):
            raise ResourceError(f"{name} already exists")
        return super().create(place, {**named, "Attributes": self._settings(desired)})

    def _settings(self, desired: Properties) -> Properties:
        """The API takes numbers and booleans as text."""
        return {
            key: item if isinstance(item, str) else json.dumps(item)
            for key, item in desired.items()
            if key not in ("QueueName", "Tags")
        }

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        attributes = self._settings(new)
        place.aws("sqs").set_queue_attributes(QueueUrl=physical_id, Attributes=attributes)
        retag(place, "sqs", physical_id, old, new)

    def _answer(self, place: Place, physical_id: str) -> Any:
        names = {"QueueUrl": physical_id, "AttributeNames": ["All"]}
        attributes = place.aws("sqs").get_queue_attributes(**names)["Attributes"]
        return {**attributes, "QueueName": physical_id.rpartition("/")[2]}

    def attributes(self, place: Place, physical_id: str, desired: Properties) -> dict[str, Any]:
        name = physical_id.rpartition("/")[2]
        arn = f"arn:aws:sqs:{place.region}:{place.account}:{name}"
        return {"Arn": arn, "QueueName": name, "QueueUrl": physical_id}


class _ResourcePolicy(ResourceType):
    """A policy put into each topic or queue that it names."""

    updated = words("PolicyDocument")
    several: str

    def create(self, place: Place, desired: Properties) -> str:
        self.update(place, "", {}, desired)
        return place.generated_name(80)

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        for resource in new[self.several]:
            self.put(place, resource, json.dumps(new["PolicyDocument"]))

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        texts = [self.policy(place, resource) for resource in desired[self.several]]
        if "" in texts:
            raise AbsentError(f"{desired[self.several]} have no policy")
        return {self.several: desired[self.several], "PolicyDocument": json.loads(texts[0])}


class TopicPolicy(_ResourcePolicy):
    name, several = "AWS::SNS::TopicPolicy", "Topics"
    handled = words("PolicyDocument Topics")
    _none = '{"Version": "2012-10-17", "Statement": []}'

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        for topic in properties["Topics"]:
            self.put(place, topic, self._none)

    def put(self, place: Place, resource: str, policy: str) -> None:
        arguments = {"AttributeName": "Policy", "AttributeValue": policy}
        place.aws("sns").set_topic_attributes(TopicArn=resource, **arguments)

    def policy(self, place: Place, resource: str) -> str:
        attributes = place.aws("sns").get_topic_attributes(TopicArn=resource)["Attributes"]
        none = json.loads(attributes["Policy"]) == json.loads(self._none)
        return "" if none else str(attributes["Policy"])


class QueuePolicy(_ResourcePolicy):
    name, several = "AWS::SQS::QueuePolicy", "Queues"
    handled = words("PolicyDocument Queues")

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        for queue in properties["Queues"]:
            self.put(place, queue, "")

    def put(self, place: Place, resource: str, policy: str) -> None:
        place.aws("sqs").set_queue_attributes(QueueUrl=resource, Attributes={"Policy": policy})

    def policy(self, place: Place, resource: str) -> str:
        answer = place.aws("sqs").get_queue_attributes(QueueUrl=resource, AttributeNames=["All"])
        return str(answer["Attributes"].get("Policy", ""))


TYPES = (
    Bucket(),
    Repository(
        name="AWS::ECR::Repository", service="ecr", noun="repository", by="repositoryName",
        named="RepositoryName", calls={"get": "describe_repositories"}, result="repositories[0]",
        updated=words(
            "EmptyOnDelete ImageScanningConfiguration ImageTagMutability LifecyclePolicy "
            "RepositoryPolicyText Tags"
        ),
        more=words("EncryptionConfiguration RepositoryName"), deleted_with=words("EmptyOnDelete"),
        renamed={"EmptyOnDelete": "force"}, tags="arn:aws:ecr:{region}:{account}:repository/{id}",
    ),
    Key(
        name="AWS::KMS::Key", service="kms", noun="key", by="KeyId", named="",
        calls={"get": "describe_key", "delete": "schedule_key_deletion"},
        id_path="KeyMetadata.KeyId", renamed={"KeyPolicy": "Policy"},
        result="KeyMetadata.KeyState != 'PendingDeletion' && KeyMetadata || `null`",
        left_out=words("EnableKeyRotation PendingWindowInDays"),
        deleted_with=words("PendingWindowInDays"),
        # Neither Enabled nor RotationPeriodInDays: moto drops the latter.
        updated=words("Description EnableKeyRotation KeyPolicy PendingWindowInDays Tags"),
        more=words("KeySpec KeyUsage"), tags="{id}",
        values={"Arn": "arn:aws:kms:{region}:{account}:key/{id}", "KeyId": "{id}"},
    ),
    Alias(
        name="AWS::KMS::Alias", service="kms", noun="alias", by="AliasName", named="AliasName",
        updated=words("TargetKeyId"), more=words("AliasName"),
    ),
    LogGroup(
        name="AWS::Logs::LogGroup", service="logs", noun="log_group", by="logGroupName",
        named="LogGroupName", limit=512, left_out=words("RetentionInDays"),
        updated=words("KmsKeyId RetentionInDays Tags"), more=words("LogGroupName"), tags="{id}",
        values={"Arn": "arn:aws:logs:{region}:{account}:log-group:{id}:*"},
    ),
    Topic(
        name="AWS::SNS::Topic", service="sns", noun="topic", by="TopicArn", named="TopicName",
        calls={"get": "get_topic_attributes"}, renamed={"TopicName": "Name"}, id_path="TopicArn",
        result="Attributes", updated=words("KmsMasterKeyId Subscription Tags"),
        more=words("TopicName"), tags="{id}",
        values={"TopicArn": "{id}", "TopicName": "{end}"},
    ),
    TopicPolicy(),
    Queue(
        name="AWS::SQS::Queue", service="sqs", noun="queue", by="QueueUrl", named="QueueName",
        id_path="QueueUrl", limit=80,
        updated=words("KmsMasterKeyId MessageRetentionPeriod SqsManagedSseEnabled Tags"),
        more=words("QueueName"), tags="{id}",
    ),
    QueuePolicy(),
)  # fmt: skip
