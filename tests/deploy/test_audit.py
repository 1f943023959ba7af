"""`sashiko audit` of an environment that the command line deployed, with differences by hand.

Each is taken away again by the command that the audit prints, where it prints one.
"""

import json
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from functools import partial
from typing import Any

import pytest

from sashiko.aws.governance_json import securable_json
from tests.deploy.assembly import bootstrap, synthesize
from tests.deploy.deployed import empty_buckets
from tests.deploy.governed import Governed, Undo
from tests.deploy.process import Emulator, running, sashiko
from tests.infra.contracts import mortgages

ACCOUNT = "111122223333"
EVERYBODY = {"DataLakePrincipalIdentifier": "IAM_ALLOWED_PRINCIPALS"}
OPEN = [{"Principal": EVERYBODY, "Permissions": ["ALL"]}]
EXEC = f"arn:aws:iam::{ACCOUNT}:role/cdk-sashiko-cfn-exec-role-{ACCOUNT}-us-east-1"


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """A bootstrapped account, open as AWS hands it over."""
    with (
        running(ACCOUNT, tmp_path_factory.mktemp("home")) as found,
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
    """The lake in an account that the stacks do not own, and whose defaults nobody emptied."""
    lake = governed(emulator, "account_off", tmp_path_factory)
    for check in lake.failed():
        if check.name.startswith("LF-Tag"):
            lake.run(check.fix)
    lake.put_settings(DataLakeAdmins=[{"DataLakePrincipalIdentifier": EXEC}])
    assert [check.name for check in lake.failed()] == ["default permissions"]
    lake.deploy()
    return lake


@pytest.fixture(scope="module")
def lake(opened: Governed, tmp_path_factory: pytest.TempPathFactory) -> Governed:
    """The lake with the account's own stack beside it, which takes the LF-Tags over."""
    found = governed(opened.emulator, "dev", tmp_path_factory)
    found.deploy("--import-existing-resources")
    # An import changes nothing: a tag that somebody made for `dev` alone still lacks `prod`.
    for item in found.audit():
        if item.resource == "LF-Tag sashiko-environment":
            found.run(item.fix)
    return found


def test_an_open_account_is_closed_by_the_commands_that_are_printed(opened: Governed) -> None:
    """Pitfall 4: what IAM_ALLOWED_PRINCIPALS has keeps it when the defaults are emptied."""
    wildcard = {"DatabaseName": opened.database, "TableWildcard": {}}
    for resource in ({"Table": wildcard}, {"Table": _complaints(opened)}):
        grant(opened, "IAM_ALLOWED_PRINCIPALS", resource, "ALL")

    found = opened.audit()

    assert [item.resource for item in found] == [
        "default permissions of new databases",
        "default permissions of new tables",
        "grant of ALL on Database sashiko_dev to IAM_ALLOWED_PRINCIPALS",
        "grant of ALL on Table sashiko_dev.* to IAM_ALLOWED_PRINCIPALS",
        "grant of ALL on Table sashiko_dev.complaints to IAM_ALLOWED_PRINCIPALS",
    ]
    opened.put_settings(CreateDatabaseDefaultPermissions=[], CreateTableDefaultPermissions=[])
    for item in found[2:]:
        opened.run(item.fix)
    assert opened.audit() == []


def test_what_was_deployed_has_no_difference(lake: Governed) -> None:
    assert lake.environment.governance.filters
    assert lake.audit() == []


def grant(lake: Governed, principal: str, resource: Any, *permissions: str, **more: Any) -> None:
    lake.formation.grant_permissions(
        Principal={"DataLakePrincipalIdentifier": principal},
        Resource=resource,
        Permissions=list(permissions),
        **more,
    )


def _complaints(lake: Governed) -> dict[str, Any]:
    return {"DatabaseName": lake.database, "Name": "complaints"}


def _column(lake: Governed, name: str) -> dict[str, Any]:
    return {"TableWithColumns": _complaints(lake) | {"ColumnNames": [name]}}


def _location(lake: Governed) -> str:
    return min(lake.environment.governance.locations)


def _filter(lake: Governed) -> dict[str, Any]:
    listed = lake.formation.list_data_cells_filter(Table=_complaints(lake))
    (found,) = listed["DataCellsFilters"]
    return dict(found)


def _admin_removed(lake: Governed) -> Undo:
    return lake.put_settings(DataLakeAdmins=[])


def _person_made_admin(lake: Governed) -> Undo:
    admins = [EXEC, lake.role("data-scientist")]
    return lake.put_settings(
        DataLakeAdmins=[{"DataLakePrincipalIdentifier": admin} for admin in admins]
    )


def _defaults_opened(lake: Governed) -> Undo:
    return lake.put_settings(CreateTableDefaultPermissions=OPEN)


def _engines_let_in(lake: Governed) -> Undo:
    return lake.put_settings(AllowExternalDataFiltering=True)


def _engines_let_in_wholly(lake: Governed) -> Undo:
    return lake.put_settings(AllowFullTableExternalDataAccess=True)


def _tag_value_added(lake: Governed) -> None:
    lake.formation.update_lf_tag(TagKey="sashiko-sensitivity", TagValuesToAdd=["secret"])


def _tag(lake: Governed, column: str, value: str) -> None:
    tags = [{"TagKey": "sashiko-sensitivity", "TagValues": [value]}]
    lake.formation.add_lf_tags_to_resource(Resource=_column(lake, column), LFTags=tags)


def _column_tag_changed(lake: Governed) -> None:
    _tag(lake, "customer_gender", "none")


def _pii_column_tagged(lake: Governed) -> None:
    _tag(lake, "customer_name", "none")


def _column_tag_removed(lake: Governed) -> None:
    tags = [{"TagKey": "sashiko-sensitivity", "TagValues": ["sensitive"]}]
    resource = _column(lake, "customer_gender")
    lake.formation.remove_lf_tags_from_resource(Resource=resource, LFTags=tags)


def _everybody_granted(lake: Governed) -> None:
    grant(lake, "IAM_ALLOWED_PRINCIPALS", {"Table": _complaints(lake)}, "ALL")


def _training_granted(lake: Governed) -> None:
    policies = [item for item in lake.environment.governance.grants if item.permission == "SELECT"]
    some = next(item.securable for item in policies if item.securable.kind == "LFTagPolicy")
    grant(lake, lake.role("training"), securable_json(some, account=ACCOUNT), "SELECT")


def _deployer_granted(lake: Governed) -> None:
    grant(lake, EXEC, _column(lake, "complaint_text"), "SELECT")


def _deployer_granted_whole_table(lake: Governed) -> None:
    columns = _complaints(lake) | {"ColumnWildcard": {}}
    grant(lake, EXEC, {"TableWithColumns": columns}, "SELECT")


def _deployer_granted_what_it_did_not_make(lake: Governed) -> None:
    table = {"DatabaseName": lake.database, "TableWildcard": {}}
    grant(lake, EXEC, {"Table": table}, "INSERT", PermissionsWithGrantOption=["INSERT"])


def _another_bootstrap_granted(lake: Governed) -> None:
    other = f"cdk-other-cfn-exec-role-{ACCOUNT}-us-east-1"
    _role(lake, other)
    arn = f"arn:aws:iam::{ACCOUNT}:role/{other}"
    resource = {"Database": {"Name": lake.database}}
    grant(lake, arn, resource, "ALL", PermissionsWithGrantOption=["ALL"])


def _role(lake: Governed, name: str) -> None:
    iam = lake.emulator.client("iam")
    if name not in {role["RoleName"] for role in iam.list_roles()["Roles"]}:
        iam.create_role(RoleName=name, AssumeRolePolicyDocument="{}")


def _etl_may_pass_on(lake: Governed) -> None:
    resource = {"Table": _complaints(lake)}
    grant(lake, lake.role("etl"), resource, "INSERT", PermissionsWithGrantOption=["INSERT"])


def _broker_revoked(lake: Governed) -> None:
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


def _location_deregistered(lake: Governed) -> None:
    lake.formation.deregister_resource(ResourceArn=_location(lake))


def _location_with_another_role(lake: Governed) -> None:
    lake.formation.update_resource(ResourceArn=_location(lake), RoleArn=lake.role("etl"))


def _location_made_hybrid(lake: Governed) -> None:
    role = lake.role("lake-formation")
    lake.formation.update_resource(
        ResourceArn=_location(lake), RoleArn=role, HybridAccessEnabled=True
    )


def _location_added(lake: Governed) -> None:
    arn = f"arn:aws:s3:::sashiko-dev-snapshots-{ACCOUNT}-us-east-1"
    lake.formation.register_resource(ResourceArn=arn, RoleArn=lake.role("lake-formation"))


def _opted_in(lake: Governed) -> None:
    lake.formation.create_lake_formation_opt_in(
        Principal={"DataLakePrincipalIdentifier": lake.role("broker")},
        Resource={"Table": {"CatalogId": ACCOUNT, **_complaints(lake)}},
    )


def _filter_shows_another_row(lake: Governed) -> None:
    data = _filter(lake) | {"RowFilter": {"AllRowsWildcard": {}}}
    lake.formation.update_data_cells_filter(TableData=data)


def _filter_shows_another_column(lake: Governed) -> None:
    found = _filter(lake)
    data = found | {"ColumnNames": [*found["ColumnNames"], "customer_name"]}
    lake.formation.update_data_cells_filter(TableData=data)


def _filter_deleted(lake: Governed) -> None:
    key = ("TableCatalogId", "DatabaseName", "TableName", "Name")
    found = _filter(lake)
    lake.formation.delete_data_cells_filter(**{name: found[name] for name in key})


def _filter_added(lake: Governed) -> None:
    data = _filter(lake) | {"Name": "mine", "RowFilter": {"AllRowsWildcard": {}}}
    lake.formation.create_data_cells_filter(TableData=data)


def _column_added(lake: Governed) -> Undo:
    return lake.put_columns(lambda columns: columns.append({"Name": "phone", "Type": "string"}))


def _column_of_another_type(lake: Governed) -> Undo:
    return lake.put_columns(lambda columns: columns[0].update(Type="bigint"))


CASES = [
    (_admin_removed, "missing", "data-lake administrator *cfn-exec-role*", "add {"),
    (_person_made_admin, "extra", "data-lake administrator *-data-scientist", "drop {"),
    (_defaults_opened, "differs", "default permissions of new tables", "put-data-lake-"),
    (_engines_let_in, "differs", "data-lake setting AllowExternalDataFiltering", "put-data-"),
    (_engines_let_in_wholly, "differs", "data-lake setting AllowFullTableExt*", "put-data-"),
    (_tag_value_added, "differs", "LF-Tag sashiko-sensitivity", "--tag-values-to-delete secret"),
    (_column_tag_changed, "differs", "LF-Tag *-sensitivity on *.customer_gender", "add-lf-tags"),
    (_column_tag_removed, "missing", "LF-Tag *-sensitivity on *.customer_gender", "add-lf-tags"),
    (_pii_column_tagged, "extra", "LF-Tag *-sensitivity on *.customer_name", "remove-lf-tags"),
    (_everybody_granted, "extra", "grant of ALL on Table * to IAM_*", "revoke-permissions"),
    (_training_granted, "extra", "grant of SELECT on LFTagPolicy *-training", "revoke-perm"),
    (_deployer_granted, "extra", "grant of SELECT * to *-cfn-exec-role-*", "revoke-perm"),
    (_deployer_granted_whole_table, "extra", "grant of SELECT * to *-cfn-exec-*", "revoke-perm"),
    (_deployer_granted_what_it_did_not_make, "extra", "grant of INSERT on * to *", "revoke-perm"),
    (_another_bootstrap_granted, "extra", "grant of ALL on * to *cdk-other-*", "revoke-perm"),
    (_etl_may_pass_on, "extra", "grant of INSERT * which it may pass on", "grant-permissions"),
    (_broker_revoked, "missing", "grant of SELECT on LFTagPolicy TABLE*", "grant-permissions"),
    (_location_deregistered, "missing", "registered location arn:*", "register-resource"),
    (_location_with_another_role, "differs", "registered location arn:*", "update-resource"),
    (_location_made_hybrid, "differs", "registered location arn:*", "--no-hybrid-access-enabled"),
    (_location_added, "extra", "registered location arn:*-snapshots-*", "deregister-resource"),
    (_opted_in, "extra", "opt-in of *-broker on Table *.complaints", "delete-lake-formation-opt"),
    (_filter_shows_another_row, "differs", "data-cells filter *", "update-data-cells"),
    (_filter_shows_another_column, "differs", "data-cells filter *", "update-data-cells"),
    (_filter_deleted, "missing", "data-cells filter *", "create-data-cells"),
    (_filter_added, "extra", "data-cells filter *.mine", "delete-data-cells"),
    (_column_added, "extra", "column sashiko_dev.complaints.phone", "update-table"),
    (_column_of_another_type, "differs", "column *.complaints.complaint_id", "update-table"),
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
        ({"ReadOnlyAdmins": [EVERYBODY]}, "data-lake setting ReadOnlyAdmins", "IAM_ALLOWED"),
        ({"TrustedResourceOwners": ["999988887777"]}, "* TrustedResourceOwners", "99998888"),
        ({"Parameters": {"CROSS_ACCOUNT_VERSION": "1"}}, "* Parameters", "VERSION=1"),
    ],
)
def test_what_another_team_may_have_set_is_a_note(
    lake: Governed, change: dict[str, Any], resource: str, detail: str
) -> None:
    undo = lake.put_settings(**change)
    listed = lake.audit()
    undo()
    (found,) = listed
    assert found.kind == "note"
    assert fnmatch(found.resource, resource)
    assert detail in found.detail


