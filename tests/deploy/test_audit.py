"""`sashiko audit` against an account on loopback, with differences made by hand."""

import json
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sashiko import cli
from sashiko.aws.governance_json import securable_json
from tests.deploy.moto_account import deployed, server  # noqa: F401 - fixtures
from tests.deploy.small_account import ACCOUNT, Deployed

# ruff: noqa: F811 - a fixture is named where it is used


def test_what_was_deployed_has_no_difference(deployed: Deployed) -> None:
    assert deployed.audit() == ()


def _admin_removed(deployed: Deployed) -> None:
    deployed.formation.put_data_lake_settings(DataLakeSettings=deployed.settings([]))


def _defaults_opened(deployed: Deployed) -> None:
    admins = deployed.environment.governance.settings
    assert admins
    everybody = {
        "Principal": {"DataLakePrincipalIdentifier": "IAM_ALLOWED_PRINCIPALS"},
        "Permissions": ["ALL"],
    }
    settings = deployed.settings(admins.admins) | {"CreateTableDefaultPermissions": [everybody]}
    deployed.formation.put_data_lake_settings(DataLakeSettings=settings)


def _tag_value_added(deployed: Deployed) -> None:
    key = deployed.lake.key("sensitivity")
    deployed.formation.update_lf_tag(TagKey=key, TagValuesToAdd=["secret"])


def _column(deployed: Deployed, name: str) -> dict[str, Any]:
    table = {"DatabaseName": deployed.lake.database, "Name": "people"}
    return {"TableWithColumns": table | {"ColumnNames": [name]}}


def _column_tag_changed(deployed: Deployed) -> None:
    tags = [{"TagKey": deployed.lake.key("sensitivity"), "TagValues": ["none"]}]
    deployed.formation.add_lf_tags_to_resource(Resource=_column(deployed, "race"), LFTags=tags)


def _pii_column_tagged(deployed: Deployed) -> None:
    tags = [{"TagKey": deployed.lake.key("sensitivity"), "TagValues": ["none"]}]
    deployed.formation.add_lf_tags_to_resource(Resource=_column(deployed, "name"), LFTags=tags)


def _column_tag_removed(deployed: Deployed) -> None:
    key = deployed.lake.key("sensitivity")
    tags = [{"CatalogId": ACCOUNT, "TagKey": key, "TagValues": ["sensitive"]}]
    deployed.formation.remove_lf_tags_from_resource(Resource=_column(deployed, "race"), LFTags=tags)


def _everybody_granted(deployed: Deployed) -> None:
    table = {"DatabaseName": deployed.lake.database, "Name": "people"}
    deployed.formation.grant_permissions(
        Principal={"DataLakePrincipalIdentifier": "IAM_ALLOWED_PRINCIPALS"},
        Resource={"Table": table},
        Permissions=["ALL"],
    )


def _training_granted(deployed: Deployed) -> None:
    deployed.formation.grant_permissions(
        Principal={"DataLakePrincipalIdentifier": deployed.lake.role("training")},
        Resource=_policy(deployed, "none"),
        Permissions=["SELECT"],
    )


def _policy(deployed: Deployed, *sensitivity: str) -> dict[str, Any]:
    policy = deployed.lake.by_tags(*sensitivity)["LFTagPolicy"]
    return {"LFTagPolicy": policy | {"CatalogId": ACCOUNT}}


def _broker_revoked(deployed: Deployed) -> None:
    governance = deployed.environment.governance
    broker = next(item for item in governance.grants if item.principal.endswith("-broker"))
    deployed.formation.revoke_permissions(
        Principal={"DataLakePrincipalIdentifier": broker.principal},
        Resource=securable_json(broker.securable, account=ACCOUNT),
        Permissions=["SELECT"],
    )


def _location_deregistered(deployed: Deployed) -> None:
    arn = f"arn:aws:s3:::{deployed.lake.curated}"
    deployed.formation.deregister_resource(ResourceArn=arn)


def _location_with_another_role(deployed: Deployed) -> None:
    _location_deregistered(deployed)
    arn = f"arn:aws:s3:::{deployed.lake.curated}"
    role = deployed.lake.role("etl")
    deployed.formation.register_resource(ResourceArn=arn, RoleArn=role)


def _location_added(deployed: Deployed) -> None:
    arn = f"arn:aws:s3:::{deployed.lake.snapshots}"
    role = deployed.lake.role("lake-formation")
    deployed.formation.register_resource(ResourceArn=arn, RoleArn=role)


def _filter_altered(deployed: Deployed) -> None:
    deployed.filters[0]["RowFilter"] = {"FilterExpression": "TRUE", "AllRowsWildcard": {}}


def _filter_deleted(deployed: Deployed) -> None:
    deployed.filters.clear()


def _column_added(deployed: Deployed) -> None:
    columns = {"id": "string", "text": "string", "race": "string", "name": "string"}
    table = deployed.table("people", columns | {"phone": "string", "as_of": "string"})
    deployed.client("glue").update_table(DatabaseName=deployed.lake.database, TableInput=table)


