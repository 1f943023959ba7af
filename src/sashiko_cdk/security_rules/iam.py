"""Rules of roles and of resource policies."""

import re
from collections.abc import Iterator, Sequence

from sashiko_cdk.security_rules.rule import Finding, Rule
from sashiko_cdk.security_rules.template import Resource, Statement, statements, text, values_at

# Resource policies, and inline ones that cdk-nag's IAM5 does not read.
_DOCUMENTS = {
    "AWS::EC2::VPCEndpoint": "PolicyDocument",
    "AWS::ECR::Repository": "RepositoryPolicyText",
    "AWS::Events::EventBus": "Policy",
    "AWS::Glue::DataCatalogEncryptionSettings": "PolicyInJson",
    "AWS::IAM::RolePolicy": "PolicyDocument",
    "AWS::KMS::Key": "KeyPolicy",
    "AWS::S3::BucketPolicy": "PolicyDocument",
    "AWS::SNS::TopicPolicy": "PolicyDocument",
    "AWS::SQS::QueuePolicy": "PolicyDocument",
}
# Any of them limits a call by a service or any principal to this account or its network.
_TIES = {
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:principalaccount",
    "aws:principalarn",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "kms:calleraccount",
    "kms:encryptioncontext:aws:logs:arn",
}
_DEPUTY = {"aws:sourceaccount", "aws:sourcearn"}
_BOUNDARY = re.compile(r":policy/cdk-[a-z0-9]+-boundary-[a-z0-9-]+$")


def _allowed(resources: Sequence[Resource]) -> Iterator[tuple[Resource, str, Statement]]:
    for resource in resources:
        key = _DOCUMENTS.get(resource.kind)
        for document in values_at(resource.properties, key) if key else []:
            for statement in statements(document):
                if statement.allows:
                    yield resource, f"Properties/{key}", statement


def _wildcards(resources: Sequence[Resource]) -> Iterator[Finding]:
    for resource, where, statement in _allowed(resources):
        details = [f"Action::{action}" for action in statement.actions if "*" in action]
        details += [f"Resource::{arn}" for arn in statement.resources if "*" in arn]
        if resource.kind == "AWS::KMS::Key":
            # The resource of a key policy is its key, and "kms:*" for the account's root delegates
            # access to IAM.
            delegates = all(name.endswith(":root") for _, name in statement.principals)
            details = [
                detail
                for detail in details
                if detail != "Resource::*" and not (delegates and detail == "Action::kms:*")
            ]
        for detail in details:
            yield Finding(resource=resource, where=where, detail=detail)


def _public(resources: Sequence[Resource]) -> Iterator[Finding]:
    for resource, where, statement in _allowed(resources):
        anybody = any(name == "*" for _, name in statement.principals)
        if anybody and not statement.conditions & _TIES:
            yield Finding(resource=resource, where=where)


def _confused_deputies(resources: Sequence[Resource]) -> Iterator[Finding]:
    for resource in resources:
        if resource.kind == "AWS::IAM::Role":
            document = resource.properties["AssumeRolePolicyDocument"]
            for statement in statements(document):
                if _by_service(statement) and not statement.conditions >= _DEPUTY:
                    yield Finding(resource=resource, where="Properties/AssumeRolePolicyDocument")
    for resource, where, statement in _allowed(resources):
        if _by_service(statement) and not statement.conditions & _TIES:
            yield Finding(resource=resource, where=where)


def _by_service(statement: Statement) -> bool:
    return statement.allows and any(kind == "Service" for kind, _ in statement.principals)


def _without_boundary(resources: Sequence[Resource]) -> Iterator[Finding]:
    for resource in resources:
        if resource.kind != "AWS::IAM::Role":
            continue
        boundary = text(resource.properties.get("PermissionsBoundary", ""))
        if not _BOUNDARY.search(boundary):
            yield Finding(resource=resource, where="Properties/PermissionsBoundary")


RULES = (
    Rule(
        name="wildcard",
        description="A policy on a resource allows by wildcard.",
        fix="Name the actions and resources, or acknowledge the wildcard with its reason.",
        check=_wildcards,
    ),
    Rule(
        name="public",
        description="A policy allows everybody, without a condition that means this account.",
        fix="Name the principals, or add a condition on aws:PrincipalAccount.",
        check=_public,
    ),
    Rule(
        name="confused-deputy",
        description="A service may act here on behalf of another account.",
        fix="Add conditions on aws:SourceAccount and aws:SourceArn, as sashiko_cdk.identity.trust, "
        "where the service's documentation has them; else acknowledge it and say why.",
        check=_confused_deputies,
    ),
    Rule(
        name="boundary",
        description="A role lacks the project's permissions boundary.",
        fix="Pass boundary_of (src/sashiko_cdk/identity/boundary.py) as permissions_boundary.",
        check=_without_boundary,
    ),
)
