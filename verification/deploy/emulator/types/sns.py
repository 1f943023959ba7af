"""SNS."""

import json

from ..engine.errors import AbsentError
from ..engine.resources import Place, Properties, ResourceType, changed_tags


class Topic(ResourceType):
    name = "AWS::SNS::Topic"
    updated = frozenset({"KmsMasterKeyId", "Subscription", "Tags"})
    handled = updated | {"TopicName"}

    def create(self, at: Place, wanted: Properties) -> str:
        name = wanted.get("TopicName") or at.generated_name(256)
        arn = str(at.aws("sns").create_topic(Name=name)["TopicArn"])
        at.made.append(arn)
        self.update(at, arn, {}, wanted)
        return arn

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        sns = at.aws("sns")
        sns.set_topic_attributes(
            TopicArn=physical_id,
            AttributeName="KmsMasterKeyId",
            AttributeValue=new.get("KmsMasterKeyId", ""),
        )
        gone, tags = changed_tags(old, new)
        sns.untag_resource(ResourceArn=physical_id, TagKeys=gone)
        sns.tag_resource(ResourceArn=physical_id, Tags=tags)
        self._subscribe(at, physical_id, new.get("Subscription", []))

    def _subscribe(self, at: Place, arn: str, wanted: list[dict[str, str]]) -> None:
        sns = at.aws("sns")
        there = sns.list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"]
        known = [{key: item[key] for key in ("Protocol", "Endpoint")} for item in there]
        for item, pair in zip(there, known, strict=True):
            if pair not in wanted:
                sns.unsubscribe(SubscriptionArn=item["SubscriptionArn"])
        for pair in wanted:
            if pair not in known:
                sns.subscribe(TopicArn=arn, **pair)

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        at.aws("sns").delete_topic(TopicArn=physical_id)

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        sns, one = at.aws("sns"), {"TopicArn": physical_id}
        subscriptions = sns.list_subscriptions_by_topic(**one)["Subscriptions"]
        return {
            "TopicName": physical_id.rpartition(":")[2],
            "KmsMasterKeyId": sns.get_topic_attributes(**one)["Attributes"].get("KmsMasterKeyId"),
            "Subscription": [
                {key: item[key] for key in ("Protocol", "Endpoint")} for item in subscriptions
            ],
            "Tags": sns.list_tags_for_resource(ResourceArn=physical_id)["Tags"],
        }

    def attributes(self, at: Place, physical_id: str, wanted: Properties) -> dict[str, str]:
        return {"TopicArn": physical_id, "TopicName": physical_id.rpartition(":")[2]}


_NO_POLICY: Properties = {"Version": "2012-10-17", "Statement": []}


class TopicPolicy(ResourceType):
    name = "AWS::SNS::TopicPolicy"
    updated = frozenset({"PolicyDocument"})
    handled = updated | {"Topics"}

    def create(self, at: Place, wanted: Properties) -> str:
        self._set(at, wanted["Topics"], wanted["PolicyDocument"])
        return at.generated_name(256)

    def _set(self, at: Place, topics: list[str], document: Properties) -> None:
        for topic in topics:
            at.aws("sns").set_topic_attributes(
                TopicArn=topic, AttributeName="Policy", AttributeValue=json.dumps(document)
            )

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        self._set(at, new["Topics"], new["PolicyDocument"])

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        self._set(at, had["Topics"], _NO_POLICY)

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        found = {
            topic: at.aws("sns").get_topic_attributes(TopicArn=topic)["Attributes"]["Policy"]
            for topic in wanted["Topics"]
        }
        documents = [json.loads(text) for text in found.values()]
        if _NO_POLICY in documents:
            raise AbsentError(f"{wanted['Topics']} have no policy")
        return {"Topics": list(found), "PolicyDocument": documents[0]}


TYPES = (Topic, TopicPolicy)
