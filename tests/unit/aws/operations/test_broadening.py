"""What a deploy allows beyond what is deployed: each kind of change, and its opposite."""

from collections.abc import Mapping
from typing import Any

import pytest

from sashiko.aws.operations.broadening.bootstrap import lacking
from sashiko.aws.operations.broadening.compare import broadenings

Properties = Mapping[str, Any]
ROLE = "arn:aws:iam::111122223333:role/sashiko-dev-broker"


def _changes(
    old: Properties | None, new: Properties | None, kind: str = "AWS::IAM::ManagedPolicy"
) -> list[tuple[str, str]]:
    """Returns (kind, change) of one resource, whose stack is there before and after."""
    templates = [
        {"sashiko-dev-X": {"Resources": {"It": {"Type": kind, "Properties": one}} if one else {}}}
        for one in (old, new)
    ]
    return [(item.kind, item.change) for item in broadenings(*templates)]


def _policy(**statement: Any) -> Properties:
    allow = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::raw/*"}
    return {"PolicyDocument": {"Statement": [allow | statement]}}


def _key(*principals: str) -> Properties:
    document = {"Principal": {"AWS": list(principals)}, "Resource": "*", "Action": "kms:Decrypt"}
    return {"KeyPolicy": _policy(**document)["PolicyDocument"]}


def _trust(service: str, **conditions: Any) -> Properties:
    trust = {"Principal": {"Service": service}, "Action": "sts:AssumeRole", "Condition": conditions}
    return {
        "AssumeRolePolicyDocument": {"Statement": {"Effect": "Allow"} | trust},
        "PermissionsBoundary": "arn:aws:iam::111122223333:policy/cap",
    }


_DENY = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"}


def test_the_same_templates_broaden_nothing() -> None:
    assert _changes(_policy(), _policy()) == []


def test_a_stack_that_is_not_deployed_allows_nothing_yet() -> None:
    new = {"S": {"Resources": {"P": {"Type": "AWS::IAM::Policy", "Properties": _policy()}}}}
    (change,) = broadenings({}, new)
    assert change.change == "allows s3:GetObject on arn:aws:s3:::raw/*"
    assert (change.stack, change.resource) == ("S", "P (AWS::IAM::Policy)")


WIDER: dict[str, tuple[Properties, Properties]] = {
    "action": (_policy(), _policy(Action=["s3:GetObject", "s3:PutObject"])),
    "wildcard in an action": (_policy(), _policy(Action="s3:Get*")),
    "resource": (_policy(), _policy(Resource="arn:aws:s3:::*")),
    "resource by a function": (_policy(), _policy(Resource={"Fn::GetAtt": ["Raw", "Arn"]})),
    "all but": (
        _policy(),
        {
            "PolicyDocument": {
                "Statement": [{"Effect": "Allow"} | {"NotAction": "iam:*", "Resource": "*"}]
            }
        },
    ),
    "condition gone": (_policy(Condition={"Bool": {"aws:SecureTransport": "true"}}), _policy()),
    "condition of more values": (
        _policy(Condition={"StringEquals": {"aws:SourceVpc": ["vpc-1"]}}),
        _policy(Condition={"StringEquals": {"aws:SourceVpc": ["vpc-1", "vpc-2"]}}),
    ),
    "exception grows": (
        _policy(Condition={"StringNotEquals": {"aws:SourceVpc": ["vpc-1", "vpc-2"]}}),
        _policy(Condition={"StringNotEquals": {"aws:SourceVpc": ["vpc-1"]}}),
    ),
    "one more role": (_policy(), {**_policy(), "Roles": ["sashiko-dev-training"]}),
}


@pytest.mark.parametrize("name", WIDER)
def test_a_wider_policy_broadens_and_a_narrower_one_does_not(name: str) -> None:
    narrow, wide = WIDER[name]
    assert [kind for kind, _ in _changes(narrow, wide)] == ["iam"]
    # What a function returns, and what `all but` leaves, is compared by equality alone.
    unknown = {"resource by a function", "all but"}
    assert len(_changes(wide, narrow)) == (1 if name in unknown else 0)


def test_a_deny_that_is_gone_or_covers_less_broadens() -> None:
    kind = "AWS::S3::BucketPolicy"
    old = {"PolicyDocument": {"Statement": [_DENY]}}
    less = {"PolicyDocument": {"Statement": [_DENY | {"Action": "s3:Put*"}]}}
    assert _changes(old, None, kind) == [("iam", "no longer denies s3:* on * to *")]
    assert _changes(old, less, kind) == [("iam", "no longer denies s3:* on * to *")]
    assert _changes(less, old, kind) == []


def test_who_may_assume_a_role_and_what_limits_it() -> None:
    lambda_, glue = _trust("lambda.amazonaws.com"), _trust("glue.amazonaws.com")
    unlimited = {key: value for key, value in lambda_.items() if key != "PermissionsBoundary"}
    role = "AWS::IAM::Role"
    assert _changes(lambda_, glue, role) == [
        ("iam", "allows sts:AssumeRole on * to Service glue.amazonaws.com")
    ]
    assert [kind for kind, _ in _changes(lambda_, unlimited, role)] == ["iam"]
    ((_, change),) = _changes(lambda_, {**lambda_, "ManagedPolicyArns": ["arn:a"]}, role)
    assert change == "attaches arn:a"
    assert _changes({**lambda_, "ManagedPolicyArns": ["arn:a"]}, lambda_, role) == []


def test_a_key_that_another_account_may_use() -> None:
    other = "arn:aws:iam::444455556666:root"
    ((kind, change),) = _changes(_key(ROLE), _key(ROLE, other), "AWS::KMS::Key")
    assert kind == "kms"
    assert change == f"allows kms:Decrypt on * to AWS {other}"
    assert _changes(_key(ROLE, other), _key(ROLE), "AWS::KMS::Key") == []


def _grant(*permissions: str, grantable: tuple[str, ...] = ()) -> Properties:
    return {
        "Principal": {"DataLakePrincipalIdentifier": ROLE},
        "Resource": {"Table": {"DatabaseName": "d", "Name": "complaints"}},
        "Permissions": list(permissions),
        "PermissionsWithGrantOption": list(grantable),
    }


def _filter(rows: str) -> Properties:
    return {"Name": "training", "RowFilter": {"FilterExpression": rows}}


def test_grants_filters_and_places_of_lake_formation() -> None:
    grants = "AWS::LakeFormation::PrincipalPermissions"
    ((kind, change),) = _changes(_grant("SELECT"), _grant("SELECT", "INSERT"), grants)
    assert kind == "lakeformation" and change.startswith("grants INSERT on ")
    assert len(_changes(_grant("SELECT"), _grant("SELECT", grantable=("SELECT",)), grants)) == 1
    assert _changes(_grant("SELECT", "INSERT"), _grant("SELECT"), grants) == []
    rows = "AWS::LakeFormation::DataCellsFilter"
    assert _changes(_filter("age > 18"), _filter("TRUE"), rows) == [
        ("lakeformation", "changes RowFilter")
    ]
    place = {"ResourceArn": "arn:aws:s3:::raw", "RoleArn": ROLE}
    assert _changes(None, place, "AWS::LakeFormation::Resource") == [("lakeformation", "is new")]
    assert _changes(place, None, "AWS::LakeFormation::Resource") == []
    admins = {"Admins": [ROLE]}
    assert _changes({"Admins": []}, admins, "Custom::DataLakeSettings") == [
        ("lakeformation", "changes Admins")
    ]


def _group(*ports: int) -> Properties:
    rules = [{"IpProtocol": "tcp", "FromPort": port, "CidrIp": "10.0.0.0/16"} for port in ports]
    return {"GroupDescription": "jobs", "SecurityGroupIngress": rules}


def _endpoint(**policy: Any) -> Properties:
    document = _policy(Principal="*", **policy)["PolicyDocument"]
    return {"ServiceName": "s3", "SubnetIds": ["a"], "PolicyDocument": document}


def test_ways_into_and_out_of_the_network() -> None:
    group, endpoint = "AWS::EC2::SecurityGroup", "AWS::EC2::VPCEndpoint"
    ((kind, change),) = _changes(_group(443), _group(443, 22), group)
    assert kind == "network" and change.startswith("lets in ") and "22" in change
    assert _changes(_group(443, 22), _group(443), group) == []
    route = {"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "igw"}
    assert _changes(None, route, "AWS::EC2::Route") == [("network", "is new")]
    assert [kind for kind, _ in _changes(_endpoint(), _endpoint(Action="s3:*"), endpoint)] == [
        "network"
    ]
    moved = {**_endpoint(), "SubnetIds": ["a", "b"]}
    assert _changes(_endpoint(), moved, endpoint) == [("network", "changes SubnetIds")]
    assert _changes(_endpoint(), {**_endpoint(), "Tags": ["x"]}, endpoint) == []
    closed = {"PublicAccessBlockConfiguration": {"BlockPublicPolicy": True}}
    assert _changes(closed, {"BucketName": "raw"}, "AWS::S3::Bucket") == [
        ("iam", "no longer has BlockPublicPolicy")
    ]


def test_the_pipeline_that_delivers_asks_before_it_loses_an_approval() -> None:
    approved = {"Stages": [{"Name": "prod-approval"}, {"Name": "prod-deploy"}]}
    open_ = {"Stages": [{"Name": "prod-deploy"}]}
    assert _changes(approved, open_, "AWS::CodePipeline::Pipeline") == [
        ("delivery", "changes Stages")
    ]


def _bootstrap(*parts: Properties) -> dict[str, Any]:
    policies = {
        f"Execution{number}": {
            "Type": "AWS::IAM::ManagedPolicy",
            "Properties": {"ManagedPolicyName": f"cdk-x-execution-{number}-r", **part},
        }
        for number, part in enumerate(parts)
    }
    return {"sashiko-bootstrap": {"Resources": policies}}


def test_what_cloudformation_may_do_is_compared_over_all_its_policies() -> None:
    reads, tags = _policy(), _policy(Action="s3:PutBucketTagging")
    assert lacking(_bootstrap(reads, tags), _bootstrap(tags, reads)) == ()
    assert lacking(_bootstrap(reads), _bootstrap(tags, reads)) == (
        "allows s3:PutBucketTagging on arn:aws:s3:::raw/*",
    )
    assert len(lacking({}, _bootstrap(tags, reads))) == 2


def test_a_change_of_type_under_one_id_counts_as_new() -> None:
    old = {"S": {"Resources": {"It": {"Type": "AWS::S3::Bucket", "Properties": {}}}}}
    new = {"S": {"Resources": {"It": {"Type": "AWS::IAM::Policy", "Properties": _policy()}}}}
    assert len(broadenings(old, new)) == 1


def test_whoever_may_sign_tokens_for_the_account() -> None:
    kind, url = "AWS::IAM::OIDCProvider", "https://token.actions.githubusercontent.com"
    provider = {"Url": url, "ClientIdList": ["sts.amazonaws.com"]}
    assert _changes(None, provider, kind) == [("iam", "is new")]
    assert _changes(provider, {**provider, "ClientIdList": ["sts.amazonaws.com", "x"]}, kind) == [
        ("iam", "changes ClientIdList")
    ]
    claims = {"StringEquals": {f"{url[8:]}:ref": "refs/heads/main"}}
    statement = {
        "Effect": "Allow",
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Principal": {"Federated": "arn:aws:iam::111122223333:oidc-provider/" + url[8:]},
    }
    narrow, wide = (
        {"AssumeRolePolicyDocument": {"Statement": [item]}}
        for item in ({**statement, "Condition": claims}, statement)
    )
    assert [kind for kind, _ in _changes(narrow, wide, "AWS::IAM::Role")] == ["iam"]
    assert _changes(wide, wide, "AWS::IAM::Role") == []
