"""The roles of people and jobs in an environment, and what they are denied."""

from collections.abc import Sequence
from typing import Final, get_args

from aws_cdk import Duration
from aws_cdk import aws_iam as iam

from sashiko.account.names import Role, function_log_group, image_build_name, prefix, role_name
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko.settings.tools import Tools
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
from sashiko_cdk.identity.trust import (
    SAME_ACCOUNT,
    people,
    service,
    service_of_account,
    with_build,
)
from sashiko_cdk.platform.image_permissions import writing_logs
from sashiko_cdk.security_rules.acknowledge import acknowledge
from sashiko_cdk.stack import EnvironmentStack

__all__ = ["add_roles"]

# The roles that trust a service without a condition: `service_of_account` says why.
_OF_ACCOUNT: Final[frozenset[Role]] = FUNCTIONS | {"etl", "lake-formation", "mlflow"}


def add_roles(
    stack: EnvironmentStack, *, recipes: Sequence[Recipe], tools: Tools | None = None
) -> None:
    """Adds the environment's roles to a stack, under fixed names.

    Other stacks and Lake Formation refer to them by name. `recipes` decide on which instances
    models are trained, and by their compile targets on which the device check may run. `tools`
    is the tools' account, if a pipeline there deploys the environment.
    """
    boundary = boundary_of(stack, stack.settings)
    for role in get_args(Role):
        _add_role(stack, role, boundary, recipes=recipes, tools=tools)


def _add_role(
    stack: EnvironmentStack,
    role: Role,
    boundary: iam.IManagedPolicy,
    *,
    recipes: Sequence[Recipe],
    tools: Tools | None,
) -> None:
    settings = stack.settings
    targets = [recipe.compile.target for recipe in recipes]
    allowed = own_permissions(settings, role, targets=targets)
    if role in CONTAINERS:
        allowed += container_basics(settings)
    if role in FUNCTIONS:
        allowed += writing_logs(settings, function_log_group(settings, role))
    iam_role = iam.Role(
        stack,
        role.title().replace("-", ""),
        role_name=role_name(settings, role),
        description=DESCRIPTIONS[role],
        assumed_by=_trust(settings, role, tools),
        permissions_boundary=boundary,
        # The first deploy builds four images, each for 50 minutes at most.
        max_session_duration=Duration.hours(6) if role == "deployer" else None,
        inline_policies={
            "own": iam.PolicyDocument(
                statements=[
                    *(item.statement for item in allowed),
                    *_denied(settings, role, recipes),
                ]
            )
        },
    )
    iam_role.apply_removal_policy(stack.removal_policy)
    explain(iam_role, allowed)
    if role in _OF_ACCOUNT:
        acknowledge(iam_role, {"confused-deputy": SAME_ACCOUNT})
    acknowledge(
        iam_role,
        {
            "NIST-IAMNoInlinePolicy": "What a role must never do is part of it: a managed "
            "policy can be detached from it, or attached to another."
        },
    )


def _denied(settings: Settings, role: Role, recipes: Sequence[Recipe]) -> list[iam.PolicyStatement]:
    """Returns the denials of `role`, which hold whatever a later stack attaches to it."""
    denied = [
        iam.PolicyStatement(
            sid="Never", effect=iam.Effect.DENY, actions=list(NEVER[role]), resources=["*"]
        )
    ]
    if closed := closed_buckets(settings, role):
        denied.append(
            iam.PolicyStatement(
                sid="NotPastLakeFormation",
                effect=iam.Effect.DENY,
                actions=["s3:GetObject", "s3:GetObjectVersion"],
                resources=closed,
            )
        )
    if role == "pipeline":
        denied += guardrails(settings, recipes)
    if role == "deployer":
        denied += staging_limits(settings)
    return denied


def _trust(settings: Settings, role: Role, tools: Tools | None) -> iam.IPrincipal:
    if role in PEOPLE:
        persons = people(settings, at_home=role == "break-glass")
        return with_build(persons, tools) if tools and role == "endpoint-deployer" else persons
    if role in FUNCTIONS:
        return service_of_account("lambda")
    if role == "lake-formation":
        # Both, as AWS requires of a role that locations are registered with ("Requirements for
        # roles used to register locations", AWS Lake Formation Developer Guide).
        return iam.CompositePrincipal(
            service(settings, "lakeformation"), service_of_account("glue")
        )
    if role == "etl":
        return service_of_account("glue")
    if role == "mlflow":
        # The page on the role of an MLflow App has no condition ("Set up IAM permissions for MLflow
        # Apps"), and the one on confused deputies (`service`) does not name MLflow.
        return service_of_account("sagemaker")
    name_prefix = prefix(settings)
    others: dict[Role, tuple[str, str]] = {
        "bedrock-import": ("bedrock", "model-import-job/*"),
        **dict.fromkeys(FLOWS, ("states", f"stateMachine:{name_prefix}-*")),
        "event-router": ("events", f"rule/{name_prefix}-*"),
        "image-build": ("codebuild", f"project/{image_build_name(settings)}"),
    }
    return service(settings, *others.get(role, ("sagemaker", "*")))
