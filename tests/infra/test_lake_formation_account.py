"""What an account has once: settings that take nothing from others, and the LF-Tags."""

import pytest

from sashiko.errors import InputError
from sashiko.settings.environment import deployed_environments
from tests.infra.variants import all_before, environment_of, resources, write_config

ACCOUNT = "LakeFormationAccount"


@pytest.mark.control("settings-by-function")
def test_the_settings_name_the_deploying_role_and_no_other(templates):
    (resource,) = resources(templates("dev")[ACCOUNT], "Custom::DataLakeSettings").values()
    name = "cdk-sashiko-cfn-exec-role-111122223333-us-east-1"
    assert resource["Properties"]["Administrator"] == f"arn:aws:iam::111122223333:role/{name}"


def test_one_role_alone_may_put_the_settings_and_not_the_deploying_one(templates):
    """CloudFormation's own handler would ignore emptied defaults: nothing of ours is to use it."""
    action = "lakeformation:PutDataLakeSettings"
    for variant, names in (("dev", ["lake-settings"]), ("account_off", []), ("iam_only", [])):
        environment = environment_of(variant)
        assert [role.name for role in environment.principals if role.may(action, "*")] == names
    kinds = {r["Type"] for t in templates("dev").values() for r in t["Resources"].values()}
    assert "AWS::LakeFormation::DataLakeSettings" not in kinds


def test_the_tags_know_every_value_that_the_lake_uses(templates):
    template = templates("dev")[ACCOUNT]
    tags = {
        tag["Properties"]["TagKey"]: tag["Properties"]["TagValues"]
        for tag in resources(template, "AWS::LakeFormation::Tag").values()
    }
    assert tags == {
        "sashiko-sensitivity": ["none", "sensitive", "pii"],
        "sashiko-domain": ["customer-service", "public-data"],
        "sashiko-environment": list(deployed_environments()),
    }


def test_the_tags_wait_for_the_settings_and_both_outlive_the_stack(templates):
    for variant in ("dev", "prod"):
        template = templates(variant)[ACCOUNT]
        (settings,) = resources(template, "Custom::DataLakeSettings")
        tags = resources(template, "AWS::LakeFormation::Tag")
        assert all(settings in all_before(template, tag) for tag in tags)
        # What a failed creation left would be in the way of the next try.
        for logical in (settings, *tags):
            resource = template["Resources"][logical]
            assert resource["DeletionPolicy"] == "RetainExceptOnCreate", logical


def test_an_environment_makes_them_only_where_its_settings_say_so(templates):
    assert ACCOUNT not in templates("account_off")
    assert ACCOUNT not in templates("iam_only")
    assert "Governance" in templates("account_off")


@pytest.mark.parametrize(("account", "is_error"), [("111122223333", True), ("777788889999", False)])
def test_two_environments_of_an_account_do_not_both_make_them(
    tmp_path, monkeypatch, account, is_error
):
    from sashiko_cdk.deployment import cloud_settings

    (tmp_path / "config").mkdir()
    write_config(tmp_path / "config", "dev")
    copied = (tmp_path / "config/dev.yaml").read_text().replace("111122223333", account)
    (tmp_path / "config/staging.yaml").write_text(copied)
    monkeypatch.chdir(tmp_path)
    if not is_error:
        assert cloud_settings("staging").account == account
        return
    with pytest.raises(InputError) as error:
        cloud_settings("staging")
    for part in ("staging.yaml: key `lake_formation.account_stack`", "dev.yaml", "`false`"):
        assert part in str(error.value)
