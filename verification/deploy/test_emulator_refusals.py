"""The emulator refuses what it does not implement and what CloudFormation refuses."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from verification.deploy.stacks import Stacks, Template, bucket, resource, role, template

VPC = resource("Vpc", "AWS::EC2::VPC", {"CidrBlock": "10.0.0.0/16"})
PARAMETER = {"Type": "String", "Value": "any"}


def single_resource(kind: str, **properties: Any) -> Template:
    return resource("Given", kind, properties)


# A property that the emulator would drop -> the name in its error.
DROPPED = {
    "AccessControl": single_resource(
        "AWS::S3::Bucket", BucketName="dropped-acl", AccessControl="PublicRead"
    ),
    "State": single_resource("AWS::Athena::WorkGroup", Name="dropped", State="DISABLED"),
    "Enabled": single_resource(
        "AWS::KMS::Key", Enabled=False, KeyPolicy={"Version": "2012-10-17", "Statement": []}
    ),
    "LogGroupClass": single_resource("AWS::Logs::LogGroup", LogGroupClass="INFREQUENT_ACCESS"),
    "TargetObjectKeyFormat": single_resource(
        "AWS::S3::Bucket",
        BucketName="dropped-format",
        LoggingConfiguration={
            "LogFilePrefix": "any/",
            "TargetObjectKeyFormat": {"SimplePrefix": {}},
        },
    ),
}


@pytest.mark.parametrize("name", DROPPED)
def test_what_would_be_dropped_fails_the_stack(stacks: Stacks, name: str) -> None:
    stack = f"dropped-{name}"

    assert stacks.deploy(stack, template(DROPPED[name])) == "ROLLBACK_COMPLETE"

    assert name in stacks.failure(stack)


def test_an_alias_moves_to_a_key_of_its_own_kind_alone(stacks: Stacks) -> None:
    """In place, and a stack of the old key's is left as it was if it fails."""
    policy = {"Version": "2012-10-17", "Statement": []}
    signing = {"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY", "KeyPolicy": policy}
    keys = [
        resource("First", "AWS::KMS::Key", signing),
        resource("Second", "AWS::KMS::Key", signing),
        resource("Data", "AWS::KMS::Key", {"KeyPolicy": policy}),
    ]

    def named(key: str) -> Any:
        alias = {"AliasName": "alias/some-signing", "TargetKeyId": {"Fn::GetAtt": [key, "Arn"]}}
        return template(*keys, resource("Alias", "AWS::KMS::Alias", alias))

    assert stacks.deploy("alias", named("First")) == "CREATE_COMPLETE"
    assert stacks.deploy("alias", named("Second")) == "UPDATE_COMPLETE"
    assert ("Alias", "AWS::KMS::Alias") not in stacks.replacements()
    assert stacks.deploy("alias", named("Data")) == "UPDATE_ROLLBACK_COMPLETE"
    assert "names a key of another type or usage" in stacks.failure("alias")


def test_a_resource_that_fails_half_made_is_deleted(stacks: Stacks) -> None:
    stacks.deploy("half-bucket", template(DROPPED["TargetObjectKeyFormat"]))
    half_role = role("half-made")
    half_role["Properties"]["ManagedPolicyArns"] = ["arn:aws:iam::aws:policy/NotThere"]
    stacks.deploy("half-role", template(half_role))

    with pytest.raises(ClientError, match="404"):
        stacks.emulator.client("s3").head_bucket(Bucket="dropped-format")
    with pytest.raises(ClientError, match="NoSuchEntity"):
        stacks.emulator.client("iam").get_role(RoleName="half-made")


def test_a_change_that_cannot_be_made_fails_the_update(stacks: Stacks) -> None:
    stacks.deploy("unchangeable", template(VPC))
    named = resource("Vpc", "AWS::EC2::VPC", {**VPC["Properties"], "EnableDnsSupport": False})

    assert stacks.deploy("unchangeable", template(named)) == "UPDATE_ROLLBACK_COMPLETE"

    assert "can't change EnableDnsSupport" in stacks.failure("unchangeable")


