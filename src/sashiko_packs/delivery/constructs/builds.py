"""The CodeBuild projects of the pipeline: what each runs, and a role for each.

The buildspecs are part of the template, which a person approves each change of. They run the
project's own `make` targets, except the difference: what the approver reads is made by nothing of
the commit.
"""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from aws_cdk import aws_codebuild as codebuild
from constructs import Construct

from sashiko.account.names import bootstrap_role_arn, bucket_name, prefix
from sashiko.settings.environment import Settings
from sashiko.settings.tools import TOOLS
from sashiko_cdk.identity.allow import Allowed, add_role, allow
from sashiko_cdk.identity.role_permissions import writing_logs
from sashiko_cdk.identity.trust import service
from sashiko_cdk.lake.domain_key import log_group
from sashiko_cdk.platform.image_builds import build_project
from sashiko_packs.delivery.constructs.parts import ASSUMED, CACHE, Part, Stores

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
_QUEUED_MINUTES: Final = 480
# A first deploy builds an environment's images, each for 50 minutes at most.
_MINUTES: Final = {"test": 120, "synth": 60, "difference": 60, "deploy": 480}
_DESCRIPTIONS: Final = {
    "test": "Checks and tests a commit",
    "synth": "Synthesizes a commit's templates, once for all environments",
    "difference": "Compares the templates of {} with what is deployed",
    "deploy": "Deploys {} by the roles of its bootstrap",
}


def buildspec(part: Part, *, branch: str, names: Sequence[str]) -> str:
    """Returns a part's buildspec.

    Synth packs everything with the commit's files, which deploys run: a tar keeps what a zip of
    CodePipeline's does not, links and modes. `branch` is what is delivered, and `names` are what is
    synthesized, each by the name that `ENV` takes.
    """
    if part.place is None:
        refusing = _refusing_unmerged(branch)
        if part.kind == "test":
            spec = _spec([*refusing, "make check test"], locks=_OF_CHECKOUT, clones=True)
        else:
            spec = _spec(
                [
                    *refusing,
                    *(f'make synth ENV={name} ARGS="--output cdk.out/{name}"' for name in names),
                    f"git archive --output {_TAR} HEAD",
                    f"tar -rf {_TAR} cdk.out",
                    f"cat {_OF_CHECKOUT} > {_LOCKS}",
                    f"export {ASSEMBLY}=$(sha256sum {_TAR} | cut -d ' ' -f 1)",
                ],
                locks=_OF_CHECKOUT,
                clones=True,
                exports=[ASSEMBLY],
                artifacts={"files": [_TAR, _LOCKS]},
            )
    else:
        # Ends the build unless the assembly is the one that the synth of this execution wrote.
        refusal = (
            "The assembly is not the one that was synthesized: the access logs of the bucket of "
            "artifacts say who wrote it. Then: aws codepipeline start-pipeline-execution --name "
            f"{prefix(part.tools)} --region {part.tools.region}"
        )
        verifying = (
            f'echo "${ASSEMBLY}  {_TAR}" | sha256sum --check || {{ echo "{refusal}"; exit 1; }}'
        )
        if part.kind == "difference":
            spec = _spec(
                [verifying, *_comparing(part.place)],
                locks=_LOCKS,
                artifacts={"base-directory": _DIFFERENCE, "files": ["**/*"]},
            )
        else:
            spec = _spec([verifying, *_deploying(part.place)], locks=_LOCKS)
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
    """Checks the version that would be served, as `make deploy` does, and deploys.

    The check reads by the profile `lookup`: the account's role for that, by the build's own role.
    """
    name = place.environment
    profile = [
        "[profile lookup]",
        f"role_arn = {bootstrap_role_arn(place, 'lookup')}",
        "credential_source = EcsContainer",
        f"region = {place.region}",
    ]
    check = [
        "make deploy-tools",
        f"printf '%s\\n' {shlex.join(profile)} > ~/lookup.config",
        "export AWS_CONFIG_FILE=~/lookup.config",
        f"AWS_PROFILE=lookup .venv/bin/sashiko env preflight --env {name}",
    ]
    return [
        f"mkdir {_UNPACKED}",
        f"tar -xf {_TAR} -C {_UNPACKED}",
        f"cd {_UNPACKED}",
        "make node_modules/.done",
        *(check if name != TOOLS else []),
        f"npx --no-install cdk deploy --app cdk.out/{name} --all --require-approval=never",
    ]


