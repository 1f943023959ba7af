"""`sashiko env drift` of a deployed environment, with differences made by hand.

Each is taken away again by the command that the audit prints, where it prints one.
"""

import json
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from functools import partial
from typing import Any

import pytest

from sashiko.account.access.lake_governance import securable_json
from tests.infra.contracts import mortgages
from verification.deploy.assembly import bootstrap, synthesize
from verification.deploy.governed import Governed
from verification.deploy.process import Emulator, running

ACCOUNT = "111122223333"
EVERYBODY = {"DataLakePrincipalIdentifier": "IAM_ALLOWED_PRINCIPALS"}
OPEN = [{"Principal": EVERYBODY, "Permissions": ["ALL"]}]
EXEC = f"arn:aws:iam::{ACCOUNT}:role/cdk-sashiko-cfn-exec-role-{ACCOUNT}-us-east-1"
DEPLOY = ("deploy", "--all", "--require-approval=never")


def grant(lake: Governed, principal: str, resource: Any, *permissions: str, **more: Any) -> None:
    lake.formation.grant_permissions(
        Principal={"DataLakePrincipalIdentifier": principal},
        Resource=resource,
        Permissions=list(permissions),
        **more,
    )


def put(lake: Governed, **change: Any) -> None:
    lake.put_settings(**change)


def admins(*arns: str) -> list[dict[str, str]]:
    return [{"DataLakePrincipalIdentifier": arn} for arn in arns]


def complaints(lake: Governed) -> dict[str, Any]:
    return {"DatabaseName": lake.database, "Name": "complaints"}


def first_location(lake: Governed) -> str:
    return min(lake.environment.governance.locations)


def deregister(lake: Governed) -> None:
    lake.formation.deregister_resource(ResourceArn=first_location(lake))