def test_what_belongs_to_others_in_the_account_is_left_alone(lake: Governed) -> None:
    """Another project's tags, tables and grants; its administrators are shown, as a note."""
    formation, glue = lake.formation, lake.glue
    _role(lake, "other-team")
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

    done = sashiko(lake.emulator, lake.folder, "audit", "--env", "dev")

    undo()
    assert lake.audit() == []
    assert done.returncode == 0
    assert f"note     data-lake administrator {other}" in done.stdout
    assert "no differences, 1 note" in done.stdout


def test_a_creators_own_rights_are_no_difference(lake: Governed) -> None:
    """What it may pass on, on what it made: Lake Formation gives it without being asked."""
    database, everything = {"Name": lake.database}, _complaints(lake) | {"ColumnWildcard": {}}
    given = [
        ({"Database": database}, ["ALL"]),
        ({"Table": _complaints(lake)}, ["ALL", "INSERT"]),
        ({"TableWithColumns": everything}, ["SELECT"]),
    ]
    for resource, permissions in given:
        grant(lake, EXEC, resource, *permissions, PermissionsWithGrantOption=permissions)

    assert lake.audit() == []

    for resource, permissions in given:
        lake.formation.revoke_permissions(
            Principal={"DataLakePrincipalIdentifier": EXEC},
            Resource=resource,
            Permissions=permissions,
            PermissionsWithGrantOption=permissions,
        )


