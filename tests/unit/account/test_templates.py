"""Reading what `cdk synth` wrote, and CloudFormation's functions in it."""

import json

import pytest

from sashiko.account.templates import Scope, read_templates, resolve
from sashiko.errors import InputError
from tests.infra.variants import settings_of
from tests.unit.account.small_lake import SmallLake

TEMPLATE = {
    "Parameters": {"BootstrapVersion": {"Type": "String"}},
    "Resources": {
        "Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": {"Ref": "AWS::Region"}}},
        "Role": {"Type": "AWS::IAM::Role", "Properties": {"RoleName": "r", "Path": "/p/"}},
        "Key": {"Type": "AWS::KMS::Key", "Properties": {}},
        "Policy": {"Type": "AWS::IAM::ManagedPolicy", "Properties": {"ManagedPolicyName": "m"}},
    },
}
SCOPE = Scope(stack="S", file="S.json", account="1", region="eu-west-1", template=TEMPLATE)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"Ref": "Bucket"}, "eu-west-1"),
        ({"Ref": "Policy"}, "arn:aws:iam::1:policy/m"),
        ({"Ref": "Key"}, "<S.Key>"),
        ({"Ref": "BootstrapVersion"}, "<S.BootstrapVersion>"),
        ({"Fn::GetAtt": ["Bucket", "Arn"]}, "arn:aws:s3:::eu-west-1"),
        ({"Fn::GetAtt": "Role.Arn"}, "arn:aws:iam::1:role/p/r"),
        ({"Fn::GetAtt": ["Key", "Arn"]}, "<S.Key.Arn>"),
        ({"Fn::Join": [":", ["a", {"Ref": "AWS::AccountId"}]]}, "a:1"),
        (
            {"Fn::Sub": "${AWS::Partition}/${Role}/${Bucket.Arn}/${!x}"},
            "aws/r/arn:aws:s3:::eu-west-1/${x}",
        ),
        ({"Fn::Sub": ["${a}-b", {"a": {"Ref": "Role"}}]}, "r-b"),
        (
            {"Fn::GetStackOutput": {"StackName": "T", "OutputName": "Key", "Region": "eu-west-1"}},
            "<T.Key>",
        ),
        ({"Fn::Select": [1, {"Fn::Split": ["/", "a/b"]}]}, "b"),
        ({"a": {"Ref": "AWS::NoValue"}, "b": [{"Ref": "AWS::NoValue"}, 1]}, {"b": [1]}),
    ],
)
def test_functions_are_worked_out(value, expected):
    assert resolve(value, SCOPE) == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"Fn::ImportValue": "x"}, "S.json: Fn::ImportValue is not understood here"),
        ({"Fn::If": ["a", 1, 2]}, "Fn::If is not understood here"),
        ({"Ref": "Gone"}, "S.json: a reference names Gone"),
    ],
)
def test_what_is_not_known_is_an_error(value, message):
    with pytest.raises(InputError, match=message):
        resolve({"deep": [value]}, SCOPE)


def test_the_partition_follows_the_region():
    scope = Scope(stack="S", file="", account="1", region="cn-north-1", template=TEMPLATE)
    assert resolve({"Fn::GetAtt": ["Bucket", "Arn"]}, scope) == "arn:aws-cn:s3:::cn-north-1"


def test_without_a_synth_the_error_names_the_command_and_templates_are_json(tmp_path):
    with pytest.raises(InputError, match="make synth ENV=dev"):
        read_templates(settings_of("dev"), folder=tmp_path / "cdk.out")
    (SmallLake().write(tmp_path) / "manifest.json").write_text(json.dumps([]))
    with pytest.raises(InputError, match="expected a JSON object"):
        read_templates(settings_of("dev"), folder=tmp_path)


def test_another_environments_synth_and_half_a_template_are_refused(tmp_path):
    folder = SmallLake().write(tmp_path)
    with pytest.raises(InputError, match=r"sashiko-dev-All .*not the environment prod"):
        read_templates(settings_of("prod"), folder=folder)

    (folder / "All.template.json").write_text('{"Resources": {')
    with pytest.raises(InputError, match=r"All\.template\.json is not readable as JSON"):
        read_templates(settings_of("dev"), folder=folder)


def test_a_resource_on_a_condition_and_the_older_grant_type_are_refused(tmp_path):
    lake = SmallLake()
    lake.resources["Grantbroker"]["Condition"] = "Sometimes"
    with pytest.raises(InputError, match="Grantbroker has a condition"):
        lake.read(tmp_path)
    lake.add("Old", "AWS::LakeFormation::Permissions")
    with pytest.raises(InputError, match="AWS::LakeFormation::PrincipalPermissions"):
        lake.read(tmp_path)
