"""Model delivery: an approval in an environment starts the build that proposes the change."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aws_cdk import RemovalPolicy
from aws_cdk import aws_codebuild as codebuild
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sqs as sqs
from constructs import Construct
from sashiko_cdk.identity.role_policy import RolePolicy
from sashiko_cdk.platform.image_permissions import writing_logs

from sashiko.account.names import (
    alerts_topic_arn,
    approvals_bus_arn,
    approvals_bus_name,
    arn,
    model_build_name,
    model_package_group_name,
    prefix,
)
from sashiko.pipeline.project import choose_recipe
from sashiko.settings.delivery import Delivery
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko.settings.tools import Tools
from sashiko_cdk.events.state_machine import StateMachine
from sashiko_cdk.identity.allow import Allowed, allow, explain
from sashiko_cdk.identity.trust import service
from sashiko_cdk.pack_parts import PipelineParts
from sashiko_cdk.platform.promotion_policies import reading_models
from sashiko_cdk.security_rules.acknowledge import acknowledge
from sashiko_cdk.stack import EnvironmentStack
from sashiko_packs.delivery.constructs.parts import Stores

__all__ = ["ApprovedModels"]


def approval_pattern(settings: Settings, groups: Sequence[str]) -> dict[str, object]:
    """Returns the pattern of the event that a version of an environment's groups was approved."""
    return {
        "source": ["aws.sagemaker"],
        "detail-type": ["SageMaker Model Package State Change"],
        "account": [settings.account],
        "detail": {
            "ModelPackageGroupName": list(groups),
            # Not while it is being made: SageMaker tells each of its states.
            "ModelPackageStatus": ["Completed"],
            "ModelApprovalStatus": ["Approved"],
        },
    }


def add_approvals(stack: EnvironmentStack, parts: PipelineParts) -> list[StateMachine]:
    """Adds what hands approvals over to the stack Pipeline, where a tools' account delivers."""
    if parts.deployment.tools:
        ApprovedModels(
            stack,
            "ApprovedModels",
            settings=stack.settings,
            recipes=parts.deployment.recipes,
            tools=parts.deployment.tools,
            undelivered=parts.flows.undelivered,
        )
    return []


