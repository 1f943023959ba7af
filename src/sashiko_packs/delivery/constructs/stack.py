"""The stack of the tools' account: the pipeline that brings a merge to the environments."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from aws_cdk import aws_codepipeline as codepipeline
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from constructs import Construct

from sashiko.account.names import prefix
from sashiko.settings.environment import Settings
from sashiko.settings.tools import Tools
from sashiko_cdk.identity.allow import allow, explain
from sashiko_cdk.identity.boundary import boundary_of
from sashiko_cdk.identity.trust import service
from sashiko_cdk.security_rules.acknowledge import acknowledge
from sashiko_cdk.stack import EnvironmentStack
from sashiko_packs.delivery.constructs.builds import (
    ASSEMBLY,
    Build,
    artifact_objects,
    artifacts_bucket,
    pipeline_name,
    reading_repository,
    using_key,
)
from sashiko_packs.delivery.constructs.model_delivery import INLINE, ModelDelivery
from sashiko_packs.delivery.constructs.parts import Part, Stores, is_approved, parts_of, places_of

__all__ = ["add_delivery_pipeline"]

# What the topic hears of a failure: what failed, where its log is, and the command to go on with.
#
# An action's end is CodePipeline's own event ("Monitoring CodePipeline events", CodePipeline User
# Guide). So a source that cannot be read, a build that was killed and one that ran out of time are
# reported too, which no command of a build could do.
# What of an event a message takes.
_PATHS: Mapping[str, str] = {
    "execution": "$.detail.execution-id",
    "reason": "$.detail.execution-result.external-execution-summary",
    "stage": "$.detail.stage",
    "url": "$.detail.execution-result.external-execution-url",
}


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
        role = _failures_role(self, settings, stores, boundary)
        for category, message in _messages(settings, pipeline_name(tools)).items():
            transformer = events.CfnRule.InputTransformerProperty(
                input_paths_map=dict(_PATHS), input_template=json.dumps(message)
            )
            events.CfnRule(
                self,
                category,
                name=f"{prefix(settings)}-{category.lower()}-failed",
                description="Says on the topic what failed, and how to go on",
                event_pattern={
                    "source": ["aws.codepipeline"],
                    "detail-type": ["CodePipeline Action Execution State Change"],
                    "detail": {
                        "pipeline": [pipeline_name(tools)],
                        "state": ["FAILED"],
                        "type": {"category": [category]},
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


def _messages(settings: Settings, pipeline: str) -> dict[str, str]:
    """Returns the category of an action -> the message, with the names of `_PATHS` in brackets.

    An execution without its source has nothing that could be retried.
    """
    place: Final = f"--region {settings.region}"
    start = f"aws codepipeline start-pipeline-execution --name {pipeline} {place}"
    retry = (
        f"aws codepipeline retry-stage-execution --pipeline-name {pipeline} --stage-name <stage> "
        f"--pipeline-execution-id <execution> --retry-mode FAILED_ACTIONS {place}"
    )
    what = f"{pipeline}: <stage> failed: <reason>"
    return {
        "Source": f"{what}. No merge is delivered until the connection is available: sashiko "
        "doctor --all says whether it is, and how to authorize it again. Then deliver the "
        f"newest commit: {start}",
        "Build": f"{what}; its log: <url>. Nothing after it was deployed. Merge the repair; or, "
        f"where nothing has to be repaired, run it again: {retry}",
        "Approval": f"{what}. It was rejected, or nobody answered for seven days; nothing after it "
        f"was deployed. Revert the merge; or ask again: {retry}",
    }


def _failures_role(
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


_SOURCE: Final = "Source"  # artifact, and namespace of the source's variables
_SYNTH: Final = "Synth"
_TRUST = (
    "AWS documents no aws:SourceArn for the role of a pipeline, and CodePipeline takes a role of "
    "its own account alone, handed over by somebody who may pass it."
)
_Pipeline = codepipeline.CfnPipeline


class DeliveryPipeline(Construct):
    """Source, build, then for each place: difference, approval where a person decides, deploy.

    No stage has a condition, so nothing that a build says can skip an approval.
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
        """Makes the pipeline and its role."""
        super().__init__(scope, id)
        self._tools, self._topic = tools, stores.topic.topic_arn
        role = _pipeline_role(self, tools=tools, stores=stores, boundary=boundary)
        pipeline = _Pipeline(
            self,
            "Resource",
            name=pipeline_name(tools),
            pipeline_type="V2",
            # Of two merges that wait, the later one has both.
            execution_mode="SUPERSEDED",
            restart_execution_on_update=True,
            role_arn=role.role_arn,
            artifact_store=_Pipeline.ArtifactStoreProperty(
                type="S3",
                location=stores.artifacts.bucket_name,
                encryption_key=_Pipeline.EncryptionKeyProperty(id=stores.key.key_arn, type="KMS"),
            ),
            stages=list(self._stages()),
        )
        pipeline.node.add_dependency(role)

    def _stages(self) -> Iterator[_Pipeline.StageDeclarationProperty]:
        tools = self._tools
        yield _stage("Source", [_source(tools)])
        yield _stage(
            "Build",
            [
                self._build(Part(tools=tools.settings, kind="test"), reads=_SOURCE),
                self._build(
                    Part(tools=tools.settings, kind="synth"),
                    reads=_SOURCE,
                    writes=_SYNTH,
                    namespace=_SYNTH,
                ),
            ],
        )
        for place in places_of(tools):
            yield from self._place(place)

    def _place(self, place: Settings) -> Iterator[_Pipeline.StageDeclarationProperty]:
        """Yields the stages of a place: what changes, who allows it, the deploy."""
        name = place.environment
        difference = Part(tools=self._tools.settings, kind="difference", place=place)
        deploy = Part(tools=self._tools.settings, kind="deploy", place=place)
        yield _stage(
            difference.id,
            [self._build(difference, reads=_SYNTH, writes=difference.id, checks=True)],
        )
        if is_approved(self._tools, place):
            yield _stage(f"{name}-approval", [self._approval(difference)])
        yield _stage(deploy.id, [self._build(deploy, reads=_SYNTH, checks=True)])

    def _build(
        self,
        part: Part,
        *,
        reads: str,
        writes: str | None = None,
        namespace: str | None = None,
        checks: bool = False,
    ) -> _Pipeline.ActionDeclarationProperty:
        digest = [{"name": ASSEMBLY, "value": f"#{{{_SYNTH}.{ASSEMBLY}}}", "type": "PLAINTEXT"}]
        variables = {"EnvironmentVariables": json.dumps(digest)} if checks else {}
        return _action(
            part.id,
            "Build",
            "CodeBuild",
            {"ProjectName": part.name} | variables,
            reads=reads,
            writes=writes,
            namespace=namespace,
        )

    def _approval(self, difference: Part) -> _Pipeline.ActionDeclarationProperty:
        settings = self._tools.settings
        return _action(
            "approve",
            "Approval",
            "Manual",
            {
                "CustomData": f"Commit #{{{_SOURCE}.CommitId}}. The output of cdk diff is at the "
                f"end of the log of {difference.name}, and in the artifact {difference.id}.",
                "ExternalEntityLink": f"https://{settings.region}.console.aws.amazon.com/codesuite/"
                f"codebuild/{settings.account}/projects/{difference.name}/history",
                "NotificationArn": self._topic,
            },
        )


