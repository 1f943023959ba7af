"""SQS."""

import json
from typing import Any

from ..engine.errors import AbsentError, ResourceError
from ..engine.resources import Place, Properties, ResourceType, changed_tags, tags_of

_SETTINGS = ("KmsMasterKeyId", "MessageRetentionPeriod", "SqsManagedSseEnabled")


class Queue(ResourceType):
    name = "AWS::SQS::Queue"
    updated = frozenset({*_SETTINGS, "Tags"})
    handled = updated | {"QueueName"}

    def create(self, place: Place, desired: Properties) -> str:
        sqs = place.aws("sqs")
        name = desired.get("QueueName") or place.generated_name(80)
        # CreateQueue answers with one of the same name.
        if any(_name(url) == name for url in sqs.list_queues().get("QueueUrls", [])):
            raise ResourceError(f"{name} already exists")
        tags = {tag["Key"]: tag["Value"] for tag in desired.get("Tags", [])}
        response = sqs.create_queue(QueueName=name, Attributes=_as_text(desired), tags=tags)
        return str(response["QueueUrl"])

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        sqs = place.aws("sqs")
        sqs.set_queue_attributes(QueueUrl=physical_id, Attributes=_as_text(new))
        removed_keys, tags = changed_tags(old, new)
        sqs.untag_queue(QueueUrl=physical_id, TagKeys=removed_keys)
        sqs.tag_queue(QueueUrl=physical_id, Tags={tag["Key"]: tag["Value"] for tag in tags})

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        place.aws("sqs").delete_queue(QueueUrl=physical_id)

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        sqs = place.aws("sqs")
        attributes = _attributes(place, physical_id)
        return {
            "QueueName": _name(physical_id),
            "KmsMasterKeyId": attributes.get("KmsMasterKeyId"),
            "MessageRetentionPeriod": int(attributes["MessageRetentionPeriod"]),
            "SqsManagedSseEnabled": attributes.get("SqsManagedSseEnabled") == "true",
            "Tags": tags_of(sqs.list_queue_tags(QueueUrl=physical_id).get("Tags", {})),
        }

    def attributes(self, place: Place, physical_id: str, desired: Properties) -> dict[str, Any]:
        name = _name(physical_id)
        arn = f"arn:aws:sqs:{place.region}:{place.account}:{name}"
        return {"Arn": arn, "QueueName": name, "QueueUrl": physical_id}


class QueuePolicy(ResourceType):
    name = "AWS::SQS::QueuePolicy"
    updated = frozenset({"PolicyDocument"})
    handled = updated | {"Queues"}

    def create(self, place: Place, desired: Properties) -> str:
        self.update(place, "", {}, desired)
        return place.generated_name(80)

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        self._set(place, new["Queues"], json.dumps(new["PolicyDocument"]))

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        self._set(place, properties["Queues"], "")

    def _set(self, place: Place, queues: list[str], policy: str) -> None:
        for url in queues:
            place.aws("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        policies = {url: _attributes(place, url).get("Policy") for url in desired["Queues"]}
        documents = [json.loads(text) for text in policies.values() if text]
        if len(documents) < len(policies):
            raise AbsentError(f"{[*policies]} have no policy")
        return {"Queues": [*policies], "PolicyDocument": documents[0]}


def _as_text(desired: Properties) -> dict[str, str]:
    """The API takes numbers and booleans as text."""
    settings = {key: desired[key] for key in _SETTINGS if key in desired}
    return {
        key: item if isinstance(item, str) else json.dumps(item) for key, item in settings.items()
    }


def _attributes(place: Place, url: str) -> dict[str, str]:
    response = place.aws("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
    return dict(response["Attributes"])


def _name(url: str) -> str:
    return url.rpartition("/")[2]


TYPES = (Queue, QueuePolicy)