class ApprovedModels(Construct):
    """Hands approvals over, and lets the tools' build verify the version.

    The build acts as `endpoint-deployer`, whose trust names it (`sashiko_cdk.identity.trust`).
    Where the tools are in another region no approval is handed over, because no role of the
    environment acts there: the build's daily run finds the version.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        recipes: Sequence[Recipe],
        tools: Tools,
        undelivered: sqs.IQueue,
    ) -> None:
        """Makes the rule and the policies.

        Args:
            scope: the stack.
            id: the construct's.
            settings: the environment.
            recipes: whose models it serves.
            tools: the tools' account.
            undelivered: gets the approvals that EventBridge cannot hand over.
        """
        super().__init__(scope, id)
        RolePolicy(
            self,
            "Verifies",
            settings=settings,
            role="endpoint-deployer",
            description="Checks a version before a commit names it",
            statements=[
                *reading_models(settings),
                allow(
                    ["application-autoscaling:DescribeScalableTargets"],
                    ["*"],
                    why="Application Auto Scaling lists targets by no resource.",
                ),
            ],
        )
        if settings.region == tools.settings.region:
            self._hand_over(settings, recipes, approvals_bus_arn(tools), undelivered)

    def _hand_over(
        self, settings: Settings, recipes: Sequence[Recipe], bus: str, undelivered: sqs.IQueue
    ) -> None:
        """Sends approvals to the bus: "Sending events between AWS accounts", EventBridge."""
        policy = RolePolicy(
            self,
            "HandsOver",
            settings=settings,
            role="event-router",
            description="Hands approvals over to the tools' account",
            statements=[allow(["events:PutEvents"], [bus])],
        )
        groups = {model_package_group_name(settings, item.model_package_group) for item in recipes}
        rule = events.CfnRule(
            self,
            "Rule",
            name=f"{prefix(settings)}-model-delivery",
            description="An approved version starts the build that names it in config/",
            event_pattern=approval_pattern(settings, sorted(groups)),
            state="ENABLED",
            targets=[
                events.CfnRule.TargetProperty(
                    id="tools",
                    arn=bus,
                    role_arn=settings.role_arn("event-router"),
                    dead_letter_config=events.CfnRule.DeadLetterConfigProperty(
                        arn=undelivered.queue_arn
                    ),
                )
            ],
        )
        rule.node.add_dependency(policy)


# What the build that delivers an approved version runs.
#
# Git gets the connection's own credential from CodeBuild (`git-credential-helper` of "Build
# specification reference for CodeBuild", CodeBuild User Guide). That a connection may push is in
# "Permissions for using connections" (`ProviderAction` has `GitPush`; Developer Tools console User
# Guide). The same list has `CreatePullRequest`, but AWS documents no operation that opens one, so a
# person does. GitLab opens a merge request by an option of the push ("Push options", GitLab Docs).


_CONFIG: Final = "~/deliver.config"


@dataclass(frozen=True, kw_only=True)
class Host:
    """Where a repository is.

    Attributes:
        source_type: as CodeBuild names it.
        site: the beginning of the repository's URL.
        change: the page below the repository's that opens, or shows, the change of a branch.
        push_options: which open it with the push.
    """

    source_type: str
    site: str
    change: str
    push_options: tuple[str, ...] = ()


HOSTS: Mapping[str, Host] = {
    "github": Host(
        source_type="GITHUB",
        site="https://github.com",
        change="compare/{target}...{branch}?expand=1",
    ),
    "gitlab": Host(
        source_type="GITLAB",
        site="https://gitlab.com",
        change="-/merge_requests?source_branch={branch}",
        push_options=("merge_request.create", "merge_request.target={target}"),
    ),
    "bitbucket": Host(
        source_type="BITBUCKET",
        site="https://bitbucket.org",
        change="pull-requests/new?source={branch}",
    ),
}


def repository_url(delivery: Delivery) -> str:
    """Returns the URL that the repository is cloned from."""
    source = delivery.source
    return f"{HOSTS[source.host].site}/{source.repository}.git"


def model_buildspec(tools: Tools) -> str:
    """Returns the buildspec; the variables ENVIRONMENT and ROLE say for which environment."""
    topic_arn = alerts_topic_arn(tools.settings)
    script = [
        "set -euo pipefail",
        "make deploy-tools",
        *_delivering(tools.delivery),
        *_notify_commands(tools.delivery, topic_arn),
    ]
    return json.dumps(
        {
            "version": 0.2,
            "env": {"shell": "bash", "git-credential-helper": "yes"},
            "phases": {
                "install": {"runtime-versions": {"python": "3.11"}},
                # One command: what it sets and defines holds to its end, and not beyond.
                "build": {"commands": ["\n".join(script)]},
                "post_build": {"commands": [_failing(model_build_name(tools), topic_arn)]},
            },
        },
        indent=1,
    )


def _delivering(delivery: Delivery) -> list[str]:
    """Commits and pushes.

    CodeBuild checks a commit out, and the command starts at a branch. The command alone acts as the
    environment's role. A push that another build has overtaken is refused (`--force-with-lease`);
    the second try then takes the branch that is there.
    """
    profile = "[profile deliver]\\nrole_arn = %s\\ncredential_source = EcsContainer\\n"
    target = delivery.source.branch
    options = "".join(
        f" --push-option={shlex.quote(option.format(target=target))}"
        for option in HOSTS[delivery.source.host].push_options
    )
    url = shlex.quote(repository_url(delivery))
    return [
        f"git checkout -B {shlex.quote(target)}",
        f"git remote set-url origin {url} || git remote add origin {url}",
        f"printf '{profile}' \"$ROLE\" > {_CONFIG}",
        "deliver() { "
        'git fetch --prune origin "+refs/heads/model/$ENVIRONMENT/*'
        ':refs/remotes/origin/model/$ENVIRONMENT/*" && '
        f"branch=$(AWS_CONFIG_FILE={_CONFIG} AWS_PROFILE=deliver "
        '.venv/bin/sashiko model deliver --env "$ENVIRONMENT") && '
        'before=$(git rev-parse --quiet --verify "refs/remotes/origin/$branch" || true) && '
        '{ test -z "$branch" || git push --force-with-lease' + options + ' origin "$branch"; }; }',
        "deliver || deliver",
    ]


def _notify_commands(delivery: Delivery, topic_arn: str) -> list[str]:
    """Tells of a branch that is new, or made anew."""
    source = delivery.source
    host = HOSTS[source.host]
    page = host.change.format(target=source.branch, branch="$branch")
    message = f"Review and merge it: {host.site}/{source.repository}/{page}"
    return [
        'if [ -n "$branch" ] && [ "$before" != "$(git rev-parse "$branch")" ]; then '
        f"aws sns publish --topic-arn {topic_arn} "
        f'--subject "$branch: an approved version" --message "{message}"; fi'
    ]


def _failing(name: str, topic_arn: str) -> str:
    message = (
        "Its log: $CODEBUILD_BUILD_URL; after the repair it runs again within a day, or now in a "
        "clone: sashiko model deliver --env $ENVIRONMENT"
    )
    return (
        f'[ "$CODEBUILD_BUILD_SUCCEEDING" = 1 ] || aws sns publish --topic-arn {topic_arn} '
        f'--subject "{name} failed for $ENVIRONMENT" --message "{message}"'
    )


_MACHINE: Final = "aws/codebuild/amazonlinux-x86_64-standard:5.0"
_MINUTES: Final = 60
INLINE: Final = "The policy is of this one role and lives and dies with it; the boundary limits it."


class ModelBuild(Construct):
    """The CodeBuild project, its role and its log."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        tools: Tools,
        stores: Stores,
        boundary: iam.IManagedPolicy,
        removal_policy: RemovalPolicy,
    ) -> None:
        """Makes them; the arguments are those of `ModelDelivery`."""
        super().__init__(scope, id)
        settings, source = tools.settings, tools.delivery.source
        name = model_build_name(tools)
        log = logs.LogGroup(
            self,
            "Log",
            log_group_name=f"/{prefix(settings)}/models",
            retention=logs.RetentionDays.ONE_YEAR,
            encryption_key=stores.key,
            removal_policy=removal_policy,
        )
        allowed = [
            *writing_logs(settings, f"/{prefix(settings)}/models"),
            *_pushing(tools),
            allow(
                ["sts:AssumeRole"], [stage.role_arn("endpoint-deployer") for stage in tools.stages]
            ),
            *_may_notify(tools, stores),
        ]
        role = iam.Role(
            self,
            "Role",
            role_name=name,
            description="CodeBuild: commits an approved version to a branch of its own",
            assumed_by=service(settings, "codebuild", f"project/{name}"),
            permissions_boundary=boundary,
            inline_policies={
                "own": iam.PolicyDocument(statements=[item.statement for item in allowed])
            },
        )
        explain(role, allowed)
        acknowledge(role, {"NIST-IAMNoInlinePolicy": INLINE})
        variables = {
            "GIT_AUTHOR_NAME": name,
            "GIT_AUTHOR_EMAIL": f"{name}@example.invalid",
            "GIT_COMMITTER_NAME": name,
            "GIT_COMMITTER_EMAIL": f"{name}@example.invalid",
        }
        project = codebuild.CfnProject(
            self,
            "Project",
            name=name,
            description="Commits an approved version to a branch of its own",
            service_role=role.role_arn,
            source=codebuild.CfnProject.SourceProperty(
                type=HOSTS[source.host].source_type,
                location=repository_url(tools.delivery),
                auth=codebuild.CfnProject.SourceAuthProperty(
                    type="CODECONNECTIONS", resource=source.connection
                ),
                git_clone_depth=0,  # the whole history
                build_spec=model_buildspec(tools),
            ),
            source_version=f"refs/heads/{source.branch}",
            artifacts=codebuild.CfnProject.ArtifactsProperty(type="NO_ARTIFACTS"),
            encryption_key=stores.key.key_arn,
            environment=codebuild.CfnProject.EnvironmentProperty(
                type="LINUX_CONTAINER",
                image=_MACHINE,
                compute_type="BUILD_GENERAL1_SMALL",
                privileged_mode=False,
                environment_variables=[
                    codebuild.CfnProject.EnvironmentVariableProperty(name=key, value=value)
                    for key, value in variables.items()
                ],
            ),
            logs_config=codebuild.CfnProject.LogsConfigProperty(
                cloud_watch_logs=codebuild.CfnProject.CloudWatchLogsConfigProperty(
                    status="ENABLED", group_name=log.log_group_name
                )
            ),
            timeout_in_minutes=_MINUTES,
        )
        # CodeBuild asks the role for the connection when it makes the project.
        project.node.add_dependency(role)


