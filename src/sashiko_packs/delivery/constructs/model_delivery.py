"""Model delivery: an approval in an environment starts the build that proposes the change."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aws_cdk import aws_codebuild as codebuild
from aws_cdk import aws_events as events
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from sashiko.account import names
from sashiko.account.names import approvals_bus_arn, arn, model_build_name, prefix
from sashiko.pipeline.project import choose_recipe
from sashiko.settings.delivery import Delivery
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko.settings.tools import Tools
from sashiko_cdk.events.event_flows import StateMachine
from sashiko_cdk.identity.allow import RolePolicy, add_role, allow
from sashiko_cdk.identity.role_permissions import reading_targets
from sashiko_cdk.identity.trust import reading_models, service
from sashiko_cdk.pack_parts import PipelineParts
from sashiko_cdk.stack import EnvironmentStack
from sashiko_packs.delivery.constructs.builds import BuildProject
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
    """Adds what `sashiko model deliver` needs, and what hands approvals over."""
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
    """Lets `endpoint-deployer` verify a version, and hands approvals over to the tools' account.

    The tools' build acts as that role, whose trust names it (`sashiko_cdk.identity.trust`); without
    a tools' account a person does. Where the tools are in another region no approval is handed
    over, because no role of the environment acts there: the build's daily run finds the version.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        recipes: Sequence[Recipe],
        tools: Tools | None,
        undelivered: sqs.IQueue,
    ) -> None:
        """Makes the rule and the policies: "Sending events between AWS accounts", EventBridge.

        `undelivered` gets the approvals that EventBridge cannot hand over.
        """
        super().__init__(scope, id)
        reading = [*reading_models(settings), reading_targets()]
        why = "Checks a version before a commit names it"
        RolePolicy(self, "Verifies", settings, "endpoint-deployer", reading, description=why)
        if tools is None or settings.region != tools.settings.region:
            return
        bus = approvals_bus_arn(tools)
        putting = [allow(["events:PutEvents"], [bus])]
        why = "Hands approvals over to the tools' account"
        policy = RolePolicy(self, "HandsOver", settings, "event-router", putting, description=why)
        groups = {
            names.model_package_group_name(settings, item.model_package_group) for item in recipes
        }
        queue = events.CfnRule.DeadLetterConfigProperty(arn=undelivered.queue_arn)
        target = events.CfnRule.TargetProperty(
            id="tools",
            arn=bus,
            role_arn=settings.role_arn("event-router"),
            dead_letter_config=queue,
        )
        rule = events.CfnRule(
            self,
            "Rule",
            name=f"{prefix(settings)}-model-delivery",
            description="An approved version starts the build that names it in config/",
            event_pattern=approval_pattern(settings, sorted(groups)),
            state="ENABLED",
            targets=[target],
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


@dataclass(frozen=True)
class Host:
    """Where a repository is."""

    source_type: str  # as CodeBuild names it
    site: str  # the beginning of the repository's URL
    change: str  # the page below the repository's that opens, or shows, the change of a branch
    push_options: tuple[str, ...] = ()  # which open it with the push


HOSTS: Mapping[str, Host] = {
    "github": Host("GITHUB", "https://github.com", "compare/{target}...{branch}?expand=1"),
    "gitlab": Host(
        "GITLAB",
        "https://gitlab.com",
        "-/merge_requests?source_branch={branch}",
        push_options=("merge_request.create", "merge_request.target={target}"),
    ),
    "bitbucket": Host("BITBUCKET", "https://bitbucket.org", "pull-requests/new?source={branch}"),
}


def repository_url(delivery: Delivery) -> str:
    """Returns the URL that the repository is cloned from."""
    source = delivery.source
    return f"{HOSTS[source.host].site}/{source.repository}.git"


def model_buildspec(tools: Tools) -> str:
    """Returns the buildspec; the variables ENVIRONMENT and ROLE say for which environment.

    CodeBuild checks a commit out, and the command starts at a branch. The command alone acts as the
    environment's role. A push that another build has overtaken is refused (`--force-with-lease`);
    the second try then takes the branch that is there. The topic hears of a branch that is new, or
    made anew, and of a failure.
    """
    source, name = tools.delivery.source, model_build_name(tools)
    host = HOSTS[source.host]
    profile = "[profile deliver]\\nrole_arn = %s\\ncredential_source = EcsContainer\\n"
    options = "".join(
        f" --push-option={shlex.quote(option.format(target=source.branch))}"
        for option in host.push_options
    )
    url = shlex.quote(repository_url(tools.delivery))
    page = host.change.format(target=source.branch, branch="$branch")
    review = f"Review and merge it: {host.site}/{source.repository}/{page}"
    repair = (
        "Its log: $CODEBUILD_BUILD_URL; after the repair it runs again within a day, or now in a "
        "clone: sashiko model deliver --env $ENVIRONMENT"
    )
    publish = f"aws sns publish --topic-arn {names.alerts_topic_arn(tools.settings)}"
    script = [
        "set -euo pipefail",
        "make deploy-tools",
        f"git checkout -B {shlex.quote(source.branch)}",
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
        'if [ -n "$branch" ] && [ "$before" != "$(git rev-parse "$branch")" ]; then '
        f'{publish} --subject "$branch: an approved version" --message "{review}"; fi',
    ]
    failure = (
        f'[ "$CODEBUILD_BUILD_SUCCEEDING" = 1 ] || {publish} '
        f'--subject "{name} failed for $ENVIRONMENT" --message "{repair}"'
    )
    spec = {
        "version": 0.2,
        "env": {"shell": "bash", "git-credential-helper": "yes"},
        "phases": {
            "install": {"runtime-versions": {"python": "3.11"}},
            # One command: what it sets and defines holds to its end, and not beyond.
            "build": {"commands": ["\n".join(script)]},
            "post_build": {"commands": [failure]},
        },
    }
    return json.dumps(spec, indent=1)


_MINUTES: Final = 60
_DAILY: Final = "rate(1 day)"


def _model_build(scope: Construct, stores: Stores) -> BuildProject:
    """Makes the project that clones and pushes through the connection.

    "GitHub App connections" of the CodeBuild User Guide asks for the first two actions. Neither
    knows a repository: the token can do what the connection's app may, so give that app one.
    """
    tools, source = stores.tools, stores.tools.delivery.source
    connection, name = source.connection, model_build_name(tools)
    assert connection is not None  # noqa: S101  checked where the settings are read
    tokens = ["codeconnections:GetConnection", "codeconnections:GetConnectionToken"]
    used = {
        "codeconnections:FullRepositoryId": source.repository,
        "codeconnections:ProviderAction": ["GitPull", "GitPush"],
    }
    pushing = {"ForAllValues:StringEquals": used}
    project = codebuild.CfnProject
    return BuildProject(
        scope,
        "Build",
        stores=stores,
        name=name,
        log_name="models",
        description="Commits an approved version to a branch of its own",
        role_description="CodeBuild: commits an approved version to a branch of its own",
        allowed=[
            allow(tokens, [connection]),
            allow(["codeconnections:UseConnection"], [connection], conditions=pushing),
            allow(
                ["sts:AssumeRole"], [stage.role_arn("endpoint-deployer") for stage in tools.stages]
            ),
            *stores.publish(),
        ],
        size="SMALL",
        variables={
            f"GIT_{who}_{key}": value
            for who in ("AUTHOR", "COMMITTER")
            for key, value in (("NAME", name), ("EMAIL", f"{name}@example.invalid"))
        },
        source=project.SourceProperty(
            type=HOSTS[source.host].source_type,
            location=repository_url(tools.delivery),
            auth=project.SourceAuthProperty(type="CODECONNECTIONS", resource=connection),
            git_clone_depth=0,  # the whole history
            build_spec=model_buildspec(tools),
        ),
        source_version=f"refs/heads/{source.branch}",
        artifacts=project.ArtifactsProperty(type="NO_ARTIFACTS"),
        timeout_in_minutes=_MINUTES,
    )


class ModelDelivery(Construct):
    """The bus of the environments' approvals, their rules, and the build.

    The build takes nothing from an event: which environment is meant follows from the rule, and
    which version from the registry. So an event that is lost, late or sent twice does no harm: each
    day the build looks by itself.
    """

    def __init__(self, scope: Construct, id: str, *, stores: Stores) -> None:
        super().__init__(scope, id)
        self._tools = tools = stores.tools
        settings, name = tools.settings, model_build_name(tools)
        build = _model_build(self, stores)
        project = arn(settings, "codebuild", f"project/{name}")
        starter = add_role(
            self,
            "Starter",
            name=names.approvals_bus_name(tools),
            description="EventBridge: starts the build that delivers an approved version",
            trust=service(settings, "events", f"rule/{prefix(settings)}-*"),
            boundary=stores.boundary,
            allowed=[allow(["codebuild:StartBuild"], [project])],
        )
        bus = self._bus()
        for stage in tools.stages:
            group = names.model_package_group_name(
                stage, choose_recipe(stage, None).model_package_group
            )
            role = stage.role_arn("endpoint-deployer")
            overrides = [
                {"name": key, "value": value, "type": "PLAINTEXT"}
                for key, value in (("ENVIRONMENT", stage.environment), ("ROLE", role))
            ]
            target = events.CfnRule.TargetProperty(
                id="build",
                arn=project,
                role_arn=starter.role_arn,
                input=json.dumps({"environmentVariablesOverride": overrides}),
            )
            rule = events.CfnRule(
                self,
                f"Approved-{stage.environment}",
                name=f"{name}-{stage.environment}",
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
                name=f"{name}-{stage.environment}-daily",
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
        event = {
            "events:source": "aws.sagemaker",
            "events:detail-type": "SageMaker Model Package State Change",
        }
        statements = [
            {
                "Sid": f"ApprovalsOf{stage.environment.title().replace('-', '')}",
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{stage.account}:root"},
                "Action": "events:PutEvents",
                "Resource": approvals_bus_arn(self._tools),
                "Condition": {
                    "ArnEquals": {"aws:PrincipalArn": stage.role_arn("event-router")},
                    "StringEquals": event,
                },
            }
            for stage in self._tools.stages
        ]
        return events.CfnEventBus(
            self,
            "Bus",
            name=names.approvals_bus_name(self._tools),
            description="Approvals of models in the environments",
            policy={"Version": "2012-10-17", "Statement": statements},
        )
