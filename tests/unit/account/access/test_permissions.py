"""The permission matrix of a small lake, as it stands and with one thing broken."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sashiko.account.access.permission_matrix import Cell, permission_matrix
from sashiko.errors import InputError
from tests.unit.account.small_lake import COLUMNS, ROLES, SmallLake

Break = Callable[[SmallLake], None]


def cells(lake: SmallLake, folder: Path) -> dict[tuple[str, str], Cell]:
    environment = lake.read(folder)
    matrix = permission_matrix(environment, environment)
    return {(cell.principal, cell.column): cell for cell in matrix}


def reads(lake: SmallLake, folder: Path, role: str) -> dict[str, str]:
    """Column -> access, of what is not denied."""
    items = cells(lake, folder).items()
    return {
        column: cell.access
        for (principal, column), cell in items
        if principal == role and cell.access != "denied"
    }


def test_each_reads_what_its_grant_says(tmp_path):
    lake = SmallLake()
    everything = dict.fromkeys([*COLUMNS, "as_of"], "allowed")
    expected = {
        "broker": {"id": "allowed", "text": "allowed", "as_of": "allowed"},
        "bias-evaluator": {column: "allowed" for column in everything if column != "name"},
        "data-scientist": {"id": "filtered", "text": "filtered"},
        "etl": everything,
        "lake-formation": everything,
    }
    for role in ROLES:
        assert reads(lake, tmp_path, role) == expected.get(role, {}), role


def test_a_filtered_cell_names_its_rows_and_an_allowed_one_its_ground(tmp_path):
    matrix = cells(SmallLake(), tmp_path)
    assert matrix["data-scientist", "id"].rows == ("id <> ''",)
    assert matrix["data-scientist", "id"].grounds == ("filter",)
    assert matrix["broker", "id"].grounds == ("tags",)
    assert matrix["etl", "id"].grounds == ("files",)


def test_a_column_without_a_tag_of_its_own_has_its_tables(tmp_path):
    lake = SmallLake()
    table = {"Table": {"DatabaseName": lake.database, "Name": "people"}}
    lake.assign("TagsTable", table, sensitivity="none")
    assert reads(lake, tmp_path, "broker").keys() == {"id", "text", "name", "as_of"}


def test_every_key_of_an_expression_must_match(tmp_path):
    lake = SmallLake()
    lake.properties("Grantbroker")["Resource"] = lake.by_tags("none", domain="other")
    assert reads(lake, tmp_path, "broker") == {}


def test_a_tag_grant_beside_a_filter_makes_the_filter_void(tmp_path):
    lake = SmallLake()
    lake.grant("More", "data-scientist", "SELECT", lake.by_tags("none"))
    assert reads(lake, tmp_path, "data-scientist")["id"] == "allowed"


@pytest.mark.parametrize(
    ("resource", "columns"),
    [
        ({"Table": {"Name": "people"}}, {*COLUMNS, "as_of"}),
        ({"Table": {"TableWildcard": {}}}, {*COLUMNS, "as_of"}),
        ({"Table": {"Name": "others"}}, set()),
        ({"TableWithColumns": {"Name": "people", "ColumnNames": ["race"]}}, {"race"}),
        (
            {
                "TableWithColumns": {
                    "Name": "people",
                    "ColumnWildcard": {"ExcludedColumnNames": ["race", "name"]},
                }
            },
            {"id", "text", "as_of"},
        ),
    ],
)
def test_grants_by_name(tmp_path, resource, columns):
    lake = SmallLake()
    named = {kind: value | {"DatabaseName": lake.database} for kind, value in resource.items()}
    lake.properties("Grantbroker")["Resource"] = named
    assert reads(lake, tmp_path, "broker").keys() == columns


def test_describing_is_not_reading(tmp_path):
    lake = SmallLake()
    lake.properties("Grantbroker")["Permissions"] = ["DESCRIBE"]
    assert reads(lake, tmp_path, "broker") == {}


@pytest.mark.parametrize(
    "action", ["glue:GetTable", "lakeformation:GetDataAccess", "athena:StartQueryExecution"]
)
def test_a_grant_is_of_no_use_without_iam(tmp_path, action):
    lake = SmallLake()
    lake.allow("broker", [action], ["*"], Effect="Deny")
    assert reads(lake, tmp_path, "broker") == {}


def test_a_boundary_of_the_templates_limits_a_role(tmp_path):
    lake = SmallLake()
    statement = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    lake.add(
        "Boundary", "AWS::IAM::ManagedPolicy", PolicyDocument={"Statement": [statement]}, Roles=[]
    )
    lake.properties("Rolebroker")["PermissionsBoundary"] = {"Ref": "Boundary"}
    assert reads(lake, tmp_path, "broker") == {}


def test_an_unregistered_location_is_nobodys_to_vend(tmp_path):
    lake = SmallLake()
    del lake.resources["Location"]
    assert reads(lake, tmp_path, "broker") == {}
    assert reads(lake, tmp_path, "etl")


def _default_of_the_account(lake: SmallLake) -> None:
    del lake.properties("Database")["DatabaseInput"]["CreateTableDefaultPermissions"]
    del lake.resources["Settings"]


def _granted_to_everybody(lake: SmallLake) -> None:
    table = {"Table": {"DatabaseName": lake.database, "Name": "people"}}
    lake.grant("All", "broker", "ALL", table)
    everybody = {"DataLakePrincipalIdentifier": "IAM_ALLOWED_PRINCIPALS"}
    lake.properties("All")["Principal"] = everybody


@pytest.mark.parametrize("open_up", [_default_of_the_account, _granted_to_everybody])
def test_iam_allowed_principals_opens_every_column(tmp_path, open_up):
    lake = SmallLake()
    open_up(lake)
    cell = cells(lake, tmp_path)["broker", "name"]
    assert (cell.access, cell.grounds) == ("allowed", ("everybody",))


def test_a_stranger_with_a_grant_is_shown(tmp_path):
    lake = SmallLake()
    stranger = "arn:aws:iam::999988887777:role/partner"
    lake.grant("Other", "broker", "SELECT", lake.by_tags("sensitive"))
    lake.properties("Other")["Principal"] = {"DataLakePrincipalIdentifier": stranger}
    assert reads(lake, tmp_path, stranger) == {"race": "allowed"}


def test_a_grant_on_a_filter_that_nobody_makes_is_an_error(tmp_path):
    lake = SmallLake()
    del lake.resources["Filter"]
    with pytest.raises(InputError, match="open-rows, which no template has"):
        cells(lake, tmp_path)


def test_a_policy_that_the_templates_do_not_hold_is_an_error(tmp_path):
    lake = SmallLake()
    arn = "arn:aws:iam::aws:policy/AmazonS3FullAccess"
    lake.properties("Rolebroker")["ManagedPolicyArns"] = [arn]
    with pytest.raises(InputError, match=f"sashiko-dev-broker has the policy {arn}"):
        cells(lake, tmp_path)


def test_a_statement_on_two_buckets_opens_in_each_what_it_says_of_it(tmp_path):
    lake = SmallLake()
    folders = [f"arn:aws:s3:::{lake.curated}/people/*", f"arn:aws:s3:::{lake.snapshots}/facets/*"]
    lake.allow("etl", ["s3:GetObject"], folders)
    environment = lake.read(tmp_path)
    etl = next(item for item in environment.principals if item.name == "etl")
    assert environment.object_paths(etl, "s3:GetObject", lake.snapshots) == ("facets/*",)
