"""IAM statements, evaluated as AWS does and in doubt as if they allowed."""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jmespath
import pytest

from sashiko.account.access.environment_access import Cell, Principal, permission_matrix
from sashiko.account.access.lake_governance import add_reader
from sashiko.account.access.policy_evaluation import Request, allows, denies, overlap, statements
from sashiko.errors import InputError
from tests.infra import never
from tests.infra.variants import settings_of
from tests.unit.account.small_lake import COLUMNS, ROLES, SmallLake

OBJECT = "arn:aws:s3:::sashiko-dev-curated/x"
ALLOW = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
DENY = {"Effect": "Deny", "Action": "s3:GetObject", "Resource": "*"}


@pytest.mark.parametrize(
    ("own", "boundary", "expected"),
    [
        ([ALLOW], None, True),
        ([ALLOW], [ALLOW], True),
        ([ALLOW], [ALLOW, DENY], False),
        ([ALLOW], [], False),
        ([ALLOW, DENY], [ALLOW], False),
        ([], [ALLOW], False),
    ],
)
def test_a_role_may_what_its_policies_allow_and_neither_they_nor_its_boundary_deny(
    own, boundary, expected
):
    role = Principal(
        name="broker",
        arn="arn:aws:iam::111122223333:role/sashiko-dev-broker",
        policy=statements({"Statement": own}),
        boundary=None if boundary is None else statements({"Statement": boundary}),
        trust=(),
    )
    assert role.may("s3:GetObject", OBJECT) == expected


ARN = "arn:aws:iam::111122223333:role/auditor"
ME = {"DataLakePrincipalIdentifier": ARN}
OTHER = {"DataLakePrincipalIdentifier": "arn:aws:iam::111122223333:role/other"}
QUERY = re.compile(r"--query '(DataLakeSettings \| merge\(@, {ReadOnlyAdmins[^']*)'")


@pytest.mark.parametrize("readers", [{}, {"ReadOnlyAdmins": [OTHER]}])
@pytest.mark.parametrize(
    "command", [add_reader(ARN), Path("docs/first-deploy.md").read_text()], ids=["doctor", "guide"]
)
def test_a_reader_joins_those_that_are_there(command, readers):
    (query,) = QUERY.findall(command)
    settings = {"DataLakeAdmins": [OTHER], **readers}
    changed = jmespath.search(query, {"DataLakeSettings": settings})
    assert changed == settings | {"ReadOnlyAdmins": [*readers.get("ReadOnlyAdmins", []), ME]}


READ = Request(
    action="s3:GetObject",
    resource="arn:aws:s3:::lake/people/*",
    context={"aws:principalarn": "arn:aws:iam::1:role/me", "aws:securetransport": "true"},
)


