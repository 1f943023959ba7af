"""`sashiko doctor` against an account on loopback: ready, and with one thing in the way."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sashiko import cli
from sashiko.aws.account import Account
from sashiko.aws.doctor import Check, examine
from sashiko.aws.names import exec_role_arn
from sashiko.errors import InputError
from tests.deploy.moto_account import deployed, server  # noqa: F401 - fixtures
from tests.deploy.small_account import ACCOUNT, Deployed

# ruff: noqa: F811 - a fixture is named where it is used
VERSION = "/cdk-bootstrap/sashiko/version"


def make_ready(deployed: Deployed, *, account_stack: bool = False) -> None:
    """An account before the first deploy: bootstrapped, its role an administrator, the tags made.

    The lake of the fixture is taken away again but for settings and LF-Tags.
    """
    lake_formation = deployed.lake.settings.lake_formation
    section = lake_formation.model_copy(update={"account_stack": account_stack})
    settings = deployed.lake.settings.model_copy(update={"lake_formation": section})
    deployed.environment = replace(deployed.environment, settings=settings)
    put_version(deployed, "21")
    deployed.client("glue").delete_database(Name=deployed.lake.database)
    role = exec_role_arn(settings)
    make_role(deployed, role.rpartition("/")[2])
    deployed.formation.put_data_lake_settings(DataLakeSettings=deployed.settings([role]))


def put_version(deployed: Deployed, value: str) -> None:
    ssm = deployed.client("ssm")
    ssm.put_parameter(Name=VERSION, Value=value, Type="String", Overwrite=True)


def make_role(deployed: Deployed, name: str) -> None:
    deployed.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument="{}")


def checks(deployed: Deployed) -> list[Check]:
    return list(examine(Account(deployed.environment.settings), deployed.environment))


def failed(deployed: Deployed) -> list[Check]:
    return [check for check in checks(deployed) if check.status == "failed"]


def test_a_ready_account_passes_and_prints_its_administrators(deployed: Deployed) -> None:
    make_ready(deployed)
    assert failed(deployed) == []
    (admins,) = [item for item in checks(deployed) if item.name == "data-lake administrators"]
    assert exec_role_arn(deployed.environment.settings) in admins.detail


def _no_bootstrap(deployed: Deployed) -> None:
    deployed.client("ssm").delete_parameter(Name=VERSION)


def _old_bootstrap(deployed: Deployed) -> None:
    put_version(deployed, "5")


def _admins(deployed: Deployed, *more: str) -> None:
    role = exec_role_arn(deployed.environment.settings)
    settings = deployed.settings([role, *more])
    deployed.formation.put_data_lake_settings(DataLakeSettings=settings)


def _no_administrator(deployed: Deployed) -> None:
    deployed.formation.put_data_lake_settings(DataLakeSettings=deployed.settings([]))


def _deleted_administrator(deployed: Deployed) -> None:
    _admins(deployed, "AROA1234567890EXAMPLE")


def _administrator_without_its_role(deployed: Deployed) -> None:
    _admins(deployed, f"arn:aws:iam::{ACCOUNT}:role/gone")


def _defaults_open(deployed: Deployed) -> None:
    everybody = {
        "Principal": {"DataLakePrincipalIdentifier": "IAM_ALLOWED_PRINCIPALS"},
        "Permissions": ["ALL"],
    }
    settings = deployed.settings([exec_role_arn(deployed.environment.settings)])
    settings["CreateDatabaseDefaultPermissions"] = [everybody]
    deployed.formation.put_data_lake_settings(DataLakeSettings=settings)


def _tag_gone(deployed: Deployed) -> None:
    deployed.formation.delete_lf_tag(TagKey=deployed.lake.key("environment"))


def _value_gone(deployed: Deployed) -> None:
    key = deployed.lake.key("sensitivity")
    deployed.formation.update_lf_tag(TagKey=key, TagValuesToDelete=["pii"])


def _bucket_left(deployed: Deployed) -> None:
    deployed.client("s3").create_bucket(Bucket=deployed.lake.curated)


def _role_left(deployed: Deployed) -> None:
    make_role(deployed, "sashiko-dev-broker")


def _database_left(deployed: Deployed) -> None:
    deployed.client("glue").create_database(DatabaseInput={"Name": deployed.lake.database})


@pytest.mark.parametrize(
    ("trouble", "name", "detail", "fix"),
    [
        (_no_bootstrap, "CDK bootstrap", f"no {VERSION}", "make bootstrap ENV=dev"),
        (_old_bootstrap, "CDK bootstrap", "version 5, 6 is needed", "make bootstrap ENV=dev"),
        (_no_administrator, "CloudFormation's role", "cfn-exec-role", "to DataLakeAdmins"),
        (_deleted_administrator, "administrators that are gone", "AROA12", "drop them"),
        (_administrator_without_its_role, "administrators that are gone", "role/gone", "drop them"),
        (_defaults_open, "default permissions", "IAM_ALLOWED_PRINCIPALS", "empty CreateDatabase"),
        (_tag_gone, "LF-Tag sashiko-environment", "lacks dev", "create-lf-tag"),
        (_value_gone, "LF-Tag sashiko-sensitivity", "lacks pii", "--tag-values-to-add pii"),
        (_bucket_left, "names", "sashiko-dev-curated-", "ARGS=--import-existing-resources"),
        (_role_left, "names", "sashiko-dev-broker", "ARGS=--import-existing-resources"),
        (_database_left, "names", "sashiko_dev", "ARGS=--import-existing-resources"),
    ],
)
def test_one_thing_in_the_way_fails_with_its_fix(
    deployed: Deployed, trouble: Callable[[Deployed], None], name: str, detail: str, fix: str
) -> None:
    make_ready(deployed)
    trouble(deployed)
    (found,) = failed(deployed)
    assert found.name.startswith(name)
    assert detail in found.detail
    assert fix in found.fix


@pytest.mark.parametrize("trouble", [_no_administrator, _tag_gone, _defaults_open])
def test_what_the_account_stack_makes_is_not_asked_for_where_it_is_deployed(
    deployed: Deployed, trouble: Callable[[Deployed], None]
) -> None:
    make_ready(deployed, account_stack=True)
    trouble(deployed)
    assert failed(deployed) == []


def test_what_a_stack_owns_is_not_in_the_way(deployed: Deployed) -> None:
    make_ready(deployed)
    bucket = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": deployed.lake.curated}}
    deployed.client("cloudformation").create_stack(
        StackName="sashiko-dev-All", TemplateBody=json.dumps({"Resources": {"Curated": bucket}})
    )
    assert failed(deployed) == []


def test_credentials_of_another_account_stop_it(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTO_ACCOUNT_ID", "999988887777")
    with pytest.raises(InputError, match="are of the account 999988887777"):
        checks(deployed)


def test_no_credentials_and_no_connection_are_one_message(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(InputError, match="cannot be reached"):
        checks(deployed)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    with pytest.raises(InputError, match="no AWS credentials"):
        checks(deployed)


def test_the_command_prints_the_fix_and_exits_with_4(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    done: Any = None
    root = Path(__file__).parents[2]
    (tmp_path / "config").mkdir()
    (tmp_path / "config/base.yaml").write_text((root / "config/base.yaml").read_text())
    (tmp_path / "config/dev.yaml").write_text(f'account: "{ACCOUNT}"\n')
    monkeypatch.chdir(tmp_path)
    make_ready(deployed)
    done = CliRunner().invoke(cli.app, ["doctor", "--env", "dev"])
    assert done.exit_code == 0, done.output
    _no_bootstrap(deployed)
    done = CliRunner().invoke(cli.app, ["doctor", "--env", "dev"])
    assert done.exit_code == 4
    assert "fix: make bootstrap ENV=dev" in done.stdout
