"""Changes by hand in a deployed lake; some return a function that undoes them."""

from typing import Any

from sashiko.account.access.lake_governance import securable_json
from verification.deploy.governed import Governed, Undo

ACCOUNT = "111122223333"
EVERYBODY = {"DataLakePrincipalIdentifier": "IAM_ALLOWED_PRINCIPALS"}
OPEN = [{"Principal": EVERYBODY, "Permissions": ["ALL"]}]
EXEC = f"arn:aws:iam::{ACCOUNT}:role/cdk-sashiko-cfn-exec-role-{ACCOUNT}-us-east-1"


def grant(lake: Governed, principal: str, resource: Any, *permissions: str, **more: Any) -> None:
    lake.formation.grant_permissions(
        Principal={"DataLakePrincipalIdentifier": principal},
        Resource=resource,
        Permissions=list(permissions),
        **more,
    )


def complaints(lake: Governed) -> dict[str, Any]:
    return {"DatabaseName": lake.database, "Name": "complaints"}


def one_column(lake: Governed, name: str) -> dict[str, Any]:
    return {"TableWithColumns": complaints(lake) | {"ColumnNames": [name]}}


def first_location(lake: Governed) -> str:
    return min(lake.environment.governance.locations)


def the_filter(lake: Governed) -> dict[str, Any]:
    response = lake.formation.list_data_cells_filter(Table=complaints(lake))
    (cells_filter,) = response["DataCellsFilters"]
    return dict(cells_filter)


def admin_removed(lake: Governed) -> None:
    lake.put_settings(DataLakeAdmins=[])


def person_made_admin(lake: Governed) -> None:
    admins = [EXEC, lake.role("data-scientist")]
    lake.put_settings(DataLakeAdmins=[{"DataLakePrincipalIdentifier": admin} for admin in admins])


def defaults_opened(lake: Governed) -> None:
    lake.put_settings(CreateTableDefaultPermissions=OPEN)


def engines_let_in(lake: Governed) -> None:
    lake.put_settings(AllowExternalDataFiltering=True)


def engines_let_in_wholly(lake: Governed) -> None:
    lake.put_settings(AllowFullTableExternalDataAccess=True)


def tag_value_added(lake: Governed) -> None:
    lake.formation.update_lf_tag(TagKey="sashiko-sensitivity", TagValuesToAdd=["secret"])


def put_tag(lake: Governed, column: str, value: str) -> None:
    tags = [{"TagKey": "sashiko-sensitivity", "TagValues": [value]}]
    lake.formation.add_lf_tags_to_resource(Resource=one_column(lake, column), LFTags=tags)


def column_tag_changed(lake: Governed) -> None:
    put_tag(lake, "customer_gender", "none")


def pii_column_tagged(lake: Governed) -> None:
    put_tag(lake, "customer_name", "none")


def column_tag_removed(lake: Governed) -> None:
    tags = [{"TagKey": "sashiko-sensitivity", "TagValues": ["sensitive"]}]
    resource = one_column(lake, "customer_gender")
    lake.formation.remove_lf_tags_from_resource(Resource=resource, LFTags=tags)


def everybody_granted(lake: Governed) -> None:
    grant(lake, "IAM_ALLOWED_PRINCIPALS", {"Table": complaints(lake)}, "ALL")


def training_granted(lake: Governed) -> None:
    policies = [item for item in lake.environment.governance.grants if item.permission == "SELECT"]
    tag_policy = next(item.securable for item in policies if item.securable.kind == "LFTagPolicy")
    grant(lake, lake.role("training"), securable_json(tag_policy, account=ACCOUNT), "SELECT")


def deployer_granted(lake: Governed) -> None:
    grant(lake, EXEC, one_column(lake, "complaint_text"), "SELECT")


def deployer_granted_whole_table(lake: Governed) -> None:
    columns = complaints(lake) | {"ColumnWildcard": {}}
    grant(lake, EXEC, {"TableWithColumns": columns}, "SELECT")


