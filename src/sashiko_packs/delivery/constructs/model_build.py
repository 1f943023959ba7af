"""The build that commits an approved version to a branch of its own."""

from typing import Final

from aws_cdk import RemovalPolicy
from aws_cdk import aws_codebuild as codebuild
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from sashiko.account.delivery_names import model_build_name
from sashiko.account.names import prefix
from sashiko.settings.tools import Tools
from sashiko_cdk.identity.allow import Allowed, allow, explain
from sashiko_cdk.identity.trust import service
from sashiko_cdk.platform.image_permissions import writing_logs
from sashiko_cdk.security_rules.acknowledge import acknowledge
from sashiko_packs.delivery.constructs.model_buildspec import HOSTS, model_buildspec, repository_url
from sashiko_packs.delivery.constructs.parts import Stores

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
            *_telling(tools, stores),
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


def _telling(tools: Tools, stores: Stores) -> list[Allowed]:
    through = {"StringEquals": {"kms:ViaService": f"sns.{tools.settings.region}.amazonaws.com"}}
    return [
        allow(["sns:Publish"], [stores.topic.topic_arn]),
        allow(["kms:Decrypt", "kms:GenerateDataKey"], [stores.key.key_arn], conditions=through),
    ]