def test_an_endpoint_and_its_group_change_in_place(stacks: Stacks) -> None:
    def body(rule: Template, value: str, subnet: str) -> Template:
        tags = [{"Key": value, "Value": value}]
        subnets = [
            resource(
                name,
                "AWS::EC2::Subnet",
                {"VpcId": {"Ref": "Vpc"}, "CidrBlock": f"10.0.{index}.0/24"},
            )
            for index, name in enumerate(("One", "Two"))
        ]
        group = {
            "GroupDescription": "any",
            "VpcId": {"Ref": "Vpc"},
            "SecurityGroupIngress": [{"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1, **rule}],
            "Tags": tags,
        }
        endpoint = {
            "VpcId": {"Ref": "Vpc"},
            "ServiceName": "com.amazonaws.us-east-1.logs",
            "VpcEndpointType": "Interface",
            "SubnetIds": [{"Ref": subnet}],
            "SecurityGroupIds": [{"Ref": "Group"}],
            "Tags": tags,
        }
        return template(
            VPC,
            *subnets,
            resource("Group", "AWS::EC2::SecurityGroup", group),
            resource("Endpoint", "AWS::EC2::VPCEndpoint", endpoint),
            Outputs={"Subnet": {"Value": {"Ref": subnet}}, "Group": {"Value": {"Ref": "Group"}}},
        )

    ec2 = stacks.emulator.client("ec2")
    stacks.deploy("endpoint", body({"CidrIp": "10.0.0.0/8"}, "first", "One"))
    status = stacks.deploy("endpoint", body({"CidrIpv6": "::/0"}, "second", "Two"))

    assert status == "UPDATE_COMPLETE"
    outputs = stacks.outputs("endpoint")
    (group,) = ec2.describe_security_groups(GroupIds=[outputs["Group"]])["SecurityGroups"]
    (rule,) = group["IpPermissions"]
    assert rule["IpRanges"] == []
    assert [item["CidrIpv6"] for item in rule["Ipv6Ranges"]] == ["::/0"]
    in_vpc = [{"Name": "vpc-id", "Values": [group["VpcId"]]}]
    (endpoint,) = ec2.describe_vpc_endpoints(Filters=in_vpc)["VpcEndpoints"]
    assert endpoint["SubnetIds"] == [outputs["Subnet"]]
    second = [{"Key": "second", "Value": "second"}]
    assert [group["Tags"], endpoint["Tags"]] == [second, second]


def test_the_tags_of_a_parameter_and_of_a_repository_are_set(stacks: Stacks) -> None:
    def body(key: str) -> Template:
        parameter = {**PARAMETER, "Name": "tagged", "Tags": {key: "any"}}
        repository = {"RepositoryName": "tagged", "Tags": [{"Key": key, "Value": "any"}]}
        return template(
            resource("Name", "AWS::SSM::Parameter", parameter),
            resource("Images", "AWS::ECR::Repository", repository),
        )

    ssm, ecr = (stacks.emulator.client(name) for name in ("ssm", "ecr"))
    assert stacks.deploy("tags", body("first")) == "CREATE_COMPLETE", stacks.failure("tags")
    assert stacks.deploy("tags", body("second")) == "UPDATE_COMPLETE"

    (tag,) = ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId="tagged")["TagList"]
    assert tag["Key"] == "second"
    arn = ecr.describe_repositories()["repositories"][0]["repositoryArn"]
    (tag,) = ecr.list_tags_for_resource(resourceArn=arn)["tags"]
    assert tag["Key"] == "second"


def test_a_stack_that_can_only_be_deleted_takes_no_update(stacks: Stacks) -> None:
    stacks.deploy("final", template(DROPPED["State"]))
    with pytest.raises(ClientError, match="is in ROLLBACK_COMPLETE state and can not be updated"):
        stacks.deploy("final", template(bucket("final")))

    stacks.deploy("stuck", template(bucket("stuck")))
    stacks.emulator.client("s3").put_object(Bucket="stuck", Key="kept", Body=b"")
    stacks.delete("stuck")
    with pytest.raises(ClientError, match="is in DELETE_FAILED state and can not be updated"):
        stacks.deploy("stuck", template(bucket("other")))


def test_what_has_no_update_is_replaced_and_keeps_no_name(stacks: Stacks) -> None:
    def body(mode: str) -> Template:
        encryption = {"S3Encryptions": [{"S3EncryptionMode": mode}]}
        kind = "AWS::Glue::SecurityConfiguration"
        return template(single_resource(kind, Name="fixed", EncryptionConfiguration=encryption))

    stacks.deploy("no-update", body("SSE-S3"))
    change = stacks.plan("no-update", body("DISABLED"))["Changes"][0]["ResourceChange"]
    assert change["Replacement"] == "True"

    assert stacks.deploy("no-update", body("DISABLED")) == "UPDATE_ROLLBACK_COMPLETE"

    assert "AlreadyExists" in stacks.failure("no-update")
    glue = stacks.emulator.client("glue")
    configuration = glue.get_security_configuration(Name="fixed")["SecurityConfiguration"]
    assert configuration["EncryptionConfiguration"]["S3Encryption"] == [
        {"S3EncryptionMode": "SSE-S3"}
    ]


def test_a_change_set_needs_its_capabilities_and_references(stacks: Stacks) -> None:
    with pytest.raises(ClientError, match=r"Requires capabilities : \[CAPABILITY_NAMED_IAM\]"):
        stacks.plan("incapable", template(role("incapable")), Capabilities=["CAPABILITY_IAM"])
    unknown = resource("Name", "AWS::SSM::Parameter", {**PARAMETER, "Value": {"Ref": "Nobody"}})
    with pytest.raises(ClientError, match=r"Unresolved resource dependencies \[Nobody\]"):
        stacks.plan("unresolved", template(unknown))
    with pytest.raises(ClientError, match=r"\[Nowhere\] in the Outputs block"):
        outputs = {"Out": {"Value": {"Fn::Sub": "${Nowhere.Arn}"}}}
        stacks.plan("unresolved", template(bucket("unresolved"), Outputs=outputs))

    assert not stacks.exists("incapable")


def test_what_does_not_exist_by_condition_is_not_waited_for(stacks: Stacks) -> None:
    conditions = {"Never": {"Fn::Equals": ["a", "b"]}}
    absent = bucket("absent", Condition="Never")
    name = resource("Name", "AWS::SSM::Parameter", PARAMETER, DependsOn="Bucket")

    status = stacks.deploy("conditional", template(absent, name, Conditions=conditions))

    assert status == "CREATE_COMPLETE"
