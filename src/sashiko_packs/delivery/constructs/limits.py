"""The boundary of the pipeline's roles: which account's deploy each may reach."""

import json

from aws_cdk import aws_iam as iam
from constructs import Construct

from sashiko.account.delivery_names import model_build_role_arn
from sashiko.account.names import bootstrap_policy_name, bootstrap_role_arn, prefix
from sashiko.errors import InputError
from sashiko.settings.tools import Tools
from sashiko_cdk.identity.boundary import acknowledge_cap, deny, shared_limits
from sashiko_packs.delivery.constructs.parts import ASSUMED, places_of

_WORK = [
    "codebuild:BatchGetBuilds",
    "codebuild:StartBuild",
    "codeconnections:GetConnection",
    "codeconnections:GetConnectionToken",
    "codeconnections:UseConnection",
    "kms:*",
    "logs:*",
    "s3:*",
    "sns:Publish",
    "sts:*",
]
_CHARACTERS = 6144  # of a managed policy: "IAM and AWS STS quotas", IAM User Guide


class ToolsBoundary(iam.ManagedPolicy):
    """What no role of the pipeline may do, whatever a merged change lets its policies say.

    The pipeline changes its own stack. A role of one environment must still not reach another one's
    account, and what builds and tests a commit must reach none.
    """

    def __init__(self, scope: Construct, id: str, *, tools: Tools) -> None:
        """Makes the boundary.

        Raises:
            InputError: if the stages are too many for one policy.
        """
        settings = tools.settings
        statements = [
            iam.PolicyStatement(sid="CapOnly", actions=_WORK, resources=["*"]),
            *shared_limits(settings),
            *_own_accounts(tools),
            *_models(tools),
        ]
        size = len(
            json.dumps([item.to_statement_json() for item in statements], separators=(",", ":"))
        )
        if size > _CHARACTERS:
            raise InputError(
                f"config/delivery.yaml: key `stages`: the boundary of {len(tools.stages)} stages "
                f"has {size} characters, and a policy takes {_CHARACTERS}: deliver to fewer"
            )
        super().__init__(
            scope,
            id,
            managed_policy_name=bootstrap_policy_name(settings, "boundary"),
            description="What no role of the pipeline that delivers may ever do; it grants nothing",
            statements=statements,
        )
        acknowledge_cap(self, _WORK)


def _own_accounts(tools: Tools) -> list[iam.PolicyStatement]:
    """Denies to each environment's roles all roles but those of its own account's bootstrap."""
    roles = f"arn:aws:iam::{tools.settings.account}:role/{prefix(tools.settings)}"
    denied = []
    for place in places_of(tools):
        own = [bootstrap_role_arn(place, role) for role in ASSUMED["deploy"]]
        denied.append(
            iam.PolicyStatement(
                sid=f"Only{place.environment.title()}",
                effect=iam.Effect.DENY,
                actions=["sts:AssumeRole"],
                not_resources=own,
                conditions={"ArnLike": {"aws:PrincipalArn": f"{roles}-{place.environment}-*"}},
            )
        )
    deployers = [f"{roles}-{place.environment}-*" for place in places_of(tools)]
    deployers.append(model_build_role_arn(tools))
    others = {"ArnNotLike": {"aws:PrincipalArn": deployers}}
    return [*denied, deny("NoOtherRoles", ["sts:AssumeRole"], conditions=others)]


def _models(tools: Tools) -> list[iam.PolicyStatement]:
    """Limits the build that delivers approved models, which alone pushes.

    It reads registries, and deploys nothing. A connection's token can do what its app may.
    """
    build = {"aws:PrincipalArn": model_build_role_arn(tools)}
    return [
        iam.PolicyStatement(
            sid="ModelsReadAlone",
            effect=iam.Effect.DENY,
            actions=["sts:AssumeRole"],
            not_resources=[stage.role_arn("endpoint-deployer") for stage in tools.stages],
            conditions={"ArnEquals": build},
        ),
        deny(
            "ModelsPushAlone",
            ["codeconnections:GetConnectionToken"],
            conditions={"ArnNotEquals": build},
        ),
        deny(
            "OthersRead",
            ["codeconnections:UseConnection"],
            conditions={
                "ArnNotEquals": build,
                "StringEquals": {"codeconnections:ProviderPermissionsRequired": "read_write"},
            },
        ),
    ]
