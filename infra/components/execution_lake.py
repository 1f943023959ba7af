"""What CloudFormation may do to the catalog, its jobs and workgroups, and Lake Formation."""

from infra.components.allow import Allowed, allow
from sashiko.settings import Settings

_NAMED = "All names of the project begin with its prefix; environments are not known here."


def lake(settings: Settings) -> list[Allowed]:
    """Returns what the catalog takes; whose grant it is Lake Formation's own permissions say."""
    region, account, project = settings.region, settings.account, settings.project
    glue = f"arn:aws:glue:{region}:{account}"
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
                f"{glue}:catalog",
                f"{glue}:database/{database}_*",
                f"{glue}:dataQualityRuleset/{project}-*",
                f"{glue}:job/{project}-*",
                f"{glue}:table/{database}_*/*",
                # Glue deletes a database with all that is in it, and asks for all of it.
                f"{glue}:userDefinedFunction/{database}_*/*",
            ],
            why=_NAMED,
        ),
        allow(
            [f"athena:{verb}WorkGroup" for verb in ("Create", "Delete", "Get", "Update")]
            + ["athena:ListTagsForResource", "athena:TagResource", "athena:UntagResource"],
            [f"arn:aws:athena:{region}:{account}:workgroup/{project}-*"],
            why=_NAMED,
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
                "lakeformation:GetDataLakeSettings",
                "lakeformation:GetLFTag",
                "lakeformation:GetResourceLFTags",
                "lakeformation:GrantPermissions",
                "lakeformation:ListDataCellsFilter",
                "lakeformation:ListPermissions",
                "lakeformation:ListResources",
                "lakeformation:PutDataLakeSettings",
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
