"""The update of an endpoint that sleeps: woken, judged by requests sent again, asleep again."""

import datetime as dt
import io
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sashiko.base.async_requests import request_name
from sashiko.functions import rollout_handler

ENDPOINT, BUCKET, OLD, NEW = "desk", "captures", "desk-old", "desk-new"
NOW = dt.datetime(2026, 12, 1, 12, tzinfo=dt.UTC)
ANSWER, REFUSAL = b'[{"score": 0.5}]', b"500"


class Account:
    """What the function calls, with a clock that only waiting moves."""

    def __init__(self) -> None:
        self.now = NOW.timestamp()
        self.instances, self.minimum, self.actions = 0, 0, set()
        self.starts_after = 30.0  # seconds from a new minimum to its instances
        self.exists, self.wakes_at = True, 0.0
        self.objects: dict[str, bytes] = {}
        self.sent: list[dict[str, Any]] = []
        self.answers = lambda number: ANSWER  # of a request's number; None: none yet
        self.latencies: list[float] | None = None  # ms; None: as many as were answered, of 20 ms
        self.calls: list[Any] = []
        self.answer: Any = None

    def client(self, name: str) -> "Account":
        return self

    # Application Auto Scaling and SageMaker
    class exceptions:  # noqa: N801 - as botocore names it
        ObjectNotFoundException = KeyError

    def describe_scalable_targets(self, **_: Any) -> Any:
        return {"ScalableTargets": [{}] if self.exists else []}

    def register_scalable_target(self, *, MinCapacity: int, **_: Any) -> None:  # noqa: N803 - AWS's
        self.minimum, self.wakes_at = MinCapacity, self.now + self.starts_after

    def put_scheduled_action(self, *, ScheduledActionName: str, **_: Any) -> None:  # noqa: N803
        self.actions.add(ScheduledActionName)

    def delete_scheduled_action(self, *, ScheduledActionName: str, **_: Any) -> None:  # noqa: N803
        self.actions.remove(ScheduledActionName)

    def describe_endpoint(self, **_: Any) -> Any:
        if not self.exists:
            response: Any = {"Error": {"Code": "ValidationException", "Message": "Could not find"}}
            raise ClientError(response, "DescribeEndpoint")
        if self.minimum and self.now >= self.wakes_at:
            self.instances = self.minimum
        variants = [{"CurrentInstanceCount": self.instances}]
        status = "InService" if self.instances >= self.minimum else "Updating"
        return {
            "EndpointConfigName": OLD, "EndpointStatus": status, "ProductionVariants": variants,
        }  # fmt: skip

    def invoke_endpoint_async(self, *, InferenceId: str, **request: Any) -> Any:  # noqa: N803
        self.sent.append({**request, "InferenceId": InferenceId})
        place = f"s3://{BUCKET}/{ENDPOINT}/version=8"
        return {
            "OutputLocation": f"{place}/output/{InferenceId}.out",
            "FailureLocation": f"{place}/failure/{InferenceId}.out",
        }

    # S3, CloudWatch and Lambda
    def list_objects_v2(self, *, Prefix: str, StartAfter: str = "", **_: Any) -> Any:  # noqa: N803
        keys = sorted(key for key in self.objects if key.startswith(Prefix) and key > StartAfter)
        tops = {"/".join(key.split("/")[:2]) + "/" for key in keys}
        return {
            "Contents": [{"Key": key} for key in keys],
            "CommonPrefixes": [{"Prefix": top} for top in sorted(tops)],
        }

    def get_object(self, *, Key: str, **_: Any) -> Any:  # noqa: N803
        number = int(Key.rpartition("-")[2].partition(".")[0])
        answer = self.answers(number)
        if answer is None or (answer == REFUSAL) != ("/failure/" in Key):
            raise ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject")
        return {"Body": io.BytesIO(answer)}

    def get_metric_statistics(self, **_: Any) -> Any:
        values = [20.0] * len(self.sent) if self.latencies is None else self.latencies
        points = [{"Maximum": value * 1000, "SampleCount": 1.0} for value in values]
        return {"Datapoints": points}

    def invoke(self, *, Payload: bytes, InvocationType: str, **_: Any) -> None:  # noqa: N803
        assert InvocationType == "Event"
        self.calls.append(json.loads(Payload))

    def keep(self, requests: int, *, age: dt.timedelta = dt.timedelta(minutes=5)) -> None:
        for _ in range(requests):
            name = request_name(NOW - age)
            self.objects[f"{ENDPOINT}/version=7/output/{name}.out"] = ANSWER

    def run(self, step: str, *, kind: str = "Create", before: str = OLD, seconds: float = 900):
        """Calls the function, and again as it calls itself; returns its answer."""
        event = {
            "RequestType": kind, "ResponseURL": "https://example", "StackId": "s", "RequestId": "r",
            "LogicalResourceId": "Woken", "PhysicalResourceId": "Woken",
            "ResourceProperties": {
                "Step": step, "Endpoint": ENDPOINT, "Variant": "primary", "Config": NEW,
                "Bucket": BUCKET, "Requests": "3", "ErrorRate": "0.01", "P99LatencyMs": "500",
                "Before": before,
            },
        }  # fmt: skip
        self.calls.append(event)
        self.runs = 0
        while self.calls:
            self.runs += 1
            end = self.now + seconds

            class Context:
                invoked_function_arn = "arn"

                def get_remaining_time_in_millis(self, account=self, end=end) -> float:
                    return (end - account.now) * 1000

            rollout_handler.handler(self.calls.pop(), Context())
        return self.answer


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Account:
    fake = Account()

    def sleep(seconds: float) -> None:
        fake.now += seconds

    class Clock(dt.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> dt.datetime:  # type: ignore[override]  # a fake's
            return dt.datetime.fromtimestamp(fake.now, tz)

    monkeypatch.setattr(rollout_handler.boto3, "client", fake.client)
    monkeypatch.setattr(rollout_handler.time, "sleep", sleep)
    monkeypatch.setattr(rollout_handler.time, "time", lambda: fake.now)
    monkeypatch.setattr(rollout_handler.dt, "datetime", Clock)
    sends = "sashiko.base.custom_resource.send"
    monkeypatch.setattr(sends, lambda _, answer: setattr(fake, "answer", answer))
    return fake


def test_two_instances_are_awake_before_an_update_and_it_goes_back_to_sleep_at_last(account):
    assert account.run("wake").data == {"Before": OLD}
    assert (account.instances, account.minimum, len(account.actions)) == (2, 2, 1)

    assert account.run("wake", kind="Delete").failure is None
    assert (account.minimum, account.actions) == (0, set())


def test_a_slow_model_is_waited_for_beyond_what_one_call_may_take(account):
    account.starts_after = 2000
    assert account.run("wake").failure is None
    assert account.runs == 3
    assert account.instances == 2


def test_what_does_not_wake_is_put_back_to_sleep(account):
    account.starts_after = 1e9
    answer = account.run("wake")
    assert "has not woken 2 instances within an hour" in answer.failure
    assert (account.minimum, account.actions) == (0, set())


def test_the_first_version_has_nothing_to_be_judged_against(account):
    account.exists = False
    assert account.run("wake").data == {"Before": "none"}
    assert account.run("judge", before="none").failure is None
    assert account.sent == []


def test_recorded_requests_are_sent_again_and_a_pass_puts_it_to_sleep(account):
    account.keep(4)
    account.run("wake")
    assert account.run("judge").failure is None
    inputs = {item["InputLocation"].rpartition("/")[2].partition(".")[0] for item in account.sent}
    kept = {key.rpartition("/")[2].partition(".")[0] for key in account.objects}
    assert len(inputs) == 3
    assert inputs < kept
    assert all(item["InferenceId"].startswith("judge-") for item in account.sent)
    assert (account.minimum, account.actions) == (0, set())


def test_requests_of_days_ago_do_where_the_last_hour_has_too_few(account):
    account.keep(1)
    account.keep(2, age=dt.timedelta(days=3))
    assert account.run("judge").failure is None


@pytest.mark.parametrize(
    ("kept", "answers", "latencies", "reason"),
    [
        (2, lambda number: ANSWER, None, "2 requests are kept that were answered, and an update"),
        (3, lambda number: ANSWER if number else None, None, "2 of 3 requests were answered, and"),
        (3, lambda number: ANSWER if number else REFUSAL, None, "1 of 3 requests failed that were"),
        (3, lambda number: ANSWER if number else b"<html>", None, "1 of 3 requests failed"),
        (3, lambda number: ANSWER, [20.0, 20.0], "CloudWatch has 2 latencies of 3 answers"),
        (3, lambda number: ANSWER, [20.0, 501.0, 20.0], "the slowest answer took 501 ms"),
    ],
)
def test_fewer_or_worse_answers_are_no_pass(account, kept, answers, latencies, reason):
    account.keep(kept)
    account.answers, account.latencies = answers, latencies
    account.run("wake")
    assert reason in account.run("judge").failure
    # The way back is an update too, which CloudFormation's deletion ends.
    assert account.minimum == 2
    account.run("wake", kind="Delete")
    assert (account.minimum, account.actions) == (0, set())


def test_late_answers_are_waited_for_and_requests_are_not_sent_twice(account):
    account.keep(3)
    account.answers = lambda number: ANSWER if account.now > NOW.timestamp() + 1000 else None
    assert account.run("judge").failure is None
    assert account.runs == 2
    assert len(account.sent) == 3
