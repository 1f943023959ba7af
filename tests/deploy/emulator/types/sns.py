"""SNS."""

import json
from typing import Any

from ..engine.resources import Place, Properties, ResourceType


class Topic(ResourceType):
    name = "AWS::SNS::Topic"
    handled = frozenset({"DisplayName", "KmsMasterKeyId", "Subscription", "Tags", "TopicName"})

    def create(self, at: Place, wanted: Properties) -> str:
        made = at.aws("sns").create_topic(
            Name=wanted.get("TopicName") or at.generated_name(256),
            Attributes=_attributes(wanted),
            Tags=wanted.get("Tags", []),
        )
        self._subscribe(at, made["TopicArn"], {}, wanted)
        return str(made["TopicArn"])

    def _subscribe(self, at: Place, arn: str, old: Properties, new: Properties) -> None:
        sns = at.aws("sns")
        before, after = (
            {(item["Protocol"], item["Endpoint"]) for item in side.get("Subscription", [])}
            for side in (old, new)
        )
        for item in sns.list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"]:
            if (item["Protocol"], item["Endpoint"]) in before - after:
                sns.unsubscribe(SubscriptionArn=item["SubscriptionArn"])
        for protocol, endpoint in sorted(after - before):
            sns.subscribe(TopicArn=arn, Protocol=protocol, Endpoint=endpoint)

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        for key, value in _attributes(new).items():
            at.aws("sns").set_topic_attributes(
                TopicArn=physical_id, AttributeName=key, AttributeValue=value
            )
        at.aws("sns").tag_resource(ResourceArn=physical_id, Tags=new.get("Tags", []))
        self._subscribe(at, physical_id, old, new)

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        at.aws("sns").delete_topic(TopicArn=physical_id)

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Any:
        return at.aws("sns").get_topic_attributes(TopicArn=physical_id)["Attributes"]

    def attributes(self, at: Place, physical_id: str, wanted: Properties) -> dict[str, Any]:
        return {"TopicArn": physical_id, "TopicName": physical_id.rpartition(":")[2]}


def _attributes(wanted: Properties) -> dict[str, str]:
    return {key: wanted[key] for key in ("DisplayName", "KmsMasterKeyId") if key in wanted}


class TopicPolicy(ResourceType):
    name = "AWS::SNS::TopicPolicy"
    handled = frozenset({"PolicyDocument", "Topics"})

    def create(self, at: Place, wanted: Properties) -> str:
        self.update(at, "", {}, wanted)
        return at.generated_name(256)

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        for topic in new["Topics"]:
            _set_policy(at, topic, json.dumps(new["PolicyDocument"]))

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        for topic in had["Topics"]:
            _set_policy(at, topic, json.dumps({"Version": "2012-10-17", "Statement": []}))

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Any:
        (topic,) = wanted["Topics"]
        found = at.aws("sns").get_topic_attributes(TopicArn=topic)["Attributes"]
        document = json.loads(found["Policy"])
        if not document["Statement"]:
            raise LookupError(f"{topic} has no policy of its own")
        return document


def _set_policy(at: Place, topic: str, text: str) -> None:
    at.aws("sns").set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=text)


TYPES = (Topic, TopicPolicy)
