"""What the topic hears of a failure: what failed, where its log is, and the command to go on with.

An action's end is CodePipeline's own event ("Monitoring CodePipeline events", CodePipeline User
Guide). So a source that cannot be read, a build that was killed and one that ran out of time are
reported too, which no command of a build could do.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from constructs import Construct

from sashiko.account.names import prefix
from sashiko.settings.environment import Settings
from sashiko.settings.tools import Tools
from sashiko_cdk.identity.allow import allow
from sashiko_cdk.identity.trust import service
from sashiko_cdk.security_rules.acknowledge import acknowledge
from sashiko_packs.delivery.constructs.builds import pipeline_name
from sashiko_packs.delivery.constructs.model_build import INLINE
from sashiko_packs.delivery.constructs.parts import Stores

# What of an event a message takes.
_PATHS: Mapping[str, str] = {
    "execution": "$.detail.execution-id",
    "reason": "$.detail.execution-result.external-execution-summary",
    "stage": "$.detail.stage",
    "url": "$.detail.execution-result.external-execution-url",
}


@dataclass(frozen=True, kw_only=True)
class _Failure:
    """A kind of failure.

    Attributes:
        name: of its rule.
        categories: of the actions.
        message: with the names of `_PATHS` in angle brackets.
    """

    name: str
    categories: tuple[str, ...]
    message: str


class Failures(Construct):
    """The rules, and the role by which EventBridge publishes.

    A role, and not the topic's policy: EventBridge takes one for every target since March 2025, and
    it names the rules that may use it.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        tools: Tools,
        stores: Stores,
        boundary: iam.IManagedPolicy,
    ) -> None:
        """Makes them."""
        super().__init__(scope, id)
        settings = tools.settings
        role = _role(self, settings, stores, boundary)
        for failure in _failures(settings, pipeline_name(tools)):
            transformer = events.CfnRule.InputTransformerProperty(
                input_paths_map=dict(_PATHS), input_template=json.dumps(failure.message)
            )
            events.CfnRule(
                self,
                failure.name.title(),
                name=f"{prefix(settings)}-{failure.name}-failed",
                description="Says on the topic what failed, and how to go on",
                event_pattern={
                    "source": ["aws.codepipeline"],
                    "detail-type": ["CodePipeline Action Execution State Change"],
                    "detail": {
                        "pipeline": [pipeline_name(tools)],
                        "state": ["FAILED"],
                        "type": {"category": list(failure.categories)},
                    },
                },
                state="ENABLED",
                targets=[
                    events.CfnRule.TargetProperty(
                        id="topic",
                        arn=stores.topic.topic_arn,
                        role_arn=role.role_arn,
                        input_transformer=transformer,
                    )
                ],
            )


def _failures(settings: Settings, pipeline: str) -> tuple[_Failure, ...]:
    """Returns the kinds. An execution without its source has nothing that could be retried."""
    place: Final = f"--region {settings.region}"
    start = f"aws codepipeline start-pipeline-execution --name {pipeline} {place}"
    retry = (
        f"aws codepipeline retry-stage-execution --pipeline-name {pipeline} --stage-name <stage> "
        f"--pipeline-execution-id <execution> --retry-mode FAILED_ACTIONS {place}"
    )
    what = f"{pipeline}: <stage> failed: <reason>"
    return (
        _Failure(
            name="source",
            categories=("Source",),
            message=f"{what}. No merge is delivered until the connection is available: sashiko "
            "doctor --all says whether it is, and how to authorize it again. Then deliver the "
            f"newest commit: {start}",
        ),
        _Failure(
            name="build",
            categories=("Build",),
            message=f"{what}; its log: <url>. Nothing after it was deployed. Merge the repair; or, "
            f"where nothing has to be repaired, run it again: {retry}",
        ),
        _Failure(
            name="approval",
            categories=("Approval",),
            message=f"{what}. It was rejected, or nobody answered for seven days; nothing after it "
            f"was deployed. Revert the merge; or ask again: {retry}",
        ),
    )


def _role(
    scope: Construct, settings: Settings, stores: Stores, boundary: iam.IManagedPolicy
) -> iam.Role:
    through = {"StringEquals": {"kms:ViaService": f"sns.{settings.region}.amazonaws.com"}}
    allowed = [
        allow(["sns:Publish"], [stores.topic.topic_arn]),
        allow(["kms:Decrypt", "kms:GenerateDataKey"], [stores.key.key_arn], conditions=through),
    ]
    role = iam.Role(
        scope,
        "Role",
        role_name=f"{prefix(settings)}-failures",
        description="EventBridge: says on the topic what failed",
        assumed_by=service(settings, "events", f"rule/{prefix(settings)}-*-failed"),
        permissions_boundary=boundary,
        inline_policies={
            "own": iam.PolicyDocument(statements=[item.statement for item in allowed])
        },
    )
    acknowledge(role, {"NIST-IAMNoInlinePolicy": INLINE})
    return role
