"""What CloudFormation may do to the catalog, its jobs and workgroups, and Lake Formation."""

from infra.components.allow import Allowed, allow
from infra.components.execution_scope import NAMED
from sashiko.aws.names import arn
from sashiko.settings import Settings


def lake(settings: Settings) -> list[Allowed]:
    """Returns what the catalog takes; whose grant it is Lake Formation's own permissions say."""
    project = settings.project
    database = project.replace("-", "_")
    return [
        allow(
            [
                f"glue:{verb}{kind}"
                for verb in ("Create", "Delete", "Get", "Update")
                for kind in ("Database", "Job", "Table")
            ]
            + [f"glue:{verb}DataQualityRuleset" for verb in ("Delete", "Get", "Update")]
            + ["glue:GetTags", "glue:TagResource", "glue:UntagResource"],
            [
                arn(settings, "glue", resource)
                for resource in (
                    "catalog",
                    f"database/{database}_*",
                    f"dataQualityRuleset/{project}-*",
                    f"job/{project}-*",
                    f"table/{database}_*/*",
                    # Glue deletes a database with all that is in it, and asks for all of it.
                    f"userDefinedFunction/{database}_*/*",
                )
            ],
            why=NAMED,
        ),
        allow(
            [f"athena:{verb}WorkGroup" for verb in ("Create", "Delete", "Get", "Update")]
            + ["athena:ListTagsForResource", "athena:TagResource", "athena:UntagResource"],
            [arn(settings, "athena", f"workgroup/{project}-*")],
            why=NAMED,
        ),
        allow(
            [
                "glue:CreateDataQualityRuleset",
                "glue:CreateSecurityConfiguration",
                "glue:DeleteSecurityConfiguration",
                "glue:GetSecurityConfiguration",
                "lakeformation:AddLFTagsToResource",
                "lakeformation:CreateDataCellsFilter",
                "lakeformation:CreateLFTag",
                "lakeformation:DeleteDataCellsFilter",
                "lakeformation:DeleteLFTag",
                "lakeformation:DeregisterResource",
                "lakeformation:DescribeLakeFormationIdentityCenterConfiguration",
                "lakeformation:DescribeResource",
                "lakeformation:GetLFTag",
                "lakeformation:GetResourceLFTags",
                "lakeformation:GrantPermissions",
                "lakeformation:ListDataCellsFilter",
                "lakeformation:ListPermissions",
                "lakeformation:ListResources",
                "lakeformation:RegisterResource",
                "lakeformation:RemoveLFTagsFromResource",
                "lakeformation:RevokePermissions",
                "lakeformation:UpdateLFTag",
                "lakeformation:UpdateResource",
            ],
            ["*"],
            why="The services have no permissions on single resources for these calls.",
        ),
    ]
