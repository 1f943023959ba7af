"""SNS."""

import json

from ..engine.errors import AbsentError
from ..engine.resources import Place, Properties, ResourceType, changed_tags


class Topic(ResourceType):
    name = "AWS::SNS::Topic"
    updated = frozenset({"KmsMasterKeyId", "Subscription", "Tags"})
    handled = updated | {"TopicName"}

    def create(self, place: Place, desired: Properties) -> str:
        name = desired.get("TopicName") or place.generated_name(256)
        arn = str(place.aws("sns").create_topic(Name=name)["TopicArn"])
        place.created_ids.append(arn)
        self.update(place, arn, {}, desired)
        return arn

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        sns = place.aws("sns")
        sns.set_topic_attributes(
            TopicArn=physical_id,
            AttributeName="KmsMasterKeyId",
            AttributeValue=new.get("KmsMasterKeyId", ""),
        )
        removed_keys, tags = changed_tags(old, new)
        sns.untag_resource(ResourceArn=physical_id, TagKeys=removed_keys)
        sns.tag_resource(ResourceArn=physical_id, Tags=tags)
        self._subscribe(place, physical_id, new.get("Subscription", []))

    def _subscribe(self, place: Place, arn: str, desired: list[dict[str, str]]) -> None:
        sns = place.aws("sns")
        subscriptions = sns.list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"]
        current = [{key: item[key] for key in ("Protocol", "Endpoint")} for item in subscriptions]
        for item, pair in zip(subscriptions, current, strict=True):
            if pair not in desired:
                sns.unsubscribe(SubscriptionArn=item["SubscriptionArn"])
        for pair in desired:
            if pair not in current:
                sns.subscribe(TopicArn=arn, **pair)

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        place.aws("sns").delete_topic(TopicArn=physical_id)

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        sns, by_arn = place.aws("sns"), {"TopicArn": physical_id}
        subscriptions = sns.list_subscriptions_by_topic(**by_arn)["Subscriptions"]
        return {
            "TopicName": physical_id.rpartition(":")[2],
            "KmsMasterKeyId": sns.get_topic_attributes(**by_arn)["Attributes"].get(
                "KmsMasterKeyId"
            ),
            "Subscription": [
                {key: item[key] for key in ("Protocol", "Endpoint")} for item in subscriptions
            ],
            "Tags": sns.list_tags_for_resource(ResourceArn=physical_id)["Tags"],
        }

    def attributes(self, place: Place, physical_id: str, desired: Properties) -> dict[str, str]:
        return {"TopicArn": physical_id, "TopicName": physical_id.rpartition(":")[2]}


_NO_POLICY: Properties = {"Version": "2012-10-17", "Statement": []}


class TopicPolicy(ResourceType):
    name = "AWS::SNS::TopicPolicy"
    updated = frozenset({"PolicyDocument"})
    handled = updated | {"Topics"}

    def create(self, place: Place, desired: Properties) -> str:
        self._set(place, desired["Topics"], desired["PolicyDocument"])
        return place.generated_name(256)

    def _set(self, place: Place, topics: list[str], document: Properties) -> None:
        for topic in topics:
            place.aws("sns").set_topic_attributes(
                TopicArn=topic, AttributeName="Policy", AttributeValue=json.dumps(document)
            )

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        self._set(place, new["Topics"], new["PolicyDocument"])

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        self._set(place, properties["Topics"], _NO_POLICY)

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        policies = {
            topic: place.aws("sns").get_topic_attributes(TopicArn=topic)["Attributes"]["Policy"]
            for topic in desired["Topics"]
        }
        documents = [json.loads(text) for text in policies.values()]
        if _NO_POLICY in documents:
            raise AbsentError(f"{desired['Topics']} have no policy")
        return {"Topics": list(policies), "PolicyDocument": documents[0]}


TYPES = (Topic, TopicPolicy)