def make_role(lake: Governed, name: str) -> None:
    iam = lake.emulator.client("iam")
    if name not in {role["RoleName"] for role in iam.list_roles()["Roles"]}:
        iam.create_role(RoleName=name, AssumeRolePolicyDocument="{}")


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """A bootstrapped account with AWS's open defaults."""
    with (
        running(ACCOUNT, tmp_path_factory.mktemp("home")) as instance,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in instance.environment().items():
            patch.setenv(name, value)
        bootstrap(instance, tmp_path_factory.mktemp("bootstrap"), "dev")
        yield instance


def governed(
    emulator: Emulator, variant: str, tmp_path_factory: pytest.TempPathFactory
) -> Governed:
    """An environment whose data scientists see only some rows of complaints."""
    folder = synthesize(tmp_path_factory.mktemp(variant), variant, contract=mortgages())
    return Governed(emulator=emulator, variant=variant, folder=folder)


@pytest.fixture(scope="module")
def open_account(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Governed:
    """A lake before its deploy, in an account with defaults that the stacks do not manage."""
    lake = governed(emulator, "account_off", tmp_path_factory)
    for check in lake.failed():
        if check.name.startswith("LF-Tag"):
            lake.run(check.fix)
    lake.put_settings(DataLakeAdmins=[{"DataLakePrincipalIdentifier": EXEC}])
    return lake


@pytest.fixture(scope="module")
def closed_account(open_account: Governed) -> Governed:
    """The same lake, deployed once the defaults are emptied."""
    check = next(check for check in open_account.failed() if check.name == "default permissions")
    open_account.run(check.fix)
    open_account.deploy()
    return open_account


@pytest.fixture(scope="module")
def lake(closed_account: Governed, tmp_path_factory: pytest.TempPathFactory) -> Governed:
    """The lake with the account's own stack beside it, which takes the LF-Tags over."""
    lake_account = governed(closed_account.emulator, "dev", tmp_path_factory)
    make_role(closed_account, "other-team")
    other = {"DataLakePrincipalIdentifier": f"arn:aws:iam::{ACCOUNT}:role/other-team"}
    settings = closed_account.formation.get_data_lake_settings()["DataLakeSettings"]
    closed_account.put_settings(DataLakeAdmins=[other], ReadOnlyAdmins=[other])
    lake_account.deploy("--import-existing-resources")
    # The stack adds to the existing settings.
    put = closed_account.formation.get_data_lake_settings()["DataLakeSettings"]
    own_role = {"DataLakePrincipalIdentifier": EXEC}
    assert put == settings | {"DataLakeAdmins": [other, own_role], "ReadOnlyAdmins": [other]}
    closed_account.put_settings(DataLakeAdmins=[own_role], ReadOnlyAdmins=[])
    # An import changes nothing: a tag that was made only for `dev` still lacks `prod`.
    for item in lake_account.audit():
        if item.resource == "LF-Tag sashiko-environment":
            lake_account.run(item.fix)
    return lake_account


@pytest.mark.slow
def test_an_open_account_stops_the_deploy_before_anything_is_granted(
    open_account: Governed,
) -> None:
    """Pitfall 4: in an account with open defaults a new database is open to everybody."""
    assert [check.name for check in open_account.failed()] == ["default permissions"]

    output = " ".join(
        open_account.emulator.cdk(*DEPLOY, folder=open_account.folder, status=1).split()
    )

    assert "sashiko_dev: open to everybody" in output
    assert "aws lakeformation revoke-permissions --permissions ALL" in output
    assert "sashiko env doctor --env dev" in output
    grants = open_account.formation.list_permissions()["PrincipalResourcePermissions"]
    assert grants == []  # the database went with the rollback


@pytest.mark.slow
def test_an_open_account_is_closed_by_the_commands_that_are_printed(
    closed_account: Governed,
) -> None:
    """Pitfall 4: IAM_ALLOWED_PRINCIPALS keeps its grants when the defaults are emptied."""
    assert closed_account.audit() == []
    closed_account.put_settings(
        CreateDatabaseDefaultPermissions=OPEN, CreateTableDefaultPermissions=OPEN
    )
    wildcard = {"DatabaseName": closed_account.database, "TableWildcard": {}}
    grant(
        closed_account,
        "IAM_ALLOWED_PRINCIPALS",
        {"Database": {"Name": closed_account.database}},
        "ALL",
    )
    for resource in ({"Table": wildcard}, {"Table": complaints(closed_account)}):
        grant(closed_account, "IAM_ALLOWED_PRINCIPALS", resource, "ALL")

    differences = closed_account.audit()

    assert [item.resource for item in differences] == [
        "default permissions of a new database",
        "default permissions of a new table",
        "grant of ALL on Database sashiko_dev to IAM_ALLOWED_PRINCIPALS",
        "grant of ALL on Table sashiko_dev.* to IAM_ALLOWED_PRINCIPALS",
        "grant of ALL on Table sashiko_dev.complaints to IAM_ALLOWED_PRINCIPALS",
    ]
    for item in differences:
        closed_account.run(item.fix)
    assert closed_account.audit() == []


def test_what_was_deployed_has_no_difference(lake: Governed) -> None:
    assert lake.environment.governance.filters
    assert lake.audit() == []


def put_tag(lake: Governed, column: str, *values: str) -> None:
    """Gives a column another sensitivity; without a value, none."""
    resource = {"TableWithColumns": {**complaints(lake), "ColumnNames": [column]}}
    tags = [{"TagKey": "sashiko-sensitivity", "TagValues": list(values) or ["sensitive"]}]
    verb = "add_lf_tags_to" if values else "remove_lf_tags_from"
    getattr(lake.formation, f"{verb}_resource")(Resource=resource, LFTags=tags)


def put_filter(lake: Governed, verb: str, **change: Any) -> None:
    (one,) = lake.formation.list_data_cells_filter(Table=complaints(lake))["DataCellsFilters"]
    if verb == "delete":
        key = ("TableCatalogId", "DatabaseName", "TableName", "Name")
        lake.formation.delete_data_cells_filter(**{name: one[name] for name in key})
    else:
        more = [*one["ColumnNames"], *change.pop("more", ())]
        data = {**one, "ColumnNames": more, **change}
        getattr(lake.formation, f"{verb}_data_cells_filter")(TableData=data)


def grant_to_another_bootstrap(lake: Governed) -> None:
    other = f"cdk-other-cfn-exec-role-{ACCOUNT}-us-east-1"
    make_role(lake, other)
    resource = {"Database": {"Name": lake.database}}
    arn = f"arn:aws:iam::{ACCOUNT}:role/{other}"
    grant(lake, arn, resource, "ALL", PermissionsWithGrantOption=["ALL"])


def grant_to_training(lake: Governed) -> None:
    policies = [item for item in lake.environment.governance.grants if item.permission == "SELECT"]
    tag_policy = next(item.securable for item in policies if item.securable.kind == "LFTagPolicy")
    grant(lake, lake.role("training"), securable_json(tag_policy, account=ACCOUNT), "SELECT")


def revoke_from_broker(lake: Governed) -> None:
    broker = next(
        item
        for item in lake.environment.governance.grants
        if item.principal == lake.role("broker") and item.permission == "SELECT"
    )
    lake.formation.revoke_permissions(
        Principal={"DataLakePrincipalIdentifier": broker.principal},
        Resource=securable_json(broker.securable, account=ACCOUNT),
        Permissions=["SELECT"],
    )


def update_location(lake: Governed, role: str, **change: Any) -> None:
    arn = lake.role(role)
    lake.formation.update_resource(ResourceArn=first_location(lake), RoleArn=arn, **change)


def opt_in(lake: Governed) -> None:
    lake.formation.create_lake_formation_opt_in(
        Principal={"DataLakePrincipalIdentifier": lake.role("broker")},
        Resource={"Table": {"CatalogId": ACCOUNT, **complaints(lake)}},
    )


ALL_ROWS = {"RowFilter": {"AllRowsWildcard": {}}}
MAY_PASS_ON = {"PermissionsWithGrantOption": ["INSERT"]}
WITH_COLUMNS = "TableWithColumns"
# What somebody changes by hand; where it returns a function, that undoes it.
CASES: list[tuple[Callable[[Governed], Any], str, str, str]] = [
    (lambda lake: put(lake, DataLakeAdmins=[]),
     "missing", "data-lake administrator *cfn-exec-role*", "put-data-"),
    (lambda lake: put(lake, DataLakeAdmins=admins(EXEC, lake.role("data-scientist"))),
     "extra", "data-lake administrator *-data-scientist", "put-data-"),
    (lambda lake: put(lake, CreateTableDefaultPermissions=OPEN),
     "differs", "default permissions of a new table", "put-data-lake-"),
    (lambda lake: put(lake, AllowExternalDataFiltering=True),
     "differs", "* AllowExternalDataFiltering", "put-data-lake-"),
    (lambda lake: put(lake, AllowFullTableExternalDataAccess=True),
     "differs", "* AllowFullTableExternalD*", "put-data-lake-"),
    (lambda lake: lake.formation.update_lf_tag(
        TagKey="sashiko-sensitivity", TagValuesToAdd=["secret"]),
     "differs", "LF-Tag *-sensitivity", "--tag-values-to-delete secret"),
    (lambda lake: put_tag(lake, "customer_gender", "none"),
     "differs", "LF-Tag * on *.customer_gender", "add-lf-tags"),
    (lambda lake: put_tag(lake, "customer_gender"),
     "missing", "LF-Tag * on *.customer_gender", "add-lf-tags"),
    (lambda lake: put_tag(lake, "customer_name", "none"),
     "extra", "LF-Tag * on *.customer_name", "remove-lf-tags"),
    (lambda lake: grant(lake, "IAM_ALLOWED_PRINCIPALS", {"Table": complaints(lake)}, "ALL"),
     "extra", "grant of ALL on Table * to IAM_*", "revoke-permissions"),
    (grant_to_training, "extra", "grant of SELECT on LFTagPolicy *-training", "revoke-"),
    (lambda lake: grant(
        lake, EXEC, {WITH_COLUMNS: {**complaints(lake), "ColumnNames": ["complaint_text"]}},
        "SELECT"),
     "extra", "grant of SELECT * to *-cfn-exec-role-*", "revoke-"),
    (lambda lake: grant(
        lake, EXEC, {WITH_COLUMNS: {**complaints(lake), "ColumnWildcard": {}}}, "SELECT"),
     "extra", "grant of SELECT * to *-cfn-ex*", "revoke-"),
    (lambda lake: grant(
        lake, EXEC, {"Table": {"DatabaseName": lake.database, "TableWildcard": {}}}, "INSERT",
        **MAY_PASS_ON),
     "extra", "grant of INSERT on *", "revoke-"),
    (grant_to_another_bootstrap, "extra", "grant of ALL on * to *cdk-other-*", "revoke-"),
    (lambda lake: grant(
        lake, lake.role("etl"), {"Table": complaints(lake)}, "INSERT", **MAY_PASS_ON),
     "extra", "grant of INSERT * which it may pass on", "grant-permis"),
    (revoke_from_broker, "missing", "grant of SELECT on LFTagPolicy *", "grant-permissions"),
    (deregister, "missing", "registered location arn:*", "register-resource"),
    (lambda lake: update_location(lake, "etl"),
     "differs", "registered location *", "update-resource"),
    (lambda lake: update_location(lake, "lake-formation", HybridAccessEnabled=True),
     "differs", "registered location *", "--no-hybrid-access"),
    (lambda lake: lake.formation.register_resource(
        ResourceArn=f"arn:aws:s3:::sashiko-dev-snapshots-{ACCOUNT}-us-east-1",
        RoleArn=lake.role("lake-formation")),
     "extra", "registered location *-snapshots-*", "deregister-resource"),
    (opt_in, "extra", "opt-in of *-broker on Table *.complaints", "delete-lake-format"),
    (lambda lake: put_filter(lake, "update", **ALL_ROWS),
     "differs", "data-cells filter *", "update-data-cells"),
    (lambda lake: put_filter(lake, "update", more=["customer_name"]),
     "differs", "data-cells filter *", "update-data-cells"),
    (lambda lake: put_filter(lake, "delete"),
     "missing", "data-cells filter *", "create-data-cells"),
    (lambda lake: put_filter(lake, "create", Name="mine", **ALL_ROWS),
     "extra", "data-cells filter *.mine", "delete-data-cells"),
    (lambda lake: lake.put_columns(
        lambda columns: columns.append({"Name": "phone", "Type": "string"})),
     "extra", "column sashiko_dev.complaints.phone", "update-table"),
    (lambda lake: lake.put_columns(lambda columns: columns[0].update(Type="bigint")),
     "differs", "column *.complaint_id", "update-table"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "kind", "resource", "fix"), CASES)
def test_a_difference_made_by_hand_is_listed_with_its_fix(
    lake: Governed, change: Callable[[Governed], Any], kind: str, resource: str, fix: str
) -> None:
    undo = change(lake)

    differences = lake.audit()

    # Fixed before anything is asserted, so that one failure does not become many.
    for mend in [undo] if callable(undo) else [partial(lake.run, item.fix) for item in differences]:
        mend()
    assert lake.audit() == []
    (difference,) = differences
    assert difference.kind == kind
    assert fnmatch(difference.resource, resource), difference.resource
    assert fix in difference.fix


@pytest.mark.parametrize(
    ("change", "resource", "detail"),
    [
        ({"ReadOnlyAdmins": [EVERYBODY]}, "data-lake setting ReadOnlyAdmins", "IAM_ALLOWED"),
        ({"TrustedResourceOwners": ["999988887777"]}, "* TrustedResourceOwners", "99998888"),
        ({"Parameters": {"CROSS_ACCOUNT_VERSION": "1"}}, "* Parameters", "VERSION=1"),
    ],
)
def test_what_another_team_may_have_set_is_a_note(
    lake: Governed, change: dict[str, Any], resource: str, detail: str
) -> None:
    lake.put_settings(**change)
    (note,) = lake.audit()
    lake.run(note.fix)
    assert lake.audit() == []
    assert note.kind == "note"
    assert fnmatch(note.resource, resource)
    assert detail in note.detail


def test_what_belongs_to_others_in_the_account_is_left_alone(lake: Governed) -> None:
    """Another project's tags, tables and grants; its administrators are shown, as a note."""
    formation, glue = lake.formation, lake.glue
    make_role(lake, "other-team")
    other = f"arn:aws:iam::{ACCOUNT}:role/other-team"
    admins = [{"DataLakePrincipalIdentifier": admin} for admin in (EXEC, other)]
    undo = lake.put_settings(DataLakeAdmins=admins)
    formation.create_lf_tag(TagKey="team", TagValues=["a"])
    glue.create_database(DatabaseInput={"Name": "theirs"})
    formation.register_resource(ResourceArn="arn:aws:s3:::theirs", RoleArn=other)
    prod = {"TagKey": "sashiko-environment", "TagValues": ["prod"]}
    policy = {"CatalogId": ACCOUNT, "ResourceType": "TABLE", "Expression": [prod]}
    for resource in ({"LFTagPolicy": policy}, {"Database": {"Name": "theirs"}}):
        grant(lake, other, resource, "DESCRIBE")

    output = lake.emulator.sashiko("env", "drift", "--env", "dev", folder=lake.folder)

    undo()
    assert lake.audit() == []
    assert f"note     data-lake administrator {other}" in output
    assert "no differences, 1 note" in output


def test_a_creators_own_rights_are_no_difference(lake: Governed) -> None:
    """Lake Formation gives a creator grantable permissions on its resources implicitly."""
    database = {"Name": lake.database}
    all_columns = complaints(lake) | {"ColumnWildcard": {}}
    grants = [
        ({"Database": database}, ["ALL"]),
        ({"Table": complaints(lake)}, ["ALL", "INSERT"]),
        ({"TableWithColumns": all_columns}, ["SELECT"]),
    ]
    for resource, permissions in grants:
        grant(lake, EXEC, resource, *permissions, PermissionsWithGrantOption=permissions)

    assert lake.audit() == []

    for resource, permissions in grants:
        lake.formation.revoke_permissions(
            Principal={"DataLakePrincipalIdentifier": EXEC},
            Resource=resource,
            Permissions=permissions,
            PermissionsWithGrantOption=permissions,
        )


def test_the_command_prints_each_difference_and_ends_with_4(lake: Governed) -> None:
    deregister(lake)

    command = partial(lake.emulator.sashiko, "env", "drift", "--env", "dev", folder=lake.folder)
    text = command(status=4)
    machine = command("--json", status=4)

    assert f"missing  registered location {first_location(lake)}" in text
    assert "fix: aws lakeformation register-resource" in text
    assert text.endswith("\n1 difference\n")
    (difference,) = json.loads(machine[machine.index("[") :])  # after the readers, on stderr
    assert difference["kind"] == "missing"
    lake.run(difference["fix"])
    assert command().endswith("\nno differences\n")


@pytest.mark.slow
def test_a_destroyed_environment_is_deployed_again_as_the_doctor_says(lake: Governed) -> None:
    """The LF-Tags outlive every environment; it comes last, because it destroys the lake."""
    command = partial(lake.emulator.sashiko, folder=lake.folder)
    command("env", "destroy-data", "--env", "dev", "--yes")
    lake.emulator.cdk("destroy", "--all", "--force", folder=lake.folder)
    assert {"database sashiko_dev", "table sashiko_dev.complaints"} <= {
        item.resource for item in lake.audit() if item.kind == "missing"
    }

    lake.put_repository()
    output = command("env", "doctor", "--env", "dev", status=4)

    assert "sashiko-environment" in output
    assert "cdk import" not in output
    assert "make deploy ENV=dev ARGS=--import-existing-resources" in output
    lake.deploy("--import-existing-resources")
    assert lake.audit() == lake.failed() == []