def _source(tools: Tools) -> _Pipeline.ActionDeclarationProperty:
    source = tools.delivery.source
    return _action(
        "source",
        "Source",
        "CodeStarSourceConnection",
        {
            "ConnectionArn": source.connection,
            "FullRepositoryId": source.repository,
            "BranchName": source.branch,
            # With its history, as the commit's id is part of the templates.
            "OutputArtifactFormat": "CODEBUILD_CLONE_REF",
            "DetectChanges": "true",
        },
        writes=_SOURCE,
        namespace=_SOURCE,
    )


def _action(
    name: str,
    category: str,
    provider: str,
    configuration: dict[str, Any],
    *,
    reads: str | None = None,
    writes: str | None = None,
    namespace: str | None = None,
) -> _Pipeline.ActionDeclarationProperty:
    return _Pipeline.ActionDeclarationProperty(
        name=name,
        action_type_id=_Pipeline.ActionTypeIdProperty(
            category=category, owner="AWS", provider=provider, version="1"
        ),
        configuration=configuration,
        input_artifacts=[_Pipeline.InputArtifactProperty(name=reads)] if reads else None,
        output_artifacts=[_Pipeline.OutputArtifactProperty(name=writes)] if writes else None,
        namespace=namespace,
        run_order=1,
    )


