"""The CodeBuild projects of the pipeline: what each runs, and a role for each."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from aws_cdk import RemovalPolicy
from aws_cdk import aws_codebuild as codebuild
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct
from sashiko_cdk.platform.image_permissions import writing_logs

from sashiko.account.names import bootstrap_role_arn, bucket_name, prefix
from sashiko.settings.environment import Settings
from sashiko.settings.tools import TOOLS, Tools
from sashiko_cdk.identity.allow import Allowed, allow, explain
from sashiko_cdk.identity.trust import service
from sashiko_cdk.security_rules.acknowledge import acknowledge
from sashiko_packs.delivery.constructs.parts import CACHE, Part, Stores

# What each part of the pipeline runs: the buildspecs of CodeBuild.
#
# They are part of the template, which a person approves each change of. They run the project's own
# `make` targets, except the difference: what the approver reads is made by nothing of the commit.


# Names of the artifact that every environment gets, and of the variables that builds pass on.
ASSEMBLY: Final = "ASSEMBLY"  # SHA-256 of the artifact
_TAR = "assembly.tar"
_LOCKS = "locks.txt"  # by whose content a cache of packages is named
_UNPACKED = "project"
_DIFFERENCE = "difference"
_CLI = "cli"  # folder of the CDK's command line
_RUNTIMES = {"python": "3.11", "nodejs": "22"}
_CACHE = "/var/cache/packages"
_CACHES = {
    "PIP_CACHE_DIR": f"{_CACHE}/pip",  # pip installs uv alone
    "UV_CACHE_DIR": f"{_CACHE}/uv",
    "NPM_CONFIG_CACHE": f"{_CACHE}/npm",
}
_OF_CHECKOUT = "requirements/*.txt package-lock.json"
_PINS = ("package.json", "package-lock.json")  # of the CDK's command line, with its hash


def buildspec(part: Part, *, branch: str, names: Sequence[str]) -> str:
    """Returns a part's buildspec.

    Args:
        part: what it is for.
        branch: the branch that is delivered.
        names: what is synthesized, each by the name that `ENV` takes.
    """
    if part.kind == "test":
        spec = _spec(
            [*_refusing_unmerged(branch), "make check test"], locks=_OF_CHECKOUT, clones=True
        )
    elif part.kind == "synth":
        spec = _spec(
            [*_refusing_unmerged(branch), *_synthesizing(names)],
            locks=_OF_CHECKOUT,
            clones=True,
            exports=[ASSEMBLY],
            artifacts={"files": [_TAR, _LOCKS]},
        )
    elif part.kind == "difference":
        spec = _spec(
            [*_verifying(part), *_comparing(_place(part))],
            locks=_LOCKS,
            artifacts={"base-directory": _DIFFERENCE, "files": ["**/*"]},
        )
    else:
        spec = _spec([*_verifying(part), *_deploying(_place(part))], locks=_LOCKS)
    return json.dumps(spec, indent=1)


def _spec(
    commands: Sequence[str],
    *,
    locks: str,
    clones: bool = False,
    exports: Sequence[str] = (),
    artifacts: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Returns a buildspec with a cache that is named by the content of the lock files.

    CodeBuild never changes a cache under a key ("Amazon S3 caching", CodeBuild User Guide); the
    newest other one is taken where the locks have changed.
    """
    return {
        "version": 0.2,
        "env": {
            "shell": "bash",
            "variables": _CACHES,
            "exported-variables": list(exports),
            **({"git-credential-helper": "yes"} if clones else {}),
        },
        "phases": {
            "install": {"runtime-versions": _RUNTIMES},
            "build": {"commands": ["set -euo pipefail", *commands]},
        },
        **({"artifacts": artifacts} if artifacts else {}),
        "cache": {
            "key": f"packages-$(codebuild-hash-files {locks})",
            "fallback-keys": ["packages-"],
            "paths": [f"{_CACHE}/**/*"],
        },
    }


def _synthesizing(names: Sequence[str]) -> list[str]:
    """Synthesizes everything once, and packs it with the commit's files, which deploys run.

    A tar keeps what a zip of CodePipeline's does not: links and modes.
    """
    return [
        *(f'make synth ENV={name} ARGS="--output cdk.out/{name}"' for name in names),
        f"git archive --output {_TAR} HEAD",
        f"tar -rf {_TAR} cdk.out",
        f"cat {_OF_CHECKOUT} > {_LOCKS}",
        f"export {ASSEMBLY}=$(sha256sum {_TAR} | cut -d ' ' -f 1)",
    ]


