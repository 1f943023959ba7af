"""`sashiko audit` of an environment that the command line deployed, with differences by hand.

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
    """A bootstrapped account, open as AWS hands it over."""
    with (
        running(by_hand.ACCOUNT, tmp_path_factory.mktemp("home")) as found,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in found.environment().items():
            patch.setenv(name, value)
        bootstrap(found, tmp_path_factory.mktemp("bootstrap"), "dev")
        yield found


def governed(
    emulator: Emulator, variant: str, tmp_path_factory: pytest.TempPathFactory
) -> Governed:
    """An environment whose data scientists see some rows of complaints alone."""
    folder = synthesize(tmp_path_factory.mktemp(variant), variant, contract=mortgages())
    return Governed(emulator=emulator, variant=variant, folder=folder)


@pytest.fixture(scope="module")
def opened(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Governed:
    """A lake to be, in an account that the stacks do not own and whose defaults nobody emptied."""
    lake = governed(emulator, "account_off", tmp_path_factory)
    for check in lake.failed():
        if check.name.startswith("LF-Tag"):
            lake.run(check.fix)
    lake.put_settings(DataLakeAdmins=[{"DataLakePrincipalIdentifier": by_hand.EXEC}])
    return lake


@pytest.fixture(scope="module")
def closed(opened: Governed) -> Governed:
    """The same lake, deployed once the defaults are emptied."""
    check = next(check for check in opened.failed() if check.name == "default permissions")
    opened.run(check.fix)
    opened.deploy()
    return opened


@pytest.fixture(scope="module")
def lake(closed: Governed, tmp_path_factory: pytest.TempPathFactory) -> Governed:
    """The lake with the account's own stack beside it, which takes the LF-Tags over."""
    found = governed(closed.emulator, "dev", tmp_path_factory)
    by_hand.make_role(closed, "other-team")
    other = {"DataLakePrincipalIdentifier": f"arn:aws:iam::{by_hand.ACCOUNT}:role/other-team"}
    settings = closed.formation.get_data_lake_settings()["DataLakeSettings"]
    closed.put_settings(DataLakeAdmins=[other], ReadOnlyAdmins=[other])
    found.deploy("--import-existing-resources")
    # The stack adds to what is there.
    put = closed.formation.get_data_lake_settings()["DataLakeSettings"]
    own = {"DataLakePrincipalIdentifier": by_hand.EXEC}
    assert put == settings | {"DataLakeAdmins": [other, own], "ReadOnlyAdmins": [other]}
    closed.put_settings(DataLakeAdmins=[own], ReadOnlyAdmins=[])
    # An import changes nothing: a tag that somebody made for `dev` alone still lacks `prod`.
    for item in found.audit():
        if item.resource == "LF-Tag sashiko-environment":
            found.run(item.fix)
    return found


@pytest.mark.slow
def test_an_open_account_stops_the_deploy_before_anything_is_granted(opened: Governed) -> None:
    """Pitfall 4: a new database of an account that nobody closed is everybody's."""
    assert [check.name for check in opened.failed()] == ["default permissions"]

    said = " ".join(opened.emulator.cdk(*DEPLOY, folder=opened.folder, status=1).split())

    assert "sashiko_dev: open to everybody" in said
    assert "aws lakeformation revoke-permissions --permissions ALL" in said
    assert "sashiko doctor --env dev" in said
    grants = opened.formation.list_permissions()["PrincipalResourcePermissions"]
    assert grants == []  # the database went with the rollback


@pytest.mark.slow
def test_an_open_account_is_closed_by_the_commands_that_are_printed(closed: Governed) -> None:
    """Pitfall 4: what IAM_ALLOWED_PRINCIPALS has keeps it when the defaults are emptied."""
    assert closed.audit() == []
    closed.put_settings(
        CreateDatabaseDefaultPermissions=by_hand.OPEN, CreateTableDefaultPermissions=by_hand.OPEN
    )
    wildcard = {"DatabaseName": closed.database, "TableWildcard": {}}
    by_hand.grant(closed, "IAM_ALLOWED_PRINCIPALS", {"Database": {"Name": closed.database}}, "ALL")
    for resource in ({"Table": wildcard}, {"Table": by_hand.complaints(closed)}):
        by_hand.grant(closed, "IAM_ALLOWED_PRINCIPALS", resource, "ALL")

    found = closed.audit()

    assert [item.resource for item in found] == [
        "default permissions of a new database",
        "default permissions of a new table",
        "grant of ALL on Database sashiko_dev to IAM_ALLOWED_PRINCIPALS",
        "grant of ALL on Table sashiko_dev.* to IAM_ALLOWED_PRINCIPALS",
        "grant of ALL on Table sashiko_dev.complaints to IAM_ALLOWED_PRINCIPALS",
    ]
    for item in found:
        closed.run(item.fix)
    assert closed.audit() == []


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

    listed = lake.audit()

    # Mended before anything is asserted, so that one failure does not become many.
    for mend in [undo] if undo else [partial(lake.run, item.fix) for item in listed]:
        mend()
    assert lake.audit() == []
    (found,) = listed
    assert found.kind == kind
    assert fnmatch(found.resource, resource), found.resource
    assert fix in found.fix


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
    (found,) = lake.audit()
    lake.run(found.fix)
    assert lake.audit() == []
    assert found.kind == "note"
    assert fnmatch(found.resource, resource)
    assert detail in found.detail


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

    said = lake.emulator.sashiko("audit", "--env", "dev", folder=lake.folder)

    undo()
    assert lake.audit() == []
    assert f"note     data-lake administrator {other}" in said
    assert "no differences, 1 note" in said


def test_a_creators_own_rights_are_no_difference(lake: Governed) -> None:
    """What it may pass on, on what it made: Lake Formation gives it without being asked."""
    database, everything = (
        {"Name": lake.database},
        by_hand.complaints(lake) | {"ColumnWildcard": {}},
    )
    given = [
        ({"Database": database}, ["ALL"]),
        ({"Table": by_hand.complaints(lake)}, ["ALL", "INSERT"]),
        ({"TableWithColumns": everything}, ["SELECT"]),
    ]
    for resource, permissions in given:
        by_hand.grant(
            lake, by_hand.EXEC, resource, *permissions, PermissionsWithGrantOption=permissions
        )

    assert lake.audit() == []

    for resource, permissions in given:
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
    (found,) = json.loads(machine[machine.index("[") :])  # before it, on stderr, who reads
    assert found["kind"] == "missing"
    lake.run(found["fix"])
    assert command().endswith("\nno differences\n")


@pytest.mark.slow
def test_a_destroyed_environment_is_deployed_again_as_the_doctor_says(lake: Governed) -> None:
    """The LF-Tags outlive every environment; it comes last, as it takes the lake away."""
    command = partial(lake.emulator.sashiko, folder=lake.folder)
    command("empty", "--env", "dev", "--yes")
    lake.emulator.cdk("destroy", "--all", "--force", folder=lake.folder)
    assert {"database sashiko_dev", "table sashiko_dev.complaints"} <= {
        item.resource for item in lake.audit() if item.kind == "missing"
    }

    lake.put_repository()
    said = command("doctor", "--env", "dev", status=4)

    assert "sashiko-environment" in said
    assert "cdk import" not in said
    assert "make deploy ENV=dev ARGS=--import-existing-resources" in said
    lake.deploy("--import-existing-resources")
    assert lake.audit() == lake.failed() == []