def deployer_granted_what_it_did_not_make(lake: Governed) -> None:
    table = {"DatabaseName": lake.database, "TableWildcard": {}}
    grant(lake, EXEC, {"Table": table}, "INSERT", PermissionsWithGrantOption=["INSERT"])


def another_bootstrap_granted(lake: Governed) -> None:
    other = f"cdk-other-cfn-exec-role-{ACCOUNT}-us-east-1"
    make_role(lake, other)
    arn = f"arn:aws:iam::{ACCOUNT}:role/{other}"
    resource = {"Database": {"Name": lake.database}}
    grant(lake, arn, resource, "ALL", PermissionsWithGrantOption=["ALL"])


def make_role(lake: Governed, name: str) -> None:
    iam = lake.emulator.client("iam")
    if name not in {role["RoleName"] for role in iam.list_roles()["Roles"]}:
        iam.create_role(RoleName=name, AssumeRolePolicyDocument="{}")


def etl_may_pass_on(lake: Governed) -> None:
    resource = {"Table": complaints(lake)}
    grant(lake, lake.role("etl"), resource, "INSERT", PermissionsWithGrantOption=["INSERT"])


def broker_revoked(lake: Governed) -> None:
    grants = lake.environment.governance.grants
    broker = next(
        item
        for item in grants
        if item.principal == lake.role("broker") and item.permission == "SELECT"
    )
    lake.formation.revoke_permissions(
        Principal={"DataLakePrincipalIdentifier": broker.principal},
        Resource=securable_json(broker.securable, account=ACCOUNT),
        Permissions=["SELECT"],
    )


def location_deregistered(lake: Governed) -> None:
    lake.formation.deregister_resource(ResourceArn=first_location(lake))


def location_with_another_role(lake: Governed) -> None:
    lake.formation.update_resource(ResourceArn=first_location(lake), RoleArn=lake.role("etl"))


def location_made_hybrid(lake: Governed) -> None:
    role = lake.role("lake-formation")
    lake.formation.update_resource(
        ResourceArn=first_location(lake), RoleArn=role, HybridAccessEnabled=True
    )


def location_added(lake: Governed) -> None:
    arn = f"arn:aws:s3:::sashiko-dev-snapshots-{ACCOUNT}-us-east-1"
    lake.formation.register_resource(ResourceArn=arn, RoleArn=lake.role("lake-formation"))


def opted_in(lake: Governed) -> None:
    lake.formation.create_lake_formation_opt_in(
        Principal={"DataLakePrincipalIdentifier": lake.role("broker")},
        Resource={"Table": {"CatalogId": ACCOUNT, **complaints(lake)}},
    )


def filter_shows_another_row(lake: Governed) -> None:
    data = the_filter(lake) | {"RowFilter": {"AllRowsWildcard": {}}}
    lake.formation.update_data_cells_filter(TableData=data)


def filter_shows_another_column(lake: Governed) -> None:
    cells_filter = the_filter(lake)
    data = cells_filter | {"ColumnNames": [*cells_filter["ColumnNames"], "customer_name"]}
    lake.formation.update_data_cells_filter(TableData=data)


def filter_deleted(lake: Governed) -> None:
    key = ("TableCatalogId", "DatabaseName", "TableName", "Name")
    cells_filter = the_filter(lake)
    lake.formation.delete_data_cells_filter(**{name: cells_filter[name] for name in key})


def filter_added(lake: Governed) -> None:
    data = the_filter(lake) | {"Name": "mine", "RowFilter": {"AllRowsWildcard": {}}}
    lake.formation.create_data_cells_filter(TableData=data)


def column_added(lake: Governed) -> Undo:
    return lake.put_columns(lambda columns: columns.append({"Name": "phone", "Type": "string"}))


def column_of_another_type(lake: Governed) -> Undo:
    return lake.put_columns(lambda columns: columns[0].update(Type="bigint"))
