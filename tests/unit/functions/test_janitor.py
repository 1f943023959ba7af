"""The janitor: what it deletes, what it leaves alone, and whom it tells."""

import datetime as dt
import json
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.sagemaker.exceptions import ValidationError
from moto.sagemaker.models import sagemaker_backends

from sashiko.functions.janitor_handler import handler

REGION, ACCOUNT = "eu-west-1", "123456789012"
PREFIX = "acme-devicecheck-dev-"
HOUR = 3600
OLD, YOUNG = 2 * HOUR, HOUR // 2


class Account:
    """SageMaker, and a queue that hears the topic."""

    def __init__(self) -> None:
        self.sagemaker = boto3.client("sagemaker")
        self._sqs = boto3.client("sqs")
        sns = boto3.client("sns")
        self.topic = sns.create_topic(Name="alerts")["TopicArn"]
        self._queue = self._sqs.create_queue(QueueName="published_messages")["QueueUrl"]
        arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:published_messages"
        sns.subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=arn)

    def host(self, name: str, *, age: int, upto: str = "endpoint") -> None:
        """Makes a model, a configuration and an endpoint that old, or the first of them."""
        kinds = ["model", "config", "endpoint"]
        for kind in kinds[: kinds.index(upto) + 1]:
            getattr(self, f"_{kind}")(name)
        backend = sagemaker_backends[ACCOUNT][REGION]
        created = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=age)
        for things in (backend._models, backend.endpoint_configs, backend.endpoints):
            if name in things:
                things[name].creation_time = created.strftime("%Y-%m-%d %H:%M:%S")

    def names(self) -> set[str]:
        one, two, three = (
            self.sagemaker.list_models()["Models"],
            self.sagemaker.list_endpoint_configs()["EndpointConfigs"],
            self.sagemaker.list_endpoints()["Endpoints"],
        )
        return (
            {item["ModelName"] for item in one}
            | {item["EndpointConfigName"] for item in two}
            | {item["EndpointName"] for item in three}
        )

    def published_messages(self) -> list[str]:
        messages = self._sqs.receive_message(QueueUrl=self._queue).get("Messages", [])
        return [json.loads(item["Body"])["Message"] for item in messages]

    def clean(self) -> Any:
        event = {"prefix": PREFIX, "older_than": HOUR, "topic": self.topic}
        return handler(event, None)

    def _model(self, name: str) -> None:
        role = f"arn:aws:iam::{ACCOUNT}:role/inference"
        self.sagemaker.create_model(
            ModelName=name, ExecutionRoleArn=role, PrimaryContainer={"Image": "serving:1"}
        )

    def _config(self, name: str) -> None:
        machines = {"InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
        variant = {"VariantName": "AllTraffic", "ModelName": name, **machines}
        self.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])

    def _endpoint(self, name: str) -> None:
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)


@pytest.fixture
def account(monkeypatch):
    for name, value in {
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_DEFAULT_REGION": REGION,
    }.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        yield Account()


def test_old_leftovers_go_and_the_topic_hears_of_it(account):
    account.host(f"{PREFIX}old", age=OLD)
    assert account.clean() == {"deleted": [f"{PREFIX}old"], "left": {}}
    assert account.names() == set()
    [message] = account.published_messages()
    assert f"{PREFIX}old: deleted" in message


@pytest.mark.parametrize("upto", ["model", "config"])
def test_half_of_a_check_goes_too(account, upto):
    account.host(f"{PREFIX}old", age=OLD, upto=upto)
    account.clean()
    assert account.names() == set()


def test_a_check_at_work_and_what_others_have_stay_and_no_message_is_sent(account):
    names = {
        f"{PREFIX}young": YOUNG,
        "acme-devicecheck-prod-old": OLD,
        "acme-dev-triage": OLD,
        f"other-{PREFIX}old": OLD,
    }
    for name, age in names.items():
        account.host(name, age=age)
    assert account.clean() == {"deleted": [], "left": {}}
    assert account.names() == set(names)
    assert account.published_messages() == []


def test_a_name_that_a_second_attempt_uses_again_is_young(account):
    account.host(f"{PREFIX}again", age=OLD, upto="model")
    backend = sagemaker_backends[ACCOUNT][REGION]
    account._config(f"{PREFIX}again")
    assert backend.endpoint_configs[f"{PREFIX}again"].creation_time
    assert account.clean()["deleted"] == []


def test_what_cannot_be_deleted_is_reported_and_the_rest_goes(account, monkeypatch):
    for name in ("one", "two"):
        account.host(f"{PREFIX}{name}", age=OLD)
    backend = type(sagemaker_backends[ACCOUNT][REGION])
    delete = backend.delete_endpoint

    def refuse(self: Any, name: str) -> None:
        if name.endswith("one"):
            raise ValidationError(message="Cannot update in-progress endpoint")
        delete(self, name)

    monkeypatch.setattr(backend, "delete_endpoint", refuse)
    result = account.clean()
    assert result["deleted"] == [f"{PREFIX}two"]
    assert "in-progress" in result["left"][f"{PREFIX}one"]
    # Without its configuration an endpoint in creation would hang for hours.
    assert account.names() == {f"{PREFIX}one"}
    [message] = account.published_messages()
    assert f"{PREFIX}one: NOT deleted, and costs money" in message
