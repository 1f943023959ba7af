"""The people of the accounts: roles that IAM Identity Center made, and who signs in to them."""

import json
from dataclasses import replace

from verification.deploy.accounts.organization import Organization
from verification.deploy.process import Emulator

_PATH = "/aws-reserved/sso.amazonaws.com/"
_SUFFIX = "0123456789abcdef"
_ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"


def role_of(account: Emulator, permission_set: str) -> str:
    """Returns the ARN of the role of a permission set in an account."""
    return f"arn:aws:iam::{account.account}:role{_PATH}AWSReservedSSO_{permission_set}_{_SUFFIX}"


def provision(account: Emulator, permission_set: str, *allowed: tuple[str, str]) -> None:
    """Makes the role of a permission set: of administrators, or of actions on resources."""
    iam, name = account.client("iam"), f"AWSReservedSSO_{permission_set}_{_SUFFIX}"
    provider = f"arn:aws:iam::{account.account}:saml-provider/AWSSSO_{_SUFFIX}_DO_NOT_DELETE"
    trust = {
        "Effect": "Allow",
        "Principal": {"Federated": provider},
        "Action": ["sts:AssumeRoleWithSAML"],
    }
    iam.create_role(Path=_PATH, RoleName=name, AssumeRolePolicyDocument=_document(trust))
    if not allowed:
        iam.attach_role_policy(RoleName=name, PolicyArn=_ADMINISTRATOR)
        return
    statements = [
        {"Effect": "Allow", "Action": action, "Resource": resource} for action, resource in allowed
    ]
    iam.put_role_policy(
        RoleName=name, PolicyName="AwsSSOInlinePolicy", PolicyDocument=_document(*statements)
    )


def _document(*statements: object) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def sign_in(
    organization: Organization, account: Emulator, permission_set: str, name: str
) -> Emulator:
    """Returns an account as a person sees it who signed in."""
    return organization.person(account, role_of(account, permission_set), name)


def act_as(person: Emulator, role: str, name: str) -> Emulator:
    """Returns an account as a person sees it who has assumed a role, if its trust lets them."""
    arn = f"arn:aws:iam::{person.account}:role/{role}"
    keys = person.client("sts").assume_role(RoleArn=arn, RoleSessionName=name)["Credentials"]
    credentials = {
        "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
        "AWS_SESSION_TOKEN": keys["SessionToken"],
    }
    return replace(person, credentials=credentials)


def answer(approver: Emulator, pipeline: str, *, stage: str = "", status: str = "Approved") -> str:
    """Answers an approval that a pipeline waits for, of a stage or the only one.

    Returns:
        What the person was shown.
    """
    api = approver.client("codepipeline")
    states = api.get_pipeline_state(name=pipeline)["stageStates"]
    (waiting,) = (item for item in states if stage in ("", item["stageName"]))
    (action,) = waiting["actionStates"]
    api.put_approval_result(
        pipelineName=pipeline,
        stageName=waiting["stageName"],
        actionName=action["actionName"],
        token=action["latestExecution"]["token"],
        result={"status": status, "summary": "looked at the list"},
    )
    return str(action["latestExecution"]["summary"])
