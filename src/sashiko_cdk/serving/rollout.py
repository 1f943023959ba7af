"""The update of an endpoint that sleeps: woken before, judged after; and who is told of answers."""

from dataclasses import replace
from typing import Final

from aws_cdk import CustomResource, Duration, RemovalPolicy
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from constructs import Construct, IDependable

from sashiko.account.endpoint_spec import VARIANT
from sashiko.account.names import answers_topic_arn, bucket_name
from sashiko.base.function_input import RolloutStep
from sashiko.settings.environment import Settings
from sashiko_cdk.functions.python_function import PythonFunction
from sashiko_cdk.stack import content_id

__all__ = ["AnswersTopic", "Rollout"]

_LONGEST: Final = Duration.minutes(60)  # CloudFormation's; the function calls itself until then


class AnswersTopic(Construct):
    """The SNS topic that SageMaker, as the role `inference`, tells of answers and failures.

    Callers subscribe to it. A message names objects and holds no answer.
    """

    def __init__(self, scope: Construct, id: str, *, settings: Settings, key: kms.IKey) -> None:
        """`key` encrypts messages: that of captures, which the role may use."""
        super().__init__(scope, id)
        name = answers_topic_arn(settings).rpartition(":")[2]
        sns.Topic(self, "Topic", topic_name=name, master_key=key, enforce_ssl=True)


class Rollout(Construct):
    """Wakes two instances before an update, and judges the update by requests sent again.

    Both are custom resources whose ids are content ids, as the preflight is. CloudFormation deletes
    the new ones last when an update fails, and the old ones last when it succeeds: either puts the
    endpoint back to sleep. `docs/decisions/0050-asynchronous.md`.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        endpoint: str,
        config: str,
        key: kms.IKey,
        removal_policy: RemovalPolicy,
    ) -> None:
        """Makes the function and what wakes; `key` encrypts the function's log."""
        super().__init__(scope, id)
        serving = settings.serving
        self._function = PythonFunction(
            self, "Function", settings, "rollout", key=key, removal_policy=removal_policy
        )
        self._step = RolloutStep(
            step="wake",
            endpoint=endpoint,
            variant=VARIANT,
            config=config,
            bucket=bucket_name(settings, "capture"),
            requests=str(serving.asynchronous.judged_requests),
            error_rate=str(serving.error_rate),
            p99_latency_ms=str(serving.p99_latency_ms),
            before="",
        )
        self.woken = self._resource("Woken", self._step)

    def judge(self, *after: IDependable) -> None:
        """Adds the judgement, which comes after the endpoint and its scaling."""
        before = self.woken.get_att_string("Before")
        judged = self._resource("Judged", replace(self._step, step="judge", before=before))
        judged.node.add_dependency(*after)

    def _resource(self, word: str, step: RolloutStep) -> CustomResource:
        resource = CustomResource(
            self,
            content_id(self, word, replace(step, before="").properties()),
            resource_type=f"Custom::{word}",
            service_token=self._function.function.function_arn,
            service_timeout=_LONGEST,
            properties=step.properties(),
        )
        resource.node.add_dependency(self._function)
        return resource