class BuildProject(Construct):
    """A CodeBuild project, its role and its log."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        stores: Stores,
        name: str,
        log_name: str,
        description: str,
        allowed: Sequence[Allowed],
        role_description: str | None = None,
        **properties: Any,
    ) -> None:
        """Makes them; the role writes the log, and does what `allowed` says besides."""
        super().__init__(scope, id)
        settings = stores.tools.settings
        place = f"/{prefix(settings)}/{log_name}"
        log = log_group(self, "Log", place, key=stores.key, removal_policy=stores.removal_policy)
        role = add_role(
            self,
            "Role",
            name=name,
            description=role_description or description,
            trust=service(settings, "codebuild", f"project/{name}"),
            boundary=stores.boundary,
            allowed=[*writing_logs(settings, place), *allowed],
        )
        project = build_project(
            self,
            log=log,
            name=name,
            description=description,
            service_role=role.role_arn,
            encryption_key=stores.key.key_arn,
            **properties,
        )
        # CodeBuild asks the role for a connection when it makes the project.
        project.node.add_dependency(role)


def add_build(scope: Construct, part: Part, *, stores: Stores, names: Sequence[str]) -> Construct:
    """Adds a part of the pipeline; `names` are what is synthesized, by the names that `ENV` takes.

    A cache is a part's own alone: it holds unpacked packages whose hashes nobody compares again,
    and what a test of a commit wrote must not be what a deploy installs.
    """
    tools, bucket, cache = stores.tools, stores.bucket_arn, f"{CACHE}{part.id}"
    reading = ["s3:GetObject", "s3:GetObjectVersion"]
    writes = part.kind in ("synth", "difference")
    listing = {"StringLike": {"s3:prefix": f"{cache}/*"}}
    allowed = [
        stores.use_artifacts(*reading, *(["s3:PutObject"] if writes else [])),
        allow(
            ["s3:GetObject", "s3:PutObject"],
            [f"{bucket}/{cache}/*"],
            why="The part's own caches, each named by the content of the lock files.",
        ),
        allow(["s3:ListBucket"], [bucket], conditions=listing),
        allow(["s3:GetBucketAcl", "s3:GetBucketLocation"], [bucket]),
        stores.use_key(),
    ]
    if part.place is None:
        allowed.append(stores.read_repository())
    elif roles := ASSUMED[part.kind]:
        assumed = [bootstrap_role_arn(part.place, role) for role in roles]
        allowed.append(allow(["sts:AssumeRole"], assumed))
    place = part.place.environment if part.place else ""
    project = codebuild.CfnProject
    return BuildProject(
        scope,
        part.id,
        stores=stores,
        name=part.name,
        log_name=part.id,
        description=_DESCRIPTIONS[part.kind].format(place),
        allowed=allowed,
        size="MEDIUM",
        source=project.SourceProperty(
            type="CODEPIPELINE",
            build_spec=buildspec(part, branch=tools.delivery.source.branch, names=names),
        ),
        artifacts=project.ArtifactsProperty(type="CODEPIPELINE"),
        cache=project.ProjectCacheProperty(
            type="S3", location=f"{bucket_name(tools.settings, 'artifacts')}/{cache}"
        ),
        timeout_in_minutes=_MINUTES[part.kind],
        queued_timeout_in_minutes=_QUEUED_MINUTES,
    )
