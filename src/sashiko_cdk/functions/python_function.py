"""A Lambda function of ours: one module of the package under a role of its own."""

import ast
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

import sashiko
from sashiko.account.names import Role, function_log_group, role_name
from sashiko.settings.environment import Settings
from sashiko_cdk.security_rules.acknowledge import acknowledge

_SOURCE = Path(sashiko.__file__).parents[1]
_ENGINE = ("sashiko", "sashiko_packs")
# The modules of Lambda's runtime.
_RUNTIME = sys.stdlib_module_names | {"boto3", "botocore"}
_NONE_TO_RESERVE = (
    "A new account may run ten functions at once and reserve none of them: a reservation would "
    "fail its first deploy."
)
_CALLER_HEARS = (
    "Whoever calls hears of a failure: CloudFormation gets an answer from every exception, a "
    "schedule tries again, and a pipeline's step fails."
)
_OUTSIDE = (
    "It calls AWS's APIs and CloudFormation's answer box, and reads no data; the VPC has no way "
    "there."
)
_NO_KEY_YET = (
    "It runs before the stack of the keys is there. Its log tells no more than which ARN was added "
    "to a list, and lies under CloudWatch Logs' own key."
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
    for source in sorted(_files(module)):
        target = folder / source.relative_to(_SOURCE)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def _files(module: str) -> set[Path]:
    files: set[Path] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = _file(name)
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
    return files


def _file(name: str) -> Path | None:
    path = _SOURCE.joinpath(*name.split("."))
    if not name:
        return None
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()), None)


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
        *,
        settings: Settings,
        role: Role,
        module: str,
        description: str,
        timeout: Duration,
        memory: int = 256,
        key: kms.IKey | None,
        removal_policy: RemovalPolicy,
    ) -> None:
        """Makes the function.

        `role` is one of `FUNCTIONS` in `sashiko_cdk/identity/role_table.py`. `memory` is in MB; the
        share of a CPU grows with it. `key` is None if no key exists yet.
        """
        super().__init__(scope, id)
        group = logs.LogGroup(
            self,
            "Log",
            log_group_name=function_log_group(settings, role),
            retention=logs.RetentionDays.ONE_YEAR,
            encryption_key=key,
            removal_policy=removal_policy,
        )
        if key is None:
            rules = ("CKV_AWS_158", "NIST-CloudWatchLogGroupEncrypted", "customer-key")
            acknowledge(group, dict.fromkeys(rules, _NO_KEY_YET))
        with tempfile.TemporaryDirectory() as folder:
            write_code(module, Path(folder))
            code = lambda_.Code.from_asset(folder)
            self.function = lambda_.Function(
                self,
                "Function",
                function_name=role_name(settings, role),
                description=description,
                runtime=lambda_.Runtime.PYTHON_3_12,
                architecture=lambda_.Architecture.ARM_64,
                handler=f"{module}.handler",
                code=code,
                role=iam.Role.from_role_arn(self, "Role", settings.role_arn(role), mutable=False),
                timeout=timeout,
                memory_size=memory,
                log_group=group,
            )
        acknowledge(self.function, _WHY)
