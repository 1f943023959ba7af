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

    def create(self, at: Place, wanted: Properties) -> str:
        sqs = at.aws("sqs")
        name = wanted.get("QueueName") or at.generated_name(80)
        # CreateQueue answers with one of the same name.
        if any(_name(url) == name for url in sqs.list_queues().get("QueueUrls", [])):
            raise ResourceError(f"{name} already exists")
        tags = {tag["Key"]: tag["Value"] for tag in wanted.get("Tags", [])}
        made = sqs.create_queue(QueueName=name, Attributes=_as_text(wanted), tags=tags)
        return str(made["QueueUrl"])

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        sqs = at.aws("sqs")
        sqs.set_queue_attributes(QueueUrl=physical_id, Attributes=_as_text(new))
        gone, tags = changed_tags(old, new)
        sqs.untag_queue(QueueUrl=physical_id, TagKeys=gone)
        sqs.tag_queue(QueueUrl=physical_id, Tags={tag["Key"]: tag["Value"] for tag in tags})

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        at.aws("sqs").delete_queue(QueueUrl=physical_id)

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        sqs = at.aws("sqs")
        found = _attributes(at, physical_id)
        return {
            "QueueName": _name(physical_id),
            "KmsMasterKeyId": found.get("KmsMasterKeyId"),
            "MessageRetentionPeriod": int(found["MessageRetentionPeriod"]),
            "SqsManagedSseEnabled": found.get("SqsManagedSseEnabled") == "true",
            "Tags": tags_of(sqs.list_queue_tags(QueueUrl=physical_id).get("Tags", {})),
        }

    def attributes(self, at: Place, physical_id: str, wanted: Properties) -> dict[str, Any]:
        name = _name(physical_id)
        arn = f"arn:aws:sqs:{at.region}:{at.account}:{name}"
        return {"Arn": arn, "QueueName": name, "QueueUrl": physical_id}


class QueuePolicy(ResourceType):
    name = "AWS::SQS::QueuePolicy"
    updated = frozenset({"PolicyDocument"})
    handled = updated | {"Queues"}

    def create(self, at: Place, wanted: Properties) -> str:
        self.update(at, "", {}, wanted)
        return at.generated_name(80)

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        self._set(at, new["Queues"], json.dumps(new["PolicyDocument"]))

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        self._set(at, had["Queues"], "")

    def _set(self, at: Place, queues: list[str], policy: str) -> None:
        for url in queues:
            at.aws("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        found = {url: _attributes(at, url).get("Policy") for url in wanted["Queues"]}
        documents = [json.loads(text) for text in found.values() if text]
        if len(documents) < len(found):
            raise AbsentError(f"{[*found]} have no policy")
        return {"Queues": [*found], "PolicyDocument": documents[0]}


def _as_text(wanted: Properties) -> dict[str, str]:
    """The API takes numbers and booleans as text."""
    found = {key: wanted[key] for key in _SETTINGS if key in wanted}
    return {key: item if isinstance(item, str) else json.dumps(item) for key, item in found.items()}


def _attributes(at: Place, url: str) -> dict[str, str]:
    found = at.aws("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
    return dict(found["Attributes"])


def _name(url: str) -> str:
    return url.rpartition("/")[2]


TYPES = (Queue, QueuePolicy)
