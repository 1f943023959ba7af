"""`sashiko audit` of an environment that the command line deployed, with differences made by hand.

Each is taken away again by the command that the audit prints, where it prints one.
"""

import json
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from functools import partial
from typing import Any

import pytest

from tests.infra.contracts import mortgages
from verification.deploy import by_hand
from verification.deploy.assembly import bootstrap, synthesize
from verification.deploy.governed import Governed
from verification.deploy.process import Emulator, running

DEPLOY = ("deploy", "--all", "--require-approval=never")


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """A bootstrapped account with AWS's open defaults."""
    with (
        running(by_hand.ACCOUNT, tmp_path_factory.mktemp("home")) as instance,
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
    lake.put_settings(DataLakeAdmins=[{"DataLakePrincipalIdentifier": by_hand.EXEC}])
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
    by_hand.make_role(closed_account, "other-team")
    other = {"DataLakePrincipalIdentifier": f"arn:aws:iam::{by_hand.ACCOUNT}:role/other-team"}
    settings = closed_account.formation.get_data_lake_settings()["DataLakeSettings"]
    closed_account.put_settings(DataLakeAdmins=[other], ReadOnlyAdmins=[other])
    lake_account.deploy("--import-existing-resources")
    # The stack adds to the existing settings.
    put = closed_account.formation.get_data_lake_settings()["DataLakeSettings"]
    own_role = {"DataLakePrincipalIdentifier": by_hand.EXEC}
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
    assert "sashiko doctor --env dev" in output
    grants = open_account.formation.list_permissions()["PrincipalResourcePermissions"]
    assert grants == []  # the database went with the rollback


@pytest.mark.slow
def test_an_open_account_is_closed_by_the_commands_that_are_printed(
    closed_account: Governed,
) -> None:
    """Pitfall 4: IAM_ALLOWED_PRINCIPALS keeps its grants when the defaults are emptied."""
    assert closed_account.audit() == []
    closed_account.put_settings(
        CreateDatabaseDefaultPermissions=by_hand.OPEN, CreateTableDefaultPermissions=by_hand.OPEN
    )
    wildcard = {"DatabaseName": closed_account.database, "TableWildcard": {}}
    by_hand.grant(
        closed_account,
        "IAM_ALLOWED_PRINCIPALS",
        {"Database": {"Name": closed_account.database}},
        "ALL",
    )
    for resource in ({"Table": wildcard}, {"Table": by_hand.complaints(closed_account)}):
        by_hand.grant(closed_account, "IAM_ALLOWED_PRINCIPALS", resource, "ALL")

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


CASES = [
    (by_hand.admin_removed, "missing", "data-lake administrator *cfn-exec-role*", "put-data-"),
    (by_hand.person_made_admin, "extra", "data-lake administrator *-data-scientist", "put-data-"),
    (by_hand.defaults_opened, "differs", "default permissions of a new table", "put-data-lake-"),
    (by_hand.engines_let_in, "differs", "* AllowExternalDataFiltering", "put-data-lake-"),
    (by_hand.engines_let_in_wholly, "differs", "* AllowFullTableExternalD*", "put-data-lake-"),
    (by_hand.tag_value_added, "differs", "LF-Tag *-sensitivity", "--tag-values-to-delete secret"),
    (by_hand.column_tag_changed, "differs", "LF-Tag * on *.customer_gender", "add-lf-tags"),
    (by_hand.column_tag_removed, "missing", "LF-Tag * on *.customer_gender", "add-lf-tags"),
    (by_hand.pii_column_tagged, "extra", "LF-Tag * on *.customer_name", "remove-lf-tags"),
    (by_hand.everybody_granted, "extra", "grant of ALL on Table * to IAM_*", "revoke-permissions"),
    (by_hand.training_granted, "extra", "grant of SELECT on LFTagPolicy *-training", "revoke-"),
    (by_hand.deployer_granted, "extra", "grant of SELECT * to *-cfn-exec-role-*", "revoke-"),
    (by_hand.deployer_granted_whole_table, "extra", "grant of SELECT * to *-cfn-ex*", "revoke-"),
    (by_hand.deployer_granted_what_it_did_not_make, "extra", "grant of INSERT on *", "revoke-"),
    (by_hand.another_bootstrap_granted, "extra", "grant of ALL on * to *cdk-other-*", "revoke-"),
    (by_hand.etl_may_pass_on, "extra", "grant of INSERT * which it may pass on", "grant-permis"),
    (by_hand.broker_revoked, "missing", "grant of SELECT on LFTagPolicy *", "grant-permissions"),
    (by_hand.location_deregistered, "missing", "registered location arn:*", "register-resource"),
    (by_hand.location_with_another_role, "differs", "registered location *", "update-resource"),
    (by_hand.location_made_hybrid, "differs", "registered location *", "--no-hybrid-access"),
    (by_hand.location_added, "extra", "registered location *-snapshots-*", "deregister-resource"),
    (by_hand.opted_in, "extra", "opt-in of *-broker on Table *.complaints", "delete-lake-format"),
    (by_hand.filter_shows_another_row, "differs", "data-cells filter *", "update-data-cells"),
    (by_hand.filter_shows_another_column, "differs", "data-cells filter *", "update-data-cells"),
    (by_hand.filter_deleted, "missing", "data-cells filter *", "create-data-cells"),
    (by_hand.filter_added, "extra", "data-cells filter *.mine", "delete-data-cells"),
    (by_hand.column_added, "extra", "column sashiko_dev.complaints.phone", "update-table"),
    (by_hand.column_of_another_type, "differs", "column *.complaint_id", "update-table"),
]


@pytest.mark.parametrize(("change", "kind", "resource", "fix"), CASES)
def test_a_difference_made_by_hand_is_listed_with_its_fix(
    lake: Governed, change: Callable[[Governed], Any], kind: str, resource: str, fix: str
) -> None:
    undo = change(lake)

    differences = lake.audit()

    # Fixed before anything is asserted, so that one failure does not become many.
    for mend in [undo] if undo else [partial(lake.run, item.fix) for item in differences]:
        mend()
    assert lake.audit() == []
    (difference,) = differences
    assert difference.kind == kind
    assert fnmatch(difference.resource, resource), difference.resource
    assert fix in difference.fix


@pytest.mark.parametrize(
    ("change", "resource", "detail"),
    [
        (
            {"ReadOnlyAdmins": [by_hand.EVERYBODY]},
            "data-lake setting ReadOnlyAdmins",
            "IAM_ALLOWED",
        ),
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
    by_hand.make_role(lake, "other-team")
    other = f"arn:aws:iam::{by_hand.ACCOUNT}:role/other-team"
    admins = [{"DataLakePrincipalIdentifier": admin} for admin in (by_hand.EXEC, other)]
    undo = lake.put_settings(DataLakeAdmins=admins)
    formation.create_lf_tag(TagKey="team", TagValues=["a"])
    glue.create_database(DatabaseInput={"Name": "theirs"})
    formation.register_resource(ResourceArn="arn:aws:s3:::theirs", RoleArn=other)
    prod = {"TagKey": "sashiko-environment", "TagValues": ["prod"]}
    policy = {"CatalogId": by_hand.ACCOUNT, "ResourceType": "TABLE", "Expression": [prod]}
    for resource in ({"LFTagPolicy": policy}, {"Database": {"Name": "theirs"}}):
        by_hand.grant(lake, other, resource, "DESCRIBE")

    output = lake.emulator.sashiko("audit", "--env", "dev", folder=lake.folder)

    undo()
    assert lake.audit() == []
    assert f"note     data-lake administrator {other}" in output
    assert "no differences, 1 note" in output


def test_a_creators_own_rights_are_no_difference(lake: Governed) -> None:
    """Lake Formation gives a creator grantable permissions on its resources implicitly."""
    database = {"Name": lake.database}
    all_columns = by_hand.complaints(lake) | {"ColumnWildcard": {}}
    grants = [
        ({"Database": database}, ["ALL"]),
        ({"Table": by_hand.complaints(lake)}, ["ALL", "INSERT"]),
        ({"TableWithColumns": all_columns}, ["SELECT"]),
    ]
    for resource, permissions in grants:
        by_hand.grant(
            lake, by_hand.EXEC, resource, *permissions, PermissionsWithGrantOption=permissions
        )

    assert lake.audit() == []

    for resource, permissions in grants:
        lake.formation.revoke_permissions(
            Principal={"DataLakePrincipalIdentifier": by_hand.EXEC},
            Resource=resource,
            Permissions=permissions,
            PermissionsWithGrantOption=permissions,
        )


def test_the_command_prints_each_difference_and_ends_with_4(lake: Governed) -> None:
    by_hand.location_deregistered(lake)

    command = partial(lake.emulator.sashiko, "audit", "--env", "dev", folder=lake.folder)
    text = command(status=4)
    machine = command("--json", status=4)

    assert f"missing  registered location {by_hand.first_location(lake)}" in text
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
    command("empty", "--env", "dev", "--yes")
    lake.emulator.cdk("destroy", "--all", "--force", folder=lake.folder)
    assert {"database sashiko_dev", "table sashiko_dev.complaints"} <= {
        item.resource for item in lake.audit() if item.kind == "missing"
    }

    lake.put_repository()
    output = command("doctor", "--env", "dev", status=4)

    assert "sashiko-environment" in output
    assert "cdk import" not in output
    assert "make deploy ENV=dev ARGS=--import-existing-resources" in output
    lake.deploy("--import-existing-resources")
    assert lake.audit() == lake.failed() == []
