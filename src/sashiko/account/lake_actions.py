"""What changes who reads the lake: the calls of Lake Formation that a deploy alone makes."""

from typing import Final

# Grants, what grants refer to (tags, filters, locations), and who may read by IAM alone. A column
# under another tag is open without a grant. "Actions, resources, and condition keys for AWS Lake
# Formation" of the Service Authorization Reference lists all actions, and no resource or condition
# key for these. Revocations are missing: they close.
GOVERNING: Final = (
    "lakeformation:AddLFTagsToResource",
    "lakeformation:BatchGrantPermissions",
    "lakeformation:CreateDataCellsFilter",
    "lakeformation:CreateLFTag",
    "lakeformation:CreateLFTagExpression",
    "lakeformation:CreateLakeFormationOptIn",
    "lakeformation:DeleteDataCellsFilter",
    "lakeformation:DeleteLFTag",
    "lakeformation:DeleteLFTagExpression",
    "lakeformation:DeregisterResource",
    "lakeformation:GrantPermissions",
    "lakeformation:RegisterResource",
    "lakeformation:RegisterResourceWithPrivilegedAccess",
    "lakeformation:RemoveLFTagsFromResource",
    "lakeformation:UpdateDataCellsFilter",
    "lakeformation:UpdateLFTag",
    "lakeformation:UpdateLFTagExpression",
    "lakeformation:UpdateResource",
)
