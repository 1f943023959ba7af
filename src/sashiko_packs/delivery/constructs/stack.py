"""The stack of the tools' account: the pipeline that brings a merge to the environments."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from aws_cdk import aws_codepipeline as codepipeline
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from constructs import Construct

from sashiko.account.names import prefix
from sashiko.settings.environment import Settings
from sashiko.settings.tools import Tools
from sashiko_cdk.identity.allow import add_role, allow
from sashiko_cdk.identity.trust import service
from sashiko_cdk.security_rules.acknowledge import acknowledge
from sashiko_cdk.stack import EnvironmentStack
from sashiko_packs.delivery.constructs import parts
from sashiko_packs.delivery.constructs.builds import ASSEMBLY, add_build
from sashiko_packs.delivery.constructs.model_delivery import ModelDelivery
from sashiko_packs.delivery.constructs.parts import Part, Stores, pipeline_name

__all__ = ["add_delivery_pipeline"]

# What of an event a message takes.
_PATHS: Mapping[str, str] = {
    "execution": "$.detail.execution-id",
    "reason": "$.detail.execution-result.external-execution-summary",
    "stage": "$.detail.stage",
    "url": "$.detail.execution-result.external-execution-url",
}
_SOURCE: Final = "Source"  # artifact, and namespace of the source's variables
_SYNTH: Final = "Synth"
_TRUST = (
    "AWS documents no aws:SourceArn for the role of a pipeline, and CodePipeline takes a role of "
    "its own account alone, handed over by somebody who may pass it."
)
_Pipeline = codepipeline.CfnPipeline


class Failures(Construct):
    """The rules of failures, and the role by which EventBridge publishes.

    An action's end is CodePipeline's own event ("Monitoring CodePipeline events", CodePipeline User
    Guide). So a source that cannot be read, a build that was killed and one that ran out of time
    are reported too, which no command of a build could do.

    A role, and not the topic's policy: EventBridge takes one for every target since March 2025, and
    it names the rules that may use it.
    """

    def __init__(self, scope: Construct, id: str, *, stores: Stores) -> None:
        super().__init__(scope, id)
        settings, pipeline = stores.tools.settings, pipeline_name(stores.tools)
        role = add_role(
            self,
            "Role",
            name=f"{prefix(settings)}-failures",
            description="EventBridge: says on the topic what failed",
            trust=service(settings, "events", f"rule/{prefix(settings)}-*-failed"),
            boundary=stores.boundary,
            allowed=stores.publish(),
        )
        for category, message in _messages(settings, pipeline).items():
            detail = {"pipeline": [pipeline], "state": ["FAILED"], "type": {"category": [category]}}
            transformer = events.CfnRule.InputTransformerProperty(
                input_paths_map=dict(_PATHS), input_template=json.dumps(message)
            )
            target = events.CfnRule.TargetProperty(
                id="topic",
                arn=stores.topic.topic_arn,
                role_arn=role.role_arn,
                input_transformer=transformer,
            )
            events.CfnRule(
                self,
                category,
                name=f"{prefix(settings)}-{category.lower()}-failed",
                description="Says on the topic what failed, and how to go on",
                event_pattern={
                    "source": ["aws.codepipeline"],
                    "detail-type": ["CodePipeline Action Execution State Change"],
                    "detail": detail,
                },
                state="ENABLED",
                targets=[target],
            )


def _messages(settings: Settings, pipeline: str) -> dict[str, str]:
    """Returns the category of an action -> the message, with the names of `_PATHS` in brackets.

    It says what failed, where its log is, and the command to go on with. An execution without its
    source has nothing that could be retried.
    """
    place = f"--region {settings.region}"
    start = f"aws codepipeline start-pipeline-execution --name {pipeline} {place}"
    retry = (
        f"aws codepipeline retry-stage-execution --pipeline-name {pipeline} --stage-name <stage> "
        f"--pipeline-execution-id <execution> --retry-mode FAILED_ACTIONS {place}"
    )
    what = f"{pipeline}: <stage> failed: <reason>"
    return {
        "Source": f"{what}. No merge is delivered until the connection is available: see Developer "
        "Tools, Settings, Connections in the console; Update pending connection authorizes it "
        f"again. Then deliver the newest commit: {start}",
        "Build": f"{what}; its log: <url>. Nothing after it was deployed. Merge the repair; or, "
        f"where nothing has to be repaired, run it again: {retry}",
        "Approval": f"{what}. It was rejected, or nobody answered for seven days; nothing after it "
        f"was deployed. Revert the merge; or ask again: {retry}",
    }


class DeliveryPipeline(Construct):
    """Source, build, then for each place: difference, approval where a person decides, deploy.

    No stage has a condition, so nothing that a build says can skip an approval. The pipeline's role
    starts the builds, and can assume no role of any account.
    """

    def __init__(self, scope: Construct, id: str, *, stores: Stores) -> None:
        super().__init__(scope, id)
        self._tools, self._topic = stores.tools, stores.topic.topic_arn
        projects = [part.project_arn for part in parts.parts_of(stores.tools)]
        looking = ["s3:GetBucketAcl", "s3:GetBucketLocation", "s3:GetBucketVersioning"]
        role = add_role(
            self,
            "Role",
            name=f"{pipeline_name(stores.tools)}-pipeline",
            description="Runs the pipeline that delivers: starts its builds",
            trust=iam.ServicePrincipal("codepipeline.amazonaws.com"),
            boundary=stores.boundary,
            allowed=[
                allow(["codebuild:BatchGetBuilds", "codebuild:StartBuild"], projects),
                stores.read_repository(),
                stores.use_artifacts("s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"),
                allow(looking, [stores.bucket_arn]),
                stores.use_key(),
                allow(["sns:Publish"], [self._topic]),
            ],
        )
        acknowledge(role, {"confused-deputy": _TRUST})
        pipeline = _Pipeline(
            self,
            "Resource",
            name=pipeline_name(stores.tools),
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
            stages=[
                _Pipeline.StageDeclarationProperty(name=name, actions=actions)
                for name, actions in self._stages()
            ],
        )
        pipeline.node.add_dependency(role)

    def _stages(self) -> Iterator[tuple[str, list[_Pipeline.ActionDeclarationProperty]]]:
        tools, source = self._tools, self._tools.delivery.source
        configuration = {
            "ConnectionArn": source.connection,
            "FullRepositoryId": source.repository,
            "BranchName": source.branch,
            # With its history, as the commit's id is part of the templates.
            "OutputArtifactFormat": "CODEBUILD_CLONE_REF",
            "DetectChanges": "true",
        }
        kind = ("Source", "CodeStarSourceConnection")
        yield "Source", [_action("source", kind, configuration, writes=_SOURCE, namespace=_SOURCE)]
        test, synth, *_ = parts.parts_of(tools)
        yield (
            "Build",
            [
                self._build(test, reads=_SOURCE),
                self._build(synth, reads=_SOURCE, writes=_SYNTH, namespace=_SYNTH),
            ],
        )
        for place in parts.places_of(tools):  # what changes, who allows it, the deploy
            difference = Part(tools=tools.settings, kind="difference", place=place)
            deploy = Part(tools=tools.settings, kind="deploy", place=place)
            yield difference.id, [self._build(difference, reads=_SYNTH, writes=difference.id)]
            if parts.is_approved(tools, place):
                yield f"{place.environment}-approval", [self._approval(difference)]
            yield deploy.id, [self._build(deploy, reads=_SYNTH)]

    def _build(
        self, part: Part, *, reads: str, writes: str | None = None, namespace: str | None = None
    ) -> _Pipeline.ActionDeclarationProperty:
        configuration = {"ProjectName": part.name}
        if part.place:  # what takes the assembly, checks it
            digest = {"name": ASSEMBLY, "value": f"#{{{_SYNTH}.{ASSEMBLY}}}", "type": "PLAINTEXT"}
            configuration["EnvironmentVariables"] = json.dumps([digest])
        kind = ("Build", "CodeBuild")
        return _action(
            part.id, kind, configuration, reads=reads, writes=writes, namespace=namespace
        )

    def _approval(self, difference: Part) -> _Pipeline.ActionDeclarationProperty:
        settings = self._tools.settings
        configuration = {
            "CustomData": f"Commit #{{{_SOURCE}.CommitId}}. The output of cdk diff is at the "
            f"end of the log of {difference.name}, and in the artifact {difference.id}.",
            "ExternalEntityLink": f"https://{settings.region}.console.aws.amazon.com/codesuite/"
            f"codebuild/{settings.account}/projects/{difference.name}/history",
            "NotificationArn": self._topic,
        }
        return _action("approve", ("Approval", "Manual"), configuration)


def _action(
    name: str,
    kind: tuple[str, str],
    configuration: dict[str, Any],
    *,
    reads: str | None = None,
    writes: str | None = None,
    namespace: str | None = None,
) -> _Pipeline.ActionDeclarationProperty:
    """Makes an action; `kind` is its category and provider."""
    category, provider = kind
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


def add_delivery_pipeline(stack: EnvironmentStack, tools: Tools) -> None:
    """Adds the pipeline of `config/delivery.yaml` to a stack, and what proposes approved models."""
    stores = Stores(stack, "Stores", tools=tools)
    names = [place.environment for place in (tools.settings, *tools.stages)]
    builds = [add_build(stack, part, stores=stores, names=names) for part in parts.parts_of(tools)]
    pipeline = DeliveryPipeline(stack, "Pipeline", stores=stores)
    pipeline.node.add_dependency(*builds)
    Failures(stack, "Failures", stores=stores)
    ModelDelivery(stack, "Models", stores=stores)


class Delivery(EnvironmentStack):
    """CodePipeline, its builds and what they keep, of `config/delivery.yaml`."""

    def __init__(self, scope: Construct, tools: Tools) -> None:
        super().__init__(
            scope,
            "Delivery",
            tools,
            stateful=False,
            description="The pipeline that deploys what is merged, and its builds",
        )
        add_delivery_pipeline(self, tools)
