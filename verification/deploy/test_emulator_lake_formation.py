"""The emulator's Lake Formation stores and refuses the same as the real one."""

from typing import Any

import pytest

from verification.deploy.stacks import (
    ACCOUNT,
    Stacks,
    Template,
    bucket,
    database,
    grant,
    resource,
    role,
    table,
    template,
)

DATABASE = {"Database": {"CatalogId": ACCOUNT, "Name": {"Ref": "Database"}}}
TABLE = {"CatalogId": ACCOUNT, "DatabaseName": {"Ref": "Database"}, "Name": {"Ref": "Table"}}
READER = {"Fn::GetAtt": ["Role", "Arn"]}


def cells(**properties: Any) -> Template:
    """A filter of the table `t` of `database`."""
    members = {
        "TableCatalogId": ACCOUNT,
        "DatabaseName": {"Ref": "Database"},
        "TableName": {"Ref": "Table"},
        "Name": "rows",
        "RowFilter": {"FilterExpression": "a = 'x'"},
        **properties,
    }
    return resource("Filter", "AWS::LakeFormation::DataCellsFilter", members)


def tagged(*tags: tuple[str, list[str]]) -> Template:
    """Tags on the table."""
    pairs = [{"CatalogId": ACCOUNT, "TagKey": key, "TagValues": values} for key, values in tags]
    properties = {"Resource": {"Table": TABLE}, "LFTags": pairs}
    return resource("Tagged", "AWS::LakeFormation::TagAssociation", properties, DependsOn="Tag")


