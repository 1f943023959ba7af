"""What each part of the pipeline runs: the buildspecs of CodeBuild.

They are part of the template, so a merged commit cannot change what runs before a person has seen
that it changes the pipeline. They run the project's own `make` targets.
"""

import json
import shlex
from collections.abc import Sequence
from typing import Any, Final

from sashiko.aws.resources.names import bootstrap_role_arn, prefix
from sashiko.settings.environment import Settings
from sashiko.settings.tools import TOOLS
from sashiko_cdk.delivery.parts import Part

# Names of the artifact that every environment gets, and of the variables that builds pass on.
ASSEMBLY: Final = "ASSEMBLY"  # SHA-256 of the artifact
BROADENS: Final = "BROADENS"  # `no`, or `yes` where a person must look before the first deploy
SUMMARY: Final = "SUMMARY"  # what the person is shown
_TAR = "assembly.tar"
_LOCKS = "locks.txt"  # by whose content a cache of packages is named
_UNPACKED = "project"
_DIFFERENCE = "difference"
_RUNTIMES = {"python": "3.11", "nodejs": "22"}
_CACHE = "/var/cache/packages"
_CACHES = {
    "PIP_CACHE_DIR": f"{_CACHE}/pip",  # pip installs uv alone
    "UV_CACHE_DIR": f"{_CACHE}/uv",
    "NPM_CONFIG_CACHE": f"{_CACHE}/npm",
}
_OF_CHECKOUT = "requirements/*.txt package-lock.json"


def buildspec(part: Part, *, names: Sequence[str]) -> str:
    """Returns a part's buildspec.

    Args:
        part: what it is for.
        names: what is synthesized, each by the name that `ENV` takes.
    """
    if part.kind == "test":
        spec = _spec(["make check test"], locks=_OF_CHECKOUT)
    elif part.kind == "synth":
        spec = _spec(
            _synthesizing(names),
            locks=_OF_CHECKOUT,
            exports=[ASSEMBLY],
            artifacts={"files": [_TAR, _LOCKS]},
        )
    elif part.kind == "difference":
        spec = _spec(
            [*_unpacking(part), *_comparing(_place(part))],
            locks=_LOCKS,
            exports=[BROADENS, SUMMARY],
            artifacts={"base-directory": _DIFFERENCE, "files": ["**/*"]},
        )
    else:
        spec = _spec([*_unpacking(part), *_deploying(_place(part))], locks=_LOCKS)
    return json.dumps(spec, indent=1)


def _spec(
    commands: Sequence[str],
    *,
    locks: str,
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


def _unpacking(part: Part) -> list[str]:
    """Unpacks the assembly, if it is the one that the synth of this execution wrote."""
    refusal = (
        "The assembly is not the one that was synthesized: the access logs of the bucket of "
        "artifacts say who wrote it. Then: aws codepipeline start-pipeline-execution --name "
        f"{prefix(part.tools)} --region {part.tools.region}"
    )
    return [
        f'echo "${ASSEMBLY}  {_TAR}" | sha256sum --check || {{ echo "{refusal}"; exit 1; }}',
        f"mkdir {_UNPACKED} {_DIFFERENCE}",
        f"tar -xf {_TAR} -C {_UNPACKED}",
        f"cd {_UNPACKED}",
        "make setup node_modules/.done",
    ]


def _comparing(place: Settings) -> list[str]:
    """Writes what changes, and what of it broadens permissions."""
    name, out = place.environment, f"../{_DIFFERENCE}"
    return [
        *_looking_up(place),
        f"npx --no-install cdk diff --app cdk.out/{name} --method=template --no-color "
        f"> {out}/diff.txt 2>&1 || {{ cat {out}/diff.txt; exit 1; }}",
        f"AWS_PROFILE=lookup .venv/bin/sashiko broadening --env {name} --templates cdk.out/{name} "
        f"> {out}/broadening.txt",
        f"cat {out}/diff.txt {out}/broadening.txt",
        f"export {BROADENS}=$(test -s {out}/broadening.txt && echo yes || echo no)",
        f'export {SUMMARY}="$(wc -l < {out}/broadening.txt) changes broaden what is allowed"',
    ]


def _deploying(place: Settings) -> list[str]:
    """Checks the version that would be served, as `make deploy` does, and deploys."""
    name = place.environment
    check = [
        *_looking_up(place),
        f"AWS_PROFILE=lookup .venv/bin/sashiko preflight --env {name}",
    ]
    return [
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