def test_the_command_prints_each_difference_and_ends_with_4(lake: Governed) -> None:
    _location_deregistered(lake)

    text = sashiko(lake.emulator, lake.folder, "audit", "--env", "dev")
    machine = sashiko(lake.emulator, lake.folder, "audit", "--env", "dev", "--json")

    assert (text.returncode, machine.returncode) == (4, 4)
    assert f"missing  registered location {_location(lake)}" in text.stdout
    assert "fix: aws lakeformation register-resource" in text.stdout
    assert text.stdout.endswith("1 difference\n")
    (found,) = json.loads(machine.stdout)
    assert found["kind"] == "missing"
    lake.run(found["fix"])
    text = sashiko(lake.emulator, lake.folder, "audit", "--env", "dev")
    assert (text.returncode, text.stdout) == (0, "no differences\n")


def test_a_destroyed_environment_is_deployed_again_as_the_doctor_says(lake: Governed) -> None:
    """The LF-Tags outlive every environment; it comes last, as it takes the lake away."""
    empty_buckets(lake.emulator)
    lake.emulator.cdk("destroy", "--all", "--force", folder=lake.folder, status=1)
    empty_buckets(lake.emulator)  # of the others' last access logs
    lake.emulator.cdk("destroy", "--all", "--force", folder=lake.folder)
    assert {"database sashiko_dev", "table sashiko_dev.complaints"} <= {
        item.resource for item in lake.audit() if item.kind == "missing"
    }

    said = sashiko(lake.emulator, lake.folder, "doctor", "--env", "dev")

    assert said.returncode == 4
    assert "sashiko-environment" in said.stdout
    assert "cdk import" not in said.stdout
    assert "make deploy ENV=dev ARGS=--import-existing-resources" in said.stdout
    lake.deploy("--import-existing-resources")
    assert lake.audit() == lake.failed() == []