def policy(effect: str, **more: Any) -> Any:
    statement = {"Effect": effect, "Action": "s3:GetObject", "Resource": "*"} | more
    return statements({"Statement": {key: v for key, v in statement.items() if v is not None}})


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, True),
        ({"Action": "S3:get*"}, True),
        ({"Action": ["s3:PutObject"]}, False),
        ({"Action": None, "NotAction": "s3:Get*"}, False),
        ({"Action": None, "NotAction": ["s3:PutObject"]}, True),
        ({"Resource": "arn:aws:s3:::lake/people/2026/?"}, True),  # some of the objects
        ({"Resource": "arn:aws:s3:::lake/other/*"}, False),
        ({"Resource": None, "NotResource": "arn:aws:s3:::lake/*"}, False),
        ({"Resource": None, "NotResource": "arn:aws:s3:::lake/people/2026/*"}, True),
        ({"Condition": {"StringEquals": {"aws:PrincipalArn": "arn:aws:iam::1:role/me"}}}, True),
        ({"Condition": {"ArnLike": {"aws:PrincipalArn": ["arn:aws:iam::*:role/you"]}}}, False),
        ({"Condition": {"Bool": {"aws:SecureTransport": False}}}, False),
        ({"Condition": {"StringEquals": {"aws:PrincipalTag/x": "y"}}}, True),  # in doubt
        (
            {
                "Condition": {
                    "StringEquals": {"aws:PrincipalTag/x": "y"},
                    "StringLike": {"aws:PrincipalArn": "nobody"},
                }
            },
            False,
        ),
    ],
)
def test_allow(more, expected):
    assert allows(policy("Allow", **more), READ) == expected


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, True),
        ({"Resource": "arn:aws:s3:::lake/*"}, True),
        ({"Resource": "arn:aws:s3:::lake/people/2026/*"}, False),  # the other objects are left
        ({"Resource": None, "NotResource": "arn:aws:s3:::lake/people/2026/*"}, False),
        ({"Resource": None, "NotResource": "arn:aws:s3:::artifacts/*"}, True),
        ({"Condition": {"ArnNotEquals": {"aws:PrincipalArn": ["arn:aws:iam::1:role/me"]}}}, False),
        ({"Condition": {"ArnNotEquals": {"aws:PrincipalArn": ["arn:aws:iam::1:role/etl"]}}}, True),
        ({"Condition": {"StringNotEqualsIfExists": {"aws:SourceVpce": "vpce-1"}}}, False),
        ({"Condition": {"Null": {"aws:SourceVpce": "true"}}}, False),  # in doubt
        ({"Condition": {"Null": {"aws:PrincipalArn": "false"}}}, True),
    ],
)
def test_deny(more, expected):
    assert denies(policy("Deny", **more), READ) == expected


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"StringEquals": {"aws:PrincipalTag/x": "y"}}, False),
        ({"StringNotEquals": {"aws:PrincipalTag/x": "y"}}, True),
        ({"StringEqualsIfExists": {"aws:PrincipalTag/x": "y"}}, True),
        ({"StringEquals": {"aws:PrincipalArn": "arn:aws:iam::1:role/me"}}, True),
        ({"Null": {"aws:PrincipalTag/x": "true"}}, True),
        ({"Null": {"aws:PrincipalTag/x": "false"}}, False),
        ({"Null": {"aws:PrincipalArn": "true"}}, False),
        ({"Null": {"aws:PrincipalArn": "false"}}, True),
    ],
)
def test_a_complete_context_leaves_no_doubt(condition, holds):
    """A key that AWS does not find fails what must be equal, and holds what must not."""
    complete = replace(READ, complete=True)
    assert allows(policy("Allow", Condition=condition), complete) == holds
    assert denies(policy("Deny", Condition=condition), complete) == holds


@pytest.mark.parametrize(
    ("principal", "expected"),
    [
        ({"Principal": "*"}, True),
        ({"Principal": {"AWS": ["arn:aws:iam::1:role/me"]}}, True),
        ({"Principal": {"AWS": "arn:aws:iam::1:root", "Service": "glue.amazonaws.com"}}, False),
        ({"NotPrincipal": {"AWS": "arn:aws:iam::1:role/me"}}, False),
        ({"NotPrincipal": {"AWS": "arn:aws:iam::1:role/another"}}, True),
    ],
)
def test_whom_a_resources_policy_means(principal, expected):
    assert policy("Allow", **principal)[0].is_for("arn:aws:iam::1:role/me") == expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("a*c", "ab*", True),
        ("*", "", True),
        ("a?c", "abc", True),
        ("a*", "b*", False),
        ("x/*/z", "x/y/*", True),
        ("a[b]", "ab", False),
    ],
)
def test_patterns_that_meet(one, other, expected):
    assert overlap(one, other) == expected


Break = Callable[[SmallLake], None]
CLASSES = {("people", column): sensitivity for column, sensitivity in COLUMNS.items()}


def test_what_must_never_be_is_not(tmp_path):
    environment = SmallLake().read(tmp_path)
    assert never.ml_reading_pii(environment, CLASSES) == set()
    assert never.others_reading_sensitive(environment, CLASSES) == set()
    assert never.ways_of_training_to_the_lake(environment) == set()
    assert never.registering_and_approving(environment) == set()


def _broker_reads_sensitive(lake: SmallLake) -> None:
    lake.properties("Grantbroker")["Resource"] = lake.by_tags("none", "sensitive")


def _broker_reads_pii(lake: SmallLake) -> None:
    lake.properties("Grantbroker")["Resource"] = lake.by_tags("none", "pii")


def _filter_shows_pii(lake: SmallLake) -> None:
    lake.properties("Filter")["ColumnNames"] = ["id", "name"]


def _bucket_is_open_to_the_scientist(lake: SmallLake) -> None:
    lake.allow("data-scientist", ["s3:Get*"], ["*"])
    del lake.resources["CuratedPolicy"]


def _training_starts_jobs_as_etl(lake: SmallLake) -> None:
    lake.allow("training", ["iam:PassRole"], [lake.role("etl")])