def _pushing(tools: Tools) -> list[Allowed]:
    """Returns what a build needs to clone and push through the connection.

    "GitHub App connections" of the CodeBuild User Guide asks for the first two. Neither knows a
    repository: the token can do what the connection's app may, so give that app one repository.
    """
    connection = tools.delivery.source.connection
    assert connection is not None  # noqa: S101  checked where the settings are read
    used = {
        "codeconnections:FullRepositoryId": tools.delivery.source.repository,
        "codeconnections:ProviderAction": ["GitPull", "GitPush"],
    }
    return [
        allow(
            ["codeconnections:GetConnection", "codeconnections:GetConnectionToken"], [connection]
        ),
        allow(
            ["codeconnections:UseConnection"],
            [connection],
            conditions={"ForAllValues:StringEquals": used},
        ),
    ]


def _may_notify(tools: Tools, stores: Stores) -> list[Allowed]:
    through = {"StringEquals": {"kms:ViaService": f"sns.{tools.settings.region}.amazonaws.com"}}
    return [
        allow(["sns:Publish"], [stores.topic.topic_arn]),
        allow(["kms:Decrypt", "kms:GenerateDataKey"], [stores.key.key_arn], conditions=through),
    ]


_DAILY: Final = "rate(1 day)"


class ModelDelivery(Construct):
    """The bus of the environments' approvals, their rules, and the build.

    The build takes nothing from an event: which environment is meant follows from the rule, and
    which version from the registry. So an event that is lost, late or sent twice does no harm: each
    day the build looks by itself.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        tools: Tools,
        stores: Stores,
        boundary: iam.IManagedPolicy,
        removal_policy: RemovalPolicy,
    ) -> None:
        """Makes all of it.

        Args:
            scope: the stack in the tools' account.
            id: the construct's.
            tools: the tools' account, and the environments.
            stores: the key of the log, and the topic that hears of a branch and of a failure.
            boundary: of the roles.
            removal_policy: of the log.
        """
        super().__init__(scope, id)
        self._tools = tools
        self._name = model_build_name(tools)
        build = ModelBuild(
            self,
            "Build",
            tools=tools,
            stores=stores,
            boundary=boundary,
            removal_policy=removal_policy,
        )
        starter = self._starter(boundary)
        bus = self._bus()
        for stage in tools.stages:
            group = model_package_group_name(stage, choose_recipe(stage, None).model_package_group)
            target = self._target(stage, starter)
            rule = events.CfnRule(
                self,
                f"Approved-{stage.environment}",
                name=f"{self._name}-{stage.environment}",
                description=f"An approved version of {stage.environment} starts its delivery",
                event_bus_name=bus.name,
                event_pattern=approval_pattern(stage, [group]),
                state="ENABLED",
                targets=[target],
            )
            rule.add_resource_dependency(bus)
            daily = events.CfnRule(
                self,
                f"Daily-{stage.environment}",
                name=f"{self._name}-{stage.environment}-daily",
                description=f"Delivers to {stage.environment} what an event has not",
                schedule_expression=_DAILY,
                state="ENABLED",
                targets=[target],
            )
            for item in (rule, daily):
                item.node.add_dependency(build)

    def _bus(self) -> events.CfnEventBus:
        """Lets each environment's router put approvals on the bus, and nothing else.

        "Example policy: Send events to a custom bus in a different account", EventBridge User
        Guide.
        """
        statements = [
            {
                "Sid": f"ApprovalsOf{stage.environment.title().replace('-', '')}",
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{stage.account}:root"},
                "Action": "events:PutEvents",
                "Resource": approvals_bus_arn(self._tools),
                "Condition": {
                    "ArnEquals": {"aws:PrincipalArn": stage.role_arn("event-router")},
                    "StringEquals": {
                        "events:source": "aws.sagemaker",
                        "events:detail-type": "SageMaker Model Package State Change",
                    },
                },
            }
            for stage in self._tools.stages
        ]
        return events.CfnEventBus(
            self,
            "Bus",
            name=approvals_bus_name(self._tools),
            description="Approvals of models in the environments",
            policy={"Version": "2012-10-17", "Statement": statements},
        )

    def _starter(self, boundary: iam.IManagedPolicy) -> iam.Role:
        settings = self._tools.settings
        start = iam.PolicyStatement(
            actions=["codebuild:StartBuild"],
            resources=[arn(settings, "codebuild", f"project/{self._name}")],
        )
        role = iam.Role(
            self,
            "Starter",
            role_name=approvals_bus_name(self._tools),
            description="EventBridge: starts the build that delivers an approved version",
            assumed_by=service(settings, "events", f"rule/{prefix(settings)}-*"),
            permissions_boundary=boundary,
            inline_policies={"own": iam.PolicyDocument(statements=[start])},
        )
        acknowledge(role, {"NIST-IAMNoInlinePolicy": INLINE})
        return role

    def _target(self, stage: Settings, starter: iam.Role) -> events.CfnRule.TargetProperty:
        variables = {
            "ENVIRONMENT": stage.environment,
            "ROLE": stage.role_arn("endpoint-deployer"),
        }
        overrides = [
            {"name": key, "value": value, "type": "PLAINTEXT"} for key, value in variables.items()
        ]
        return events.CfnRule.TargetProperty(
            id="build",
            arn=arn(self._tools.settings, "codebuild", f"project/{self._name}"),
            role_arn=starter.role_arn,
            input=json.dumps({"environmentVariablesOverride": overrides}),
        )
