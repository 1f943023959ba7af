"""What an account has once: settings that take nothing from others, and the LF-Tags."""

import pytest

from tests.infra.variants import resources

ACCOUNT = "LakeFormationAccount"


@pytest.mark.control("settings-append")
def test_the_settings_add_the_deploying_role_and_replace_no_administrator(templates):
    (found,) = resources(templates("dev")[ACCOUNT], "AWS::LakeFormation::DataLakeSettings").values()
    properties = found["Properties"]
    assert properties["MutationType"] == "APPEND"
    (admin,) = properties["Admins"]
    name = "cdk-sashiko-cfn-exec-role-111122223333-us-east-1"
    assert admin["DataLakePrincipalIdentifier"] == f"arn:aws:iam::111122223333:role/{name}"


def test_nobody_gets_a_new_database_or_table_by_default(templates):
    (found,) = resources(templates("dev")[ACCOUNT], "AWS::LakeFormation::DataLakeSettings").values()
    assert found["Properties"]["CreateDatabaseDefaultPermissions"] == []
    assert found["Properties"]["CreateTableDefaultPermissions"] == []


def test_the_tags_know_every_value_that_the_lake_uses(templates):
    template = templates("dev")[ACCOUNT]
    tags = {
        tag["Properties"]["TagKey"]: tag["Properties"]["TagValues"]
        for tag in resources(template, "AWS::LakeFormation::Tag").values()
    }
    assert tags == {
        "sashiko-sensitivity": ["none", "sensitive", "pii"],
        "sashiko-domain": ["customer-service", "public-data"],
        "sashiko-environment": ["dev", "prod"],
    }


def test_the_tags_wait_for_the_settings_and_everything_outlives_the_stack(templates):
    for variant in ("dev", "prod"):
        for logical, resource in templates(variant)[ACCOUNT]["Resources"].items():
            tag = resource["Type"] == "AWS::LakeFormation::Tag"
            # A tag that a failed creation left would be in the way of the next try.
            policy = "RetainExceptOnCreate" if tag else "Retain"
            assert resource["DeletionPolicy"] == policy, logical
            if tag:
                assert resource["DependsOn"] == ["Settings"]


def test_an_environment_makes_them_only_where_its_settings_say_so(templates):
    assert ACCOUNT not in templates("account_off")
    assert ACCOUNT not in templates("iam_only")
    assert "Governance" in templates("account_off")
