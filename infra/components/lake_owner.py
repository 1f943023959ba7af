"""What CloudFormation may do to the database and its tables under Lake Formation."""

from aws_cdk import CfnResource, RemovalPolicy
from aws_cdk import aws_glue as glue
from constructs import Construct

from infra.components.lake_formation_grant import LakeFormationGrant, all_tables, the_database
from sashiko.aws.names import exec_role_arn
from sashiko.settings import Settings


class LakeOwner(Construct):
    """The execution role's grants on the database.

    Who makes a database owns it, but a database that was adopted has another maker, and without
    DROP the stack that holds it cannot be deleted. Retained where the database goes with its stack:
    a grant goes before what it is on, and a revoked DROP would leave the stack in DELETE_FAILED.
    Where the database stays, a grant that stayed with it would refuse the next stack's.

    Attributes:
        grant: the last of the grants; what follows waits for it.
    """

    def __init__(
        self, scope: Construct, id: str, *, settings: Settings, database: glue.CfnDatabase
    ) -> None:
        """Grants on `database` and on all tables of it."""
        super().__init__(scope, id)
        wanted = [
            *((the_database(settings), name) for name in ("ALTER", "CREATE_TABLE", "DROP")),
            *((all_tables(settings), name) for name in ("ALTER", "DROP")),
        ]
        after: CfnResource = database
        for resource, permission in wanted:
            self.grant = LakeFormationGrant(
                self,
                "CloudFormation",
                settings=settings,
                principal=exec_role_arn(settings),
                permission=permission,
                resource=resource,
            )
            if settings.on_destroy == "delete":
                self.grant.apply_removal_policy(RemovalPolicy.RETAIN)
            self.grant.add_resource_dependency(after)
            after = self.grant
