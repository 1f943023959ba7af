"""Who deploys, and who reads objects and logs, whatever policies an account's administrators write.

Sources: the bootstrap template of the pinned CDK command line, whose roles trust their account as a
whole; "Assume a role" and "Grant a user permissions to pass a role to an AWS service", IAM User
Guide; "Configuring IAM policies for using access points", Amazon S3 User Guide (the resource of a
request by an access point is the access point); "Encrypt log data in CloudWatch Logs using AWS Key
Management Service", Amazon CloudWatch Logs User Guide (Logs decrypts for whoever may read).
"""

from collections.abc import Iterable
from typing import Final

from sashiko.aws.operations.organization.accounts import Accounts
from sashiko.aws.operations.organization.policy import Statement, deny, except_for
from sashiko.aws.resources.names import (
    GITHUB_DEPLOYER,
    GITHUB_READER,
    BootstrapRole,
    Bucket,
    Role,
    bootstrap_role_arn,
    bucket_name,
)
from sashiko.settings.environment import Settings

_DEPLOYING: Final[tuple[BootstrapRole, ...]] = ("deploy", "file-publishing", "image-publishing")
_DATA: Final[tuple[Bucket, ...]] = ("raw", "curated", "snapshots", "capture")
_READERS: Final[tuple[Role, ...]] = (
    "bias-evaluator",
    "break-glass",
    "broker",
    "data-scientist",
    "etl",
    "lake-formation",
    "monitor",
    "privacy-officer",
    "training",
)
_LOG_READING: Final = (
    "logs:FilterLogEvents",
    "logs:GetLogEvents",
    "logs:GetLogRecord",
    "logs:GetQueryResults",
    "logs:StartLiveTail",
    "logs:StartQuery",
    "logs:Unmask",
)


def access_guards(accounts: Accounts) -> tuple[Statement, ...]:
    """Returns the statements about the bootstrap's roles, builds, the data's objects and logs."""
    lookups = _bootstrap_roles(accounts, ["lookup"])
    return (
        deny(
            "DeploysByDeployers",
            ["sts:AssumeRole"],
            resources=_bootstrap_roles(accounts, _DEPLOYING),
            conditions=except_for(_deployers(accounts)),
        ),
        deny(
            "ComparesByDelivery",
            ["sts:AssumeRole"],
            resources=lookups,
            conditions=except_for(_comparers(accounts)),
        ),
        # Or somebody who may pass it deploys without the bootstrap's `deploy`.
        deny(
            "CloudFormationByDeploy",
            ["iam:PassRole"],
            resources=accounts.deployers(),
            conditions=except_for(_bootstrap_roles(accounts, ["deploy"])),
        ),
        deny(
            "ObjectsByReaders",
            ["s3:GetObject", "s3:GetObjectVersion"],
            resources=[
                *accounts.arns("arn:aws:s3:{region}:{account}:accesspoint/*", in_tools=False),
                *(
                    f"arn:aws:s3:::{bucket_name(one, bucket)}/*"
                    for one in accounts.environments
                    for bucket in _DATA
                ),
            ],
            conditions=except_for(accounts.roles(lambda _: _READERS)),
        ),
        # Whoever starts a build may give it other commands, another source and other variables.
        deny(
            "BuildsByTheirStarters",
            [
                "codebuild:RetryBuild",
                "codebuild:RetryBuildBatch",
                "codebuild:StartBuild",
                "codebuild:StartBuildBatch",
            ],
            resources=accounts.arns("arn:aws:codebuild:{region}:{account}:project/{prefix}-*"),
            conditions=except_for(_starters(accounts)),
        ),
        deny("NoLogsByLookup", _LOG_READING, conditions={"ArnLike": {"aws:PrincipalArn": lookups}}),
    )


def _bootstrap_roles(accounts: Accounts, parts: Iterable[BootstrapRole]) -> list[str]:
    return sorted({bootstrap_role_arn(one, part) for one in accounts.places for part in parts})


def _deployers(accounts: Accounts) -> list[str]:
    github = [one.role_arn(GITHUB_DEPLOYER) for one in _of_github(accounts)]
    return [*accounts.roles(lambda _: ("deployer",)), *github, *_builds(accounts, "deploy")]


def _comparers(accounts: Accounts) -> list[str]:
    github = [one.role_arn(GITHUB_READER) for one in _of_github(accounts)]
    return [*github, *_builds(accounts, "difference"), *_builds(accounts, "deploy")]


def _starters(accounts: Accounts) -> list[str]:
    tools = accounts.tools
    delivery = [tools.role_arn(name) for name in ("approvals", "pipeline")] if tools else []
    return [*accounts.roles(lambda _: ("image-build-starter",)), *delivery]


def _of_github(accounts: Accounts) -> tuple[Settings, ...]:
    return accounts.environments if accounts.github else ()


def _builds(accounts: Accounts, kind: str) -> list[str]:
    """Returns the roles of the builds in the tools' account that compare or deploy."""
    tools = accounts.tools
    return [tools.role_arn(f"{one.environment}-{kind}") for one in accounts.places] if tools else []