def _column_of_another_type(deployed: Deployed) -> None:
    columns = {"id": "bigint", "text": "string", "race": "string", "name": "string"}
    table = deployed.table("people", columns | {"as_of": "string"})
    deployed.client("glue").update_table(DatabaseName=deployed.lake.database, TableInput=table)


@pytest.mark.parametrize(
    ("change", "kind", "resource", "fix"),
    [
        (_admin_removed, "missing", "data-lake administrator arn:", "put-data-lake-settings"),
        (_defaults_opened, "differs", "default permissions of new tables", "put-data-lake-"),
        (_tag_value_added, "differs", "LF-Tag sashiko-sensitivity", "--tag-values-to-delete"),
        (_column_tag_changed, "differs", "LF-Tag *-sensitivity on *.race", "add-lf-tags"),
        (_column_tag_removed, "missing", "LF-Tag *-sensitivity on *.race", "add-lf-tags"),
        (_pii_column_tagged, "extra", "LF-Tag *-sensitivity on *.name", "remove-lf-tags"),
        (_everybody_granted, "extra", "grant of ALL on Table * to IAM_*", "revoke-permissions"),
        (_training_granted, "extra", "grant of SELECT on LFTagPolicy TABLE", "revoke-permissions"),
        (_broker_revoked, "missing", "grant of SELECT on LFTagPolicy TABLE", "grant-permissions"),
        (_location_deregistered, "missing", "registered location arn:", "register-resource"),
        (_location_with_another_role, "differs", "registered location arn:", "update-resource"),
        (_location_added, "extra", "registered location arn:", "deregister-resource"),
        (_filter_altered, "differs", "data-cells filter *.open-rows", "update-data-cells"),
        (_filter_deleted, "missing", "data-cells filter *.open-rows", "create-data-cells"),
        (_column_added, "extra", "column sashiko_dev.people.phone", "update-table"),
        (_column_of_another_type, "differs", "column sashiko_dev.people.id", "update-table"),
    ],
)  # fmt: skip
def test_a_difference_made_by_hand_is_listed_with_its_fix(
    deployed: Deployed, change: Callable[[Deployed], None], kind: str, resource: str, fix: str
) -> None:
    change(deployed)
    (found,) = deployed.audit()
    assert found.kind == kind
    assert fnmatch(found.resource, f"{resource}*"), found.resource
    assert fix in found.fix


def test_what_belongs_to_others_in_the_account_is_left_alone(deployed: Deployed) -> None:
    """Another project's administrators, tags and tables, and another environment's grants."""
    formation, governance = deployed.formation, deployed.environment.governance
    assert governance.settings
    other = "arn:aws:iam::111122223333:role/other-team"
    admins = deployed.settings(governance.settings.admins | {other})
    formation.put_data_lake_settings(DataLakeSettings=admins)
    formation.create_lf_tag(TagKey="team", TagValues=["a"])
    deployed.client("glue").create_database(DatabaseInput={"Name": "theirs"})
    prod = {"TagKey": deployed.lake.key("environment"), "TagValues": ["prod"]}
    policy = {"CatalogId": ACCOUNT, "ResourceType": "TABLE", "Expression": [prod]}
    formation.register_resource(ResourceArn="arn:aws:s3:::theirs", RoleArn=other)
    for resource in ({"LFTagPolicy": policy}, {"Database": {"Name": "theirs"}}):
        formation.grant_permissions(
            Principal={"DataLakePrincipalIdentifier": other},
            Resource=resource,
            Permissions=["DESCRIBE"],
        )
    assert deployed.audit() == ()


def test_a_creators_own_rights_are_no_difference(deployed: Deployed) -> None:
    creator = f"arn:aws:iam::{ACCOUNT}:role/cdk-sashiko-cfn-exec-role-{ACCOUNT}-us-east-1"
    deployed.formation.grant_permissions(
        Principal={"DataLakePrincipalIdentifier": creator},
        Resource={"Database": {"Name": deployed.lake.database}},
        Permissions=["ALL"],
        PermissionsWithGrantOption=["ALL"],
    )
    assert deployed.audit() == ()


def test_an_account_without_the_lake_lists_all_of_it(deployed: Deployed) -> None:
    deployed.client("glue").delete_database(Name=deployed.lake.database)
    found = {item.resource for item in deployed.audit() if item.kind == "missing"}
    assert {"database sashiko_dev", "table sashiko_dev.people"} <= found


def _run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *more: str) -> Any:
    (tmp_path / "config").mkdir()
    root = Path(__file__).parents[2]
    (tmp_path / "config/base.yaml").write_text((root / "config/base.yaml").read_text())
    (tmp_path / "config/dev.yaml").write_text(f'account: "{ACCOUNT}"\n')
    monkeypatch.chdir(tmp_path)
    return CliRunner().invoke(cli.app, ["audit", "--env", "dev", *more])


def test_the_command_exits_with_0_without_a_difference(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    done = _run(monkeypatch, tmp_path)
    assert (done.exit_code, done.stdout) == (0, "no differences\n")


def test_the_command_exits_with_4_and_prints_the_difference(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _location_deregistered(deployed)
    done = _run(monkeypatch, tmp_path, "--json")
    assert done.exit_code == 4
    assert [item["kind"] for item in json.loads(done.stdout)] == ["missing"]
