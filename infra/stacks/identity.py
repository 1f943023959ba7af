"""The roles of people and jobs in an environment, and what they are denied."""

from typing import get_args

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from constructs import Construct

from sashiko.aws.resources.names import (
    Role,
    function_log_group,
    image_build_name,
    prefix,
    role_name,
)
from sashiko_cdk.deployment import Deployment
from sashiko_cdk.identity.allow import explain
from sashiko_cdk.identity.boundary import boundary_of
from sashiko_cdk.identity.container_basics import container_basics
from sashiko_cdk.identity.guardrails import guardrails
from sashiko_cdk.identity.role_permissions import own_permissions
from sashiko_cdk.identity.role_table import (
    CONTAINERS,
    DESCRIPTIONS,
    FLOWS,
    FUNCTIONS,
    NEVER,
    PEOPLE,
    closed_buckets,
)
from sashiko_cdk.identity.staging_limits import staging_limits
from sashiko_cdk.identity.trust import SAME_ACCOUNT, function, people, service
from sashiko_cdk.platform.image_permissions import writing_logs
from sashiko_cdk.security_rules.acknowledge import acknowledge
from sashiko_cdk.stack import EnvironmentStack


class Identity(EnvironmentStack):
    """The roles, under fixed names: other stacks and Lake Formation refer to them by name."""

    def __init__(self, scope: Construct, deployment: Deployment) -> None:
        """Makes the roles."""
        super().__init__(
            scope,
            "Identity",
            deployment,
            stateful=True,
            description="The roles of people and jobs",
        )
        boundary = boundary_of(self, self.settings)
        for role in get_args(Role):
            self._role(role, boundary)

    def _role(self, role: Role, boundary: iam.IManagedPolicy) -> None:
        allowed = own_permissions(self.settings, role)
        if role in CONTAINERS:
            allowed += container_basics(self.settings)
        if role in FUNCTIONS:
            allowed += writing_logs(self.settings, function_log_group(self.settings, role))
        iam_role = iam.Role(
            self,
            role.title().replace("-", ""),
            role_name=role_name(self.settings, role),
            description=DESCRIPTIONS[role],
            assumed_by=self._trust(role),
            permissions_boundary=boundary,
            # The first deploy builds four images, each for 50 minutes at most.
            max_session_duration=Duration.hours(6) if role == "deployer" else None,
            inline_policies={
                "own": iam.PolicyDocument(
                    statements=[*(item.statement for item in allowed), *self._denied(role)]
                )
            },
        )
        iam_role.apply_removal_policy(self.removal_policy)
        explain(iam_role, allowed)
        if role in FUNCTIONS:
            acknowledge(iam_role, {"confused-deputy": SAME_ACCOUNT})
        acknowledge(
            iam_role,
            {
                "NIST-IAMNoInlinePolicy": "What a role must never do is part of it: a managed "
                "policy can be detached from it, or attached to another."
            },
        )

    def _denied(self, role: Role) -> list[iam.PolicyStatement]:
        """Returns the denials of `role`, which hold whatever a later stack attaches to it."""
        denied = [
            iam.PolicyStatement(
                sid="Never", effect=iam.Effect.DENY, actions=list(NEVER[role]), resources=["*"]
            )
        ]
        if closed := closed_buckets(self.settings, role):
            denied.append(
                iam.PolicyStatement(
                    sid="NotPastLakeFormation",
                    effect=iam.Effect.DENY,
                    actions=["s3:GetObject", "s3:GetObjectVersion"],
                    resources=closed,
                )
            )
        if role == "pipeline":
            denied += guardrails(self.settings)
        if role == "deployer":
            denied += staging_limits(self.settings)
        return denied

    def _trust(self, role: Role) -> iam.IPrincipal:
        if role in PEOPLE:
            return people(self.settings, at_home=role == "break-glass")
        if role in FUNCTIONS:
            return function(self.settings)
        if role == "lake-formation":
            # Both, as AWS requires of a role that locations are registered with.
            return iam.CompositePrincipal(
                service(self.settings, "lakeformation"), service(self.settings, "glue")
            )
        name_prefix = prefix(self.settings)
        others: dict[Role, tuple[str, str]] = {
            **dict.fromkeys(FLOWS, ("states", f"stateMachine:{name_prefix}-*")),
            "etl": ("glue", f"job/{name_prefix}-*"),
            "event-router": ("events", f"rule/{name_prefix}-*"),
            "image-build": ("codebuild", f"project/{image_build_name(self.settings)}"),
        }
        return service(self.settings, *others.get(role, ("sagemaker", "*")))
