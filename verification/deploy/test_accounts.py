"""Accounts of the emulator at one address: who gets from one into another, and with what."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from verification.deploy.accounts.organization import Organization
from verification.deploy.accounts.organization import running as organized
from verification.deploy.accounts.sessions import ServiceError, credential_variables
from verification.deploy.process import Emulator, running

TOOLS, DEV = "777788889999", "111122223333"
BUILD = f"arn:aws:iam::{TOOLS}:role/build"
DEPLOY = f"arn:aws:iam::{DEV}:role/deploy"
PROJECT = f"arn:aws:codebuild:us-east-1:{TOOLS}:project/build"


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Emulator, Emulator]]:
    new = tmp_path_factory.mktemp
    with running(TOOLS, new("tools")) as tools, running(DEV, new("dev")) as dev:
        yield tools, dev


@pytest.fixture
def organization(places: tuple[Emulator, Emulator]) -> Iterator[Organization]:
    tools, dev = places
    of_project = {"ArnLike": {"aws:SourceArn": PROJECT}}
    build = _trust({"Service": "codebuild.amazonaws.com"}, of_project)
    deploy = _trust({"AWS": f"arn:aws:iam::{TOOLS}:root"})
    tools.client("iam").create_role(RoleName="build", AssumeRolePolicyDocument=build)
    dev.client("iam").create_role(RoleName="deploy", AssumeRolePolicyDocument=deploy)
    allowed = {"PolicyName": "Allow", "PolicyDocument": _policy("Allow", "sts:AssumeRole", DEPLOY)}
    tools.client("iam").put_role_policy(RoleName="build", **allowed)
    with organized(places) as instance:
        yield instance
    for account in places:
        iam = account.client("iam")
        for role in iam.list_roles()["Roles"]:
            name = role["RoleName"]
            for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
                iam.delete_role_policy(RoleName=name, PolicyName=policy)
            iam.delete_role(RoleName=name)


def _trust(principal: dict[str, str], condition: Any = None) -> str:
    conditions = {"Condition": condition} if condition else {}
    statement = {
        "Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", **conditions,
    }  # fmt: skip
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _assume(caller: Emulator) -> Any:
    return caller.client("sts").assume_role(RoleArn=DEPLOY, RoleSessionName="ada")["Credentials"]


def test_a_role_of_another_account_acts_in_that_account(
    organization: Organization, places: tuple[Emulator, Emulator]
) -> None:
    tools, dev = places
    caller = organization.person(tools, BUILD, "ada")
    assert caller.client("sts").get_caller_identity()["Arn"].endswith(":assumed-role/build/ada")
    keys = _assume(caller)
    members = ("AccessKeyId", "SecretAccessKey", "SessionToken")
    credentials = credential_variables(*(keys[member] for member in members))
    inside = Emulator(account=DEV, url=organization.url, home=tools.home, credentials=credentials)
    assert inside.client("sts").get_caller_identity()["Account"] == DEV
    inside.client("s3").create_bucket(Bucket="made-in-dev")
    assert "made-in-dev" in str(dev.client("s3").list_buckets())
    assert "made-in-dev" not in str(tools.client("s3").list_buckets())
    dev.client("s3").delete_bucket(Bucket="made-in-dev")


def _policy(effect: str, action: str, resource: str) -> str:
    statement = {"Effect": effect, "Action": action, "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _bound(tools: Any) -> None:
    document = _policy("Allow", "s3:*", "*")
    limit = tools.create_policy(PolicyName="limit", PolicyDocument=document)["Policy"]["Arn"]
    tools.put_role_permissions_boundary(RoleName="build", PermissionsBoundary=limit)


def _trust_others(dev: Any, principal: str, condition: Any = None) -> None:
    document = _trust({"AWS": f"arn:aws:iam::{principal}:root"}, condition)
    dev.update_assume_role_policy(RoleName="deploy", PolicyDocument=document)


# What keeps a caller out: each changes the IAM of the caller's account, or of the role's.
OBSTACLES: dict[str, Callable[[Any, Any], object]] = {
    "not allowed": lambda tools, _: tools.delete_role_policy(RoleName="build", PolicyName="Allow"),
    "not trusted": lambda _, dev: _trust_others(dev, "9" * 12),
    "denied": lambda tools, _: tools.put_role_policy(
        RoleName="build", PolicyName="Deny", PolicyDocument=_policy("Deny", "sts:AssumeRole", "*")
    ),
    "bounded": lambda tools, _: _bound(tools),
    "a condition": lambda _, dev: _trust_others(
        dev, TOOLS, {"StringEquals": {"sts:ExternalId": "secret"}}
    ),
}


@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_each_side_alone_keeps_a_caller_out(
    organization: Organization, places: tuple[Emulator, Emulator], obstacle: str
) -> None:
    OBSTACLES[obstacle](*(place.client("iam") for place in places))
    with pytest.raises(ClientError) as refused:
        _assume(organization.person(places[0], BUILD, "ada"))
    assert refused.value.response["Error"]["Code"] == "AccessDenied"
    assert f"sts:AssumeRole on resource: {DEPLOY}" in str(refused.value)


def test_a_service_gets_the_role_of_its_own_resource_alone(organization: Organization) -> None:
    assert organization.service("codebuild", BUILD, source=PROJECT).account == TOOLS
    for service, source in (("codebuild", f"{PROJECT}2"), ("lambda", PROJECT)):
        with pytest.raises(ServiceError, match="not authorized to perform AssumeRole"):
            organization.service(service, BUILD, source=source)


def test_only_credentials_that_end_are_taken(
    organization: Organization, places: tuple[Emulator, Emulator]
) -> None:
    tools, _ = places
    lasting = Emulator(account=TOOLS, url=organization.url, home=tools.home)
    with pytest.raises(ClientError, match="security token included in the request is invalid"):
        lasting.client("kms").list_keys()
    with pytest.raises(ClientError, match="security token included in the request is invalid"):
        lasting.client("s3").list_buckets()
    session = organization.service("codebuild", BUILD, source=PROJECT)
    caller = Emulator(
        account=TOOLS, url=organization.url, home=tools.home, credentials=session.variables()
    )
    caller.client("kms").list_keys()
    organization.end(session)
    with pytest.raises(ClientError, match="is expired"):
        caller.client("kms").list_keys()