REFUSED: dict[str, tuple[Template, str]] = {
    "a filter on a column that is not there": (
        cells(ColumnNames=["a", "missing"]),
        "Column(s) missing not found",
    ),
    "a filter by a column that is not there": (
        cells(
            ColumnNames=["a"],
            RowFilter={"FilterExpression": "a = 'text' AND gone IN (1, 2) OR a IS NOT NULL"},
        ),
        "Column(s) gone not found",
    ),
    "a filter of no columns": (cells(), "either ColumnNames or ColumnWildcard"),
    "a filter of some columns and of all": (
        cells(ColumnNames=["a"], ColumnWildcard={"ExcludedColumnNames": ["a"]}),
        "either ColumnNames or ColumnWildcard",
    ),
    "a location that is not registered": (
        grant(
            READER,
            {"DataLocation": {"CatalogId": ACCOUNT, "ResourceArn": "arn:aws:s3:::lake/t"}},
            "DATA_LOCATION_ACCESS",
        ),
        "arn:aws:s3:::lake/t is not registered",
    ),
    "rows into a database": (
        grant(READER, DATABASE, "INSERT"),
        "INSERT is not valid on a Database",
    ),
    "databases in a table": (
        grant(READER, {"Table": TABLE}, "CREATE_DATABASE"),
        "CREATE_DATABASE is not valid on a Table",
    ),
    "a column dropped": (
        grant(READER, {"TableWithColumns": {**TABLE, "ColumnNames": ["a"]}}, "DROP"),
        "DROP is not valid on a TableWithColumns",
    ),
    "two values of a tag": (tagged(("kind", ["open", "closed"])), "one value of an LF-Tag's key"),
    "a tag twice": (tagged(("kind", ["open"]), ("kind", ["closed"])), "one value of an LF-Tag's"),
    "a value that the tag lacks": (tagged(("kind", ["secret"])), "does not exist: kind=secret"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_lake_formation_refuses_fails_the_stack(stacks: Stacks, case: str) -> None:
    part, reason = REFUSED[case]
    stack = case.replace(" ", "-")
    tag = resource(
        "Tag", "AWS::LakeFormation::Tag", {"TagKey": "kind", "TagValues": ["open", "closed"]}
    )
    lake = (role(stack[:60]), database(case.replace(" ", "_")), table("t", "a"), tag)

    assert stacks.deploy(stack, template(*lake, part)) == "ROLLBACK_COMPLETE"

    assert reason in stacks.failure(stack)
    stacks.delete(stack)


def test_a_location_below_a_registered_one_can_be_granted(stacks: Stacks) -> None:
    lake = resource(
        "Lake",
        "AWS::LakeFormation::Resource",
        {
            "ResourceArn": {"Fn::GetAtt": ["Bucket", "Arn"]},
            "UseServiceLinkedRole": False,
            "RoleArn": READER,
        },
    )
    below = {"CatalogId": ACCOUNT, "ResourceArn": {"Fn::Sub": "${Bucket.Arn}/t"}}
    location_grant = grant(READER, {"DataLocation": below}, "DATA_LOCATION_ACCESS")

    body = template(
        role("located"), bucket("located"), lake, {**location_grant, "DependsOn": "Lake"}
    )

    assert stacks.deploy("located", body) == "CREATE_COMPLETE"


def test_a_grant_that_is_there_already_is_refused(stacks: Stacks) -> None:
    """Pitfall 7: so is one that a failed attempt has left."""
    arn = f"arn:aws:iam::{ACCOUNT}:role/granted"
    target = {"Database": {"CatalogId": ACCOUNT, "Name": "granted"}}
    stacks.deploy(
        "granted", template(role("granted"), database("granted"), grant(READER, DATABASE, "ALTER"))
    )

    stacks.deploy("again", template(grant(arn, target, "ALTER")))
    assert "already exists" in stacks.failure("again")

    assert stacks.deploy("another", template(grant(arn, target, "DROP"))) == "CREATE_COMPLETE"


def test_a_replaced_tag_takes_the_new_value_along(stacks: Stacks) -> None:
    """Pitfall 6, at its worst: so a column changes by way of pii, which has no tag of its own."""
    tag = resource(
        "Tag", "AWS::LakeFormation::Tag", {"TagKey": "swapped", "TagValues": ["none", "some"]}
    )
    lake = (database("swapped"), table("t", "a"), tag)
    columns = {"DatabaseName": "swapped", "Name": "t", "ColumnNames": ["a"]}

    def column_tags() -> list[Any]:
        assigned = stacks.emulator.client("lakeformation").get_resource_lf_tags(
            Resource={"TableWithColumns": columns}, ShowAssignedLFTags=True
        )
        return [tag["TagValues"] for tag in assigned["LFTagsOnColumns"][0]["LFTags"]]

    def association(name: str, value: str) -> Template:
        pair = {"CatalogId": ACCOUNT, "TagKey": {"Ref": "Tag"}, "TagValues": [value]}
        target = {"TableWithColumns": {**TABLE, "ColumnNames": ["a"]}}
        properties = {"Resource": target, "LFTags": [pair]}
        return resource(name, "AWS::LakeFormation::TagAssociation", properties)

    stacks.deploy("swapped", template(*lake, association("None", "none")))
    stacks.deploy("swapped", template(*lake, association("Some", "some")))
    assert column_tags() == []

    stacks.deploy("swapped", template(*lake))
    stacks.deploy("swapped", template(*lake, association("None", "none")))
    assert column_tags() == [["none"]]


def test_a_grant_needs_its_principal(stacks: Stacks) -> None:
    target = {"Database": {"CatalogId": ACCOUNT, "Name": {"Ref": "Database"}}}
    missing_role = f"arn:aws:iam::{ACCOUNT}:role/nobody"

    stacks.deploy(
        "no-principal", template(database("ungranted"), grant(missing_role, target, "DESCRIBE"))
    )

    assert f"Invalid principal: {missing_role}" in stacks.failure("no-principal")


def test_a_filter_needs_its_columns(stacks: Stacks) -> None:
    properties = {
        "TableCatalogId": ACCOUNT,
        "DatabaseName": {"Ref": "Database"},
        "TableName": {"Ref": "Table"},
        "Name": "rows",
        "ColumnNames": ["a", "missing"],
        "RowFilter": {"FilterExpression": "a = 'x'"},
    }
    filtered = resource("Filter", "AWS::LakeFormation::DataCellsFilter", properties)
    body = template(database("filtered"), table("t", "a"), filtered)

    assert stacks.deploy("bad-filter", body) == "ROLLBACK_COMPLETE"
    assert "missing" in stacks.failure("bad-filter")

    stacks.delete("bad-filter")
    properties["ColumnNames"] = ["a"]
    assert stacks.deploy("bad-filter", body) == "CREATE_COMPLETE"
    lake = stacks.emulator.client("lakeformation")
    table_key = {"CatalogId": ACCOUNT, "DatabaseName": "filtered", "Name": "t"}
    (cells_filter,) = lake.list_data_cells_filter(Table=table_key)["DataCellsFilters"]
    assert cells_filter["ColumnNames"] == ["a"]


def test_cloudformation_does_not_empty_the_defaults_and_the_api_does(stacks: Stacks) -> None:
    """A new account's databases are open to everybody: pitfall 4."""

    def principals(name: str) -> list[str]:
        target = {"Database": {"Name": name}}
        response = stacks.emulator.client("lakeformation").list_permissions(Resource=target)
        grants = response["PrincipalResourcePermissions"]
        return [item["Principal"]["DataLakePrincipalIdentifier"] for item in grants]

    stacks.deploy("open", template(database("open")))
    assert principals("open") == ["IAM_ALLOWED_PRINCIPALS"]

    no_defaults = {"CreateDatabaseDefaultPermissions": [], "CreateTableDefaultPermissions": []}
    kind = "AWS::LakeFormation::DataLakeSettings"
    stacks.deploy("settings", template(resource("Settings", kind, no_defaults)))
    stacks.deploy("ignored", template(database("ignored")))
    assert principals("ignored") == ["IAM_ALLOWED_PRINCIPALS"]

    lake = stacks.emulator.client("lakeformation")
    settings = lake.get_data_lake_settings()["DataLakeSettings"]
    lake.put_data_lake_settings(DataLakeSettings={**settings, **no_defaults})
    stacks.deploy("closed", template(database("closed")))
    assert principals("closed") == []


def test_appended_admins_join_those_there_and_leave_alone(stacks: Stacks) -> None:
    lake, iam = (stacks.emulator.client(name) for name in ("lakeformation", "iam"))
    iam.create_role(RoleName="there", AssumeRolePolicyDocument="{}")
    existing = {"DataLakePrincipalIdentifier": f"arn:aws:iam::{ACCOUNT}:role/there"}
    settings = lake.get_data_lake_settings()["DataLakeSettings"]
    lake.put_data_lake_settings(DataLakeSettings={**settings, "DataLakeAdmins": [existing]})
    arn = {"Fn::GetAtt": ["Role", "Arn"]}
    properties = {"Admins": [{"DataLakePrincipalIdentifier": arn}], "MutationType": "APPEND"}
    appended = resource("Settings", "AWS::LakeFormation::DataLakeSettings", properties)

    def admins() -> list[str]:
        admins_after = lake.get_data_lake_settings()["DataLakeSettings"]["DataLakeAdmins"]
        return [item["DataLakePrincipalIdentifier"].rsplit("/", 1)[1] for item in admins_after]

    stacks.deploy("admins", template(role("added"), appended))
    assert admins() == ["there", "added"]

    stacks.delete("admins")
    assert admins() == ["there"]


def test_a_tag_reaches_the_columns_that_have_none_of_their_own(stacks: Stacks) -> None:
    def tag(name: str, value: str, target: dict[str, Any]) -> dict[str, Any]:
        pair = {"CatalogId": ACCOUNT, "TagKey": {"Ref": "Tag"}, "TagValues": [value]}
        properties = {"Resource": target, "LFTags": [pair]}
        return resource(name, "AWS::LakeFormation::TagAssociation", properties)

    table_reference = {
        "CatalogId": ACCOUNT,
        "DatabaseName": {"Ref": "Database"},
        "Name": {"Ref": "Table"},
    }
    tag_values = {"TagKey": "kind", "TagValues": ["open", "closed"]}
    body = template(
        database("tagged"),
        table("t", "a", "b"),
        resource("Tag", "AWS::LakeFormation::Tag", tag_values),
        tag("OnTable", "closed", {"Table": table_reference}),
        tag("OnColumn", "open", {"TableWithColumns": {**table_reference, "ColumnNames": ["a"]}}),
    )
    assert stacks.deploy("tagged", body) == "CREATE_COMPLETE"

    both = {"DatabaseName": "tagged", "Name": "t", "ColumnNames": ["a", "b"]}
    assigned = stacks.emulator.client("lakeformation").get_resource_lf_tags(
        Resource={"TableWithColumns": both}
    )
    values = {c["Name"]: c["LFTags"][0]["TagValues"] for c in assigned["LFTagsOnColumns"]}
    assert values == {"a": ["open"], "b": ["closed"]}