def _refusing_unmerged(branch: str) -> list[str]:
    """Ends the build before it runs anything of a commit that the branch does not contain.

    An execution can be started with any commit of the repository ("the source revision ID applies
    to all content in the repository, across all branches": "Start a pipeline with a source revision
    override", CodePipeline User Guide). The full clone has the remote's branches; where it has
    not, git fetches the branch by CodeBuild's credential helper, as in "Tutorial: Use full clone
    with a CodeCommit pipeline source".
    """
    remote = f"refs/remotes/origin/{branch}"
    refusal = (
        f"This commit is not in the branch {branch}. Nothing of it was run. Merge it: a merge is "
        "what starts a delivery"
    )
    return [
        f"git rev-parse --quiet --verify {shlex.quote(remote)} > /dev/null || "
        f"git fetch --quiet origin {shlex.quote(f'+refs/heads/{branch}:{remote}')}",
        f"git merge-base --is-ancestor HEAD {shlex.quote(remote)} || "
        f"{{ echo {shlex.quote(refusal)}; exit 1; }}",
    ]


def _verifying(part: Part) -> list[str]:
    """Ends the build unless the assembly is the one that the synth of this execution wrote."""
    refusal = (
        "The assembly is not the one that was synthesized: the access logs of the bucket of "
        "artifacts say who wrote it. Then: aws codepipeline start-pipeline-execution --name "
        f"{prefix(part.tools)} --region {part.tools.region}"
    )
    return [
        f'echo "${ASSEMBLY}  {_TAR}" | sha256sum --check || {{ echo "{refusal}"; exit 1; }}',
    ]


def _comparing(place: Settings) -> list[str]:
    """Writes what changes, by the command line that the pipeline's own template pins.

    This runs before a person has approved and may read the account. So it takes the templates of
    the commit and runs nothing of it: neither its packages nor its `cdk.json`, which could name a
    plugin.
    """
    assembly, file = f"cdk.out/{place.environment}", f"{_DIFFERENCE}/diff.txt"
    pins = {name: Path(name).read_text(encoding="utf-8") for name in _PINS}
    return [
        f"mkdir {_DIFFERENCE} {_CLI}",
        f"tar -xf {_TAR} {assembly}",
        *(f"printf %s {shlex.quote(text)} > {_CLI}/{name}" for name, text in pins.items()),
        f"npm ci --prefix {_CLI} --ignore-scripts --no-audit --no-fund",
        f"{_CLI}/node_modules/.bin/cdk diff --app {assembly} --method=template --no-color "
        f"> {file} 2>&1 || {{ cat {file}; exit 1; }}",
        f"cat {file}",
    ]


def _deploying(place: Settings) -> list[str]:
    """Checks the version that would be served, as `make deploy` does, and deploys."""
    name = place.environment
    check = [
        "make deploy-tools",
        *_looking_up(place),
        f"AWS_PROFILE=lookup .venv/bin/sashiko preflight --env {name}",
    ]
    return [
        f"mkdir {_UNPACKED}",
        f"tar -xf {_TAR} -C {_UNPACKED}",
        f"cd {_UNPACKED}",
        "make node_modules/.done",
        *(check if name != TOOLS else []),
        f"npx --no-install cdk deploy --app cdk.out/{name} --all --require-approval=never",
    ]


def _looking_up(place: Settings) -> list[str]:
    """Writes the profile `lookup`: the account's role that reads, by the build's own role."""
    lines = [
        "[profile lookup]",
        f"role_arn = {bootstrap_role_arn(place, 'lookup')}",
        "credential_source = EcsContainer",
        f"region = {place.region}",
    ]
    return [
        f"printf '%s\\n' {shlex.join(lines)} > ~/lookup.config",
        "export AWS_CONFIG_FILE=~/lookup.config",
    ]


def _place(part: Part) -> Settings:
    if part.place is None:
        raise ValueError(f"{part.id} compares with no account")
    return part.place


_MACHINE: Final = "aws/codebuild/amazonlinux-x86_64-standard:5.0"
_QUEUED_MINUTES: Final = 480
# A first deploy builds an environment's images, each for 50 minutes at most.
_MINUTES: Final = {"test": 120, "synth": 60, "difference": 60, "deploy": 480}
_KEY_USE = (
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
)
_LONGEST_FOLDER = 20