def _stage(
    name: str, actions: Sequence[_Pipeline.ActionDeclarationProperty]
) -> _Pipeline.StageDeclarationProperty:
    return _Pipeline.StageDeclarationProperty(name=name, actions=list(actions))


def _pipeline_role(
    scope: Construct, *, tools: Tools, stores: Stores, boundary: iam.IManagedPolicy
) -> iam.Role:
    """Makes the pipeline's role: it starts the builds, and can assume no role of any account."""
    bucket = artifacts_bucket(tools)
    allowed = [
        allow(
            ["codebuild:BatchGetBuilds", "codebuild:StartBuild"],
            [part.project_arn for part in parts_of(tools)],
        ),
        *reading_repository(tools),
        allow(
            ["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"],
            [artifact_objects(tools)],
            why="CodePipeline names its artifacts, another name in each execution.",
        ),
        allow(["s3:GetBucketAcl", "s3:GetBucketLocation", "s3:GetBucketVersioning"], [bucket]),
        using_key(stores),
        allow(["sns:Publish"], [stores.topic.topic_arn]),
    ]
    role = iam.Role(
        scope,
        "Role",
        role_name=f"{pipeline_name(tools)}-pipeline",
        description="Runs the pipeline that delivers: starts its builds",
        assumed_by=iam.ServicePrincipal("codepipeline.amazonaws.com"),
        permissions_boundary=boundary,
        inline_policies={
            "own": iam.PolicyDocument(statements=[item.statement for item in allowed])
        },
    )
    explain(role, allowed)
    acknowledge(
        role,
        {
            "confused-deputy": _TRUST,
            "NIST-IAMNoInlinePolicy": "The policy is of this one role and lives and dies with it; "
            "the boundary limits it.",
        },
    )
    return role


def add_delivery_pipeline(stack: EnvironmentStack, tools: Tools) -> None:
    """Adds the pipeline of `config/delivery.yaml` to a stack, and what proposes approved models."""
    boundary = boundary_of(stack, stack.settings)
    stores = Stores(stack, "Stores", tools=tools, removal_policy=stack.removal_policy)
    names = [place.environment for place in (tools.settings, *tools.stages)]
    builds = [
        Build(
            stack,
            part,
            tools=tools,
            names=names,
            stores=stores,
            boundary=boundary,
            removal_policy=stack.removal_policy,
        )
        for part in parts_of(tools)
    ]
    pipeline = DeliveryPipeline(stack, "Pipeline", tools=tools, stores=stores, boundary=boundary)
    pipeline.node.add_dependency(*builds)
    Failures(stack, "Failures", tools=tools, stores=stores, boundary=boundary)
    ModelDelivery(
        stack,
        "Models",
        tools=tools,
        stores=stores,
        boundary=boundary,
        removal_policy=stack.removal_policy,
    )


class Delivery(EnvironmentStack):
    """CodePipeline, its builds and what they keep."""

    def __init__(self, scope: Construct, tools: Tools) -> None:
        """Makes the pipeline of `config/delivery.yaml`."""
        super().__init__(
            scope,
            "Delivery",
            tools,
            stateful=False,
            description="The pipeline that deploys what is merged, and its builds",
        )
        add_delivery_pipeline(self, tools)
