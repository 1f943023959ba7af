"""A Lambda function of ours: one module of the package under a role of its own."""

import ast
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

import sashiko
from sashiko.account.names import Role, function_log_group, role_name
from sashiko.settings.environment import Settings
from sashiko_cdk.lake.domain_key import log_group
from sashiko_cdk.security_rules.acknowledge import acknowledge

_SOURCE = Path(sashiko.__file__).parents[1]
_ENGINE = ("sashiko", "sashiko_packs")
# The modules of Lambda's runtime.
_RUNTIME = sys.stdlib_module_names | {"boto3", "botocore"}
# Role -> module, the minutes that a call may take, what it does; of each of the role table's
# `FUNCTIONS`. 15 are Lambda's maximum.
_FUNCTIONS: Final[Mapping[Role, tuple[str, int, str]]] = {
    "gatekeeper": (
        "gatekeeper_handler",
        5,
        "Lets a run of the pipeline go on by its verdicts; it only reads",
    ),
    "image-build-starter": (
        "image_build",
        2,
        "Starts the build of an image and tells CloudFormation how it ended",
    ),
    "janitor": (
        "janitor_handler",
        5,
        "Deletes what a check on a device left, and tells the alerts topic",
    ),
    "lake-probe": ("lake_probe", 5, "Refuses a deploy while the lake is open to everybody"),
    "lake-settings": (
        "lake_settings",
        1,
        "Adds to the account's data-lake settings, and takes nothing from others",
    ),
    "preflight": ("preflight_handler", 15, "Checks a version before it is served; it only reads"),
    "rollout": ("rollout_handler", 15, "Wakes an endpoint for an update, and judges the update"),
}
_NONE_TO_RESERVE = (
    "A new account may run ten functions at once and reserve none of them: a reservation would "
    "fail its first deploy."
)
_CALLER_HEARS = (
    "Whoever calls hears of a failure: CloudFormation gets an answer from every exception, a "
    "schedule tries again, and a pipeline's step fails."
)
_OUTSIDE = (
    "It calls AWS's APIs and CloudFormation's response URL, and reads no data; the VPC has no "
    "route to them."
)
_NO_KEY_YET = (
    "It runs before the stack of the keys is there. Its log says only which ARN was added to a "
    "list, and lies under CloudWatch Logs' own key."
)
_WHY = {
    "CKV_AWS_115": _NONE_TO_RESERVE,
    "CKV_AWS_116": _CALLER_HEARS,
    "CKV_AWS_117": _OUTSIDE,
    "L1": "Python 3.12, the jobs' own: a newer one comes with the images, not with a release of "
    "the CDK. AWS supports it until October 2028.",
    "NIST-LambdaConcurrency": _NONE_TO_RESERVE,
    "NIST-LambdaDLQ": _CALLER_HEARS,
    "NIST-LambdaInsideVPC": _OUTSIDE,
}


def write_code(module: str, folder: Path) -> None:
    """Copies a function's files into a folder, below their packages.

    Raises:
        ValueError: if a module needs a package that Lambda's runtime lacks.
    """
    files: set[Path] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        stem = _SOURCE.joinpath(*name.split("."))
        candidates = (stem.with_suffix(".py"), stem / "__init__.py") if name else ()
        path = next((file for file in candidates if file.is_file()), None)
        # `from package import name`: the name may be a function or class.
        if path is None or path in files:
            continue
        files.add(path)
        waiting.append(name.rpartition(".")[0])
        for imported in _imports(path):
            if imported.partition(".")[0] in _ENGINE:
                waiting.append(imported)
            elif imported.partition(".")[0] not in _RUNTIME:
                raise ValueError(
                    f"{path}: a Lambda function can't import `{imported}`; it has the standard "
                    "library and boto3"
                )
    for source in sorted(files):
        target = folder / source.relative_to(_SOURCE)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


class PythonFunction(Construct):
    """The function of a role, and its log group.

    It has the role's name and no environment variables: its input comes in the event, so there is
    nothing to encrypt with a key. The Identity stack grants the role's permissions: a policy of the
    calling stack might not be in effect yet when the function runs. A resource that calls it in a
    deploy depends on this construct.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        settings: Settings,
        role: Role,
        *,
        memory: int = 256,
        key: kms.IKey | None,
        removal_policy: RemovalPolicy,
    ) -> None:
        """`memory` is in MB, and the share of a CPU grows with it; `key` is None if none exists."""
        super().__init__(scope, id)
        name, minutes, description = _FUNCTIONS[role]
        module = f"sashiko.functions.{name}"
        place = function_log_group(settings, role)
        group = log_group(self, "Log", place, key=key, removal_policy=removal_policy)
        if key is None:
            rules = ("CKV_AWS_158", "NIST-CloudWatchLogGroupEncrypted", "customer-key")
            acknowledge(group, dict.fromkeys(rules, _NO_KEY_YET))
        with tempfile.TemporaryDirectory() as folder:
            write_code(module, Path(folder))
            self.function = lambda_.Function(
                self,
                "Function",
                function_name=role_name(settings, role),
                description=description,
                runtime=lambda_.Runtime.PYTHON_3_12,
                architecture=lambda_.Architecture.ARM_64,
                handler=f"{module}.handler",
                code=lambda_.Code.from_asset(folder),
                role=iam.Role.from_role_arn(self, "Role", settings.role_arn(role), mutable=False),
                timeout=Duration.minutes(minutes),
                memory_size=memory,
                log_group=group,
            )
        acknowledge(self.function, _WHY)