class Build(Construct):
    """A part of the pipeline: its project, its role and its log."""

    def __init__(
        self,
        scope: Construct,
        part: Part,
        *,
        tools: Tools,
        names: Sequence[str],
        stores: Stores,
        boundary: iam.IManagedPolicy,
        removal_policy: RemovalPolicy,
    ) -> None:
        """Makes the part; `names` are what is synthesized, each by the name that `ENV` takes."""
        super().__init__(scope, part.id)
        settings = tools.settings
        log = logs.LogGroup(
            self,
            "Log",
            log_group_name=part.log_group,
            retention=logs.RetentionDays.ONE_YEAR,
            encryption_key=stores.key,
            removal_policy=removal_policy,
        )
        allowed = [
            *writing_logs(settings, part.log_group),
            *_using_stores(tools, part, stores),
            *([allow(["sts:AssumeRole"], part.assumes)] if part.assumes else []),
            *(reading_repository(tools) if part.place is None else ()),
        ]
        role = iam.Role(
            self,
            "Role",
            role_name=part.name,
            description=_description(part),
            assumed_by=service(settings, "codebuild", f"project/{part.name}"),
            permissions_boundary=boundary,
            inline_policies={
                "own": iam.PolicyDocument(statements=[item.statement for item in allowed])
            },
        )
        explain(role, allowed)
        acknowledge(
            role,
            {
                "NIST-IAMNoInlinePolicy": "The policy is of this one role and lives and dies with "
                "it; the boundary limits it."
            },
        )
        project = codebuild.CfnProject(
            self,
            "Project",
            name=part.name,
            description=_description(part),
            service_role=role.role_arn,
            source=codebuild.CfnProject.SourceProperty(
                type="CODEPIPELINE",
                build_spec=buildspec(part, branch=tools.delivery.source.branch, names=names),
            ),
            artifacts=codebuild.CfnProject.ArtifactsProperty(type="CODEPIPELINE"),
            cache=codebuild.CfnProject.ProjectCacheProperty(
                type="S3", location=f"{bucket_name(settings, 'artifacts')}/{CACHE}{part.id}"
            ),
            encryption_key=stores.key.key_arn,
            environment=codebuild.CfnProject.EnvironmentProperty(
                type="LINUX_CONTAINER",
                image=_MACHINE,
                compute_type="BUILD_GENERAL1_MEDIUM",
                privileged_mode=False,
            ),
            logs_config=codebuild.CfnProject.LogsConfigProperty(
                cloud_watch_logs=codebuild.CfnProject.CloudWatchLogsConfigProperty(
                    status="ENABLED", group_name=log.log_group_name
                )
            ),
            timeout_in_minutes=_MINUTES[part.kind],
            queued_timeout_in_minutes=_QUEUED_MINUTES,
        )
        project.node.add_dependency(role)


def artifacts_bucket(tools: Tools) -> str:
    """Returns the ARN of the bucket of artifacts and caches."""
    return f"arn:aws:s3:::{bucket_name(tools.settings, 'artifacts')}"


def artifact_objects(tools: Tools) -> str:
    """Returns the ARN pattern of the pipeline's artifacts.

    CodePipeline shortens the pipeline's name in the keys, and no page of AWS's says to what length:
    20 letters are assumed, and docs/verified.md says that this was not tried.
    """
    return f"{artifacts_bucket(tools)}/{pipeline_name(tools)[:_LONGEST_FOLDER]}*"


def pipeline_name(tools: Tools) -> str:
    """Names the pipeline that delivers."""
    return f"{tools.settings.project}-{tools.settings.environment}"


def reading_repository(tools: Tools) -> list[Allowed]:
    """Returns the permission to read the one repository through the connection.

    The keys are those of "Using a connection", "Permissions reference for AWS CodeConnections",
    Developer Tools console User Guide. AWS writes them with `ForAllValues`, as not every request
    has each; the boundary denies what says that it writes (`ToolsBoundary`).
    """
    source = tools.delivery.source
    assert source.connection is not None  # noqa: S101  checked where the settings are read
    reads = {
        "codeconnections:FullRepositoryId": source.repository,
        "codeconnections:ProviderPermissionsRequired": "read_only",
    }
    return [
        allow(
            ["codeconnections:UseConnection"],
            [source.connection],
            conditions={"ForAllValues:StringEquals": reads},
        )
    ]


def using_key(stores: Stores) -> Allowed:
    """Returns the permission to read and write under the pipeline's key."""
    return allow(_KEY_USE, [stores.key.key_arn])


def _using_stores(tools: Tools, part: Part, stores: Stores) -> list[Allowed]:
    """Returns the permissions on artifacts, and on the part's own cache alone.

    A cache holds unpacked packages whose hashes nobody compares again: what a test of a commit
    wrote must not be what a deploy installs.
    """
    bucket = artifacts_bucket(tools)
    cache = f"{CACHE}{part.id}/*"
    writes = part.kind in ("synth", "difference")
    return [
        allow(
            ["s3:GetObject", "s3:GetObjectVersion", *(["s3:PutObject"] if writes else [])],
            [artifact_objects(tools)],
            why="CodePipeline names its artifacts, another name in each execution.",
        ),
        allow(
            ["s3:GetObject", "s3:PutObject"],
            [f"{bucket}/{cache}"],
            why="The part's own caches, each named by the content of the lock files.",
        ),
        allow(["s3:ListBucket"], [bucket], conditions={"StringLike": {"s3:prefix": cache}}),
        allow(["s3:GetBucketAcl", "s3:GetBucketLocation"], [bucket]),
        using_key(stores),
    ]


def _description(part: Part) -> str:
    place = part.place.environment if part.place else ""
    return {
        "test": "Checks and tests a commit",
        "synth": "Synthesizes a commit's templates, once for all environments",
        "difference": f"Compares the templates of {place} with what is deployed",
        "deploy": f"Deploys {place} by the roles of its bootstrap",
    }[part.kind]
