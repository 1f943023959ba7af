"""A Lambda function of ours: one module of the package under a role of its own."""

import tempfile
from pathlib import Path

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from sashiko.account.names import Role, function_log_group, role_name
from sashiko.settings.environment import Settings
from sashiko_cdk.functions.function_code import write_code
from sashiko_cdk.security_rules.acknowledge import acknowledge

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
