"""Permissions that a later stack adds to a role of Identity, by the role's name."""

from collections.abc import Sequence

from aws_cdk import aws_iam as iam
from constructs import Construct

from sashiko.account.names import Role, role_name
from sashiko.settings.environment import Settings
from sashiko_cdk.identity.allow import Allowed, explain


class RolePolicy(Construct):
    """A managed policy attached to one role by name.

    No export arises, and the permission lives and dies with the resources it is about. The policy
    has no fixed name, so that CloudFormation can replace it.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        role: Role,
        description: str,
        statements: Sequence[Allowed],
    ) -> None:
        """Attaches `statements` to `role`; a person reads `description` in the console."""
        super().__init__(scope, id)
        policy = iam.CfnManagedPolicy(
            self,
            "Resource",
            description=description,
            policy_document=iam.PolicyDocument(statements=[item.statement for item in statements]),
            roles=[role_name(settings, role)],
        )
        explain(policy, statements)