def _bucket_policy_exempts_the_broker(lake: SmallLake) -> None:
    lake.allow("broker", ["s3:GetObject"], [f"arn:aws:s3:::{lake.curated}/people/as_of=2026*"])
    statement = lake.properties("CuratedPolicy")["PolicyDocument"]["Statement"][0]
    statement["Condition"]["ArnNotEquals"]["aws:PrincipalArn"].append(lake.role("broker"))


def _bucket_policy_allows_the_scientist(lake: SmallLake) -> None:
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": lake.role("data-scientist")},
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{lake.curated}/*",
    }
    lake.properties("CuratedPolicy")["PolicyDocument"]["Statement"] = [statement]


def _training_reads_objects(lake: SmallLake) -> None:
    lake.allow("training", ["s3:GetObject"], [f"arn:aws:s3:::{lake.curated}/quarantine/*"])
    del lake.resources["CuratedPolicy"]


def _training_queries(lake: SmallLake) -> None:
    lake.allow("training", ["glue:*", "athena:*", "lakeformation:GetDataAccess"], ["*"])
    lake.grant("More", "training", "SELECT", lake.by_tags("none"))


def _training_becomes_etl(lake: SmallLake) -> None:
    trust = lake.properties("Roleetl")["AssumeRolePolicyDocument"]
    trust["Statement"][0]["Principal"] = {"AWS": lake.role("training")}


def _training_becomes_etl_by_the_account(lake: SmallLake) -> None:
    _training_becomes_etl(lake)
    trust = lake.properties("Roleetl")["AssumeRolePolicyDocument"]
    trust["Statement"][0]["Principal"] = {"AWS": {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:root"}}
    lake.allow("training", ["sts:AssumeRole"], ["*"])


def allowing(role: str, action: str) -> Break:
    return lambda lake: lake.allow(role, [action], ["*"])


ml_reading_pii = partial(never.ml_reading_pii, classes=CLASSES)
others_reading_sensitive = partial(never.others_reading_sensitive, classes=CLASSES)


@pytest.mark.parametrize(
    ("rule", "broken"),
    [
        (ml_reading_pii, _broker_reads_pii),
        (ml_reading_pii, _filter_shows_pii),
        (ml_reading_pii, _bucket_is_open_to_the_scientist),
        (ml_reading_pii, _bucket_policy_exempts_the_broker),
        (ml_reading_pii, _bucket_policy_allows_the_scientist),
        (others_reading_sensitive, _broker_reads_sensitive),
        (others_reading_sensitive, _bucket_is_open_to_the_scientist),
        (never.ways_of_training_to_the_lake, _training_reads_objects),
        (never.ways_of_training_to_the_lake, _training_queries),
        (never.ways_of_training_to_the_lake, _training_becomes_etl),
        (never.ways_of_training_to_the_lake, _training_becomes_etl_by_the_account),
        (never.ways_of_training_to_the_lake, _training_starts_jobs_as_etl),
        (never.registering_and_approving, allowing("registrar", "sagemaker:UpdateModelPackage")),
        (never.registering_and_approving, allowing("registrar", "sagemaker:*ModelPackage")),
        (never.registering_and_approving, allowing("approver", "sagemaker:CreateModelPackage")),
    ],
)
def test_what_must_never_be_is_detected(tmp_path, rule, broken):
    lake = SmallLake()
    broken(lake)
    assert rule(lake.read(tmp_path))


def _two_environments(tmp_path: Path, *, keyed: bool) -> set[str]:
    """Dev's roles, whose grants carry their environment or not, before prod's lake."""
    dev = SmallLake()
    if not keyed:
        for role in ("broker", "bias-evaluator"):
            expression = dev.by_tags("none", environment="")
            dev.properties(f"Grant{role}")["Resource"] = expression
    prod = SmallLake(settings_of("prod").model_copy(update={"account": dev.settings.account}))
    prod.properties("TagsDatabase")["LFTags"][1]["TagValues"] = ["prod"]
    for role in ("broker", "bias-evaluator"):
        prod.properties(f"Grant{role}")["Resource"] = prod.by_tags("none", environment="prod")
    for policy in (prod, dev):  # IAM that does not stop anybody: the tags alone must do it
        policy.allow("broker", ["glue:*"], ["*"])
    return never.reading_elsewhere(dev.read(tmp_path / "dev"), prod.read(tmp_path / "prod"))


def test_no_dev_role_reads_prods_lake(tmp_path):
    assert _two_environments(tmp_path, keyed=True) == set()
    assert _two_environments(tmp_path, keyed=False) == {"broker"}


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
