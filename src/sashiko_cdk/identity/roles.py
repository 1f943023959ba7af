"""The roles of people and jobs in an environment, and what they are denied."""

from collections.abc import Sequence
from typing import Any, Final

from aws_cdk import Duration
from aws_cdk import aws_iam as iam

from sashiko.account.instances import families_with_local_disk, settings_for
from sashiko.account.names import (
    bucket_name,
    function_log_group,
    prefix,
    role_name,
)
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko.settings.tools import Tools
from sashiko_cdk.identity.allow import Allowed, allow, explain
from sashiko_cdk.identity.boundary import boundary_of
from sashiko_cdk.identity.role_permissions import own_permissions
from sashiko_cdk.identity.role_table import (
    STAGED,
    RoleRecord,
    closed_buckets,
    role_records,
)
from sashiko_cdk.identity.trust import (
    SAME_ACCOUNT,
    people,
    service,
    service_of_account,
    with_build,
)
from sashiko_cdk.platform.image_permissions import writing_logs
from sashiko_cdk.security_rules.acknowledge import acknowledge
from sashiko_cdk.stack import EnvironmentStack

__all__ = ["add_roles"]

_JOBS = ["sagemaker:CreateProcessingJob", "sagemaker:CreateTrainingJob"]
# The roles that trust a service without a condition: `service_of_account` says why.
_OF_ACCOUNT: Final = frozenset({"etl", "lake-formation", "mlflow"})


def container_basics(settings: Settings) -> list[Allowed]:
    """Returns the permissions of jobs and endpoints in a VPC, without any on data."""
    region, account = settings.region, settings.account
    ec2 = f"arn:aws:ec2:{region}:{account}"
    own_network = {
        "StringEquals": {
            "aws:ResourceTag/project": settings.project,
            "aws:ResourceTag/environment": settings.environment,
        }
    }
    return [
        allow(
            [
                "logs:CreateLogGroup",
                "logs:CreateLogStream",
                "logs:DescribeLogStreams",
                "logs:PutLogEvents",
            ],
            [f"arn:aws:logs:{region}:{account}:log-group:/aws/sagemaker/*"],
            why="SageMaker names the groups and streams of jobs; all of them lie under this path.",
        ),
        allow(
            ["cloudwatch:PutMetricData"],
            ["*"],
            conditions={
                "StringEquals": {
                    "cloudwatch:namespace": [
                        "/aws/sagemaker/Endpoints",
                        "/aws/sagemaker/ProcessingJobs",
                        "/aws/sagemaker/TrainingJobs",
                    ]
                }
            },
            why="Metrics are no resources; the condition names the three namespaces.",
        ),
        allow(
            ["ec2:CreateNetworkInterface"],
            [f"{ec2}:security-group/*", f"{ec2}:subnet/*"],
            conditions=own_network,
            why="Network comes after Identity; the condition on tags means its subnets and groups.",
        ),
        allow(
            [
                "ec2:CreateNetworkInterface",
                "ec2:CreateNetworkInterfacePermission",
                "ec2:DeleteNetworkInterface",
                "ec2:DeleteNetworkInterfacePermission",
            ],
            [f"{ec2}:network-interface/*"],
            why="SageMaker makes and removes the interfaces of a job; their ids are not known.",
        ),
        allow(
            [
                "ec2:DescribeDhcpOptions",
                "ec2:DescribeNetworkInterfaces",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeSubnets",
                "ec2:DescribeVpcs",
            ],
            ["*"],
            why="EC2 has no permissions on single resources for these reading calls.",
        ),
    ]


def job_denials(settings: Settings, recipes: Sequence[Recipe]) -> list[iam.PolicyStatement]:
    """Returns the denials for whoever creates jobs of an environment that train `recipes`.

    `Bool` does not match a request that lacks its key, so each has a `Null` beside it: an unset
    value is denied like `false`. The service authorization reference lists these condition keys
    for the two actions. In 2026 it calls those of KMS keys deprecated, replaced by `...Arn`, and
    does not say whether a request still has the older ones: each counts under either name.
    """
    jobs = settings.jobs
    trained_on = {settings_for(settings, recipe).jobs.training.instance_type for recipe in recipes}
    types = sorted({jobs.processing.instance_type, jobs.scoring.instance_type, *trained_on})
    longest = max(job.max_runtime for job in (jobs.processing, jobs.scoring, jobs.training))
    local_disk = [f"ml.{family}.*" for family in families_with_local_disk()]
    keys = f"arn:aws:kms:{settings.region}:{settings.account}:key/*"
    return [
        _deny("InTheVpc", _missing("sagemaker:VpcSubnets")),
        _deny("InAGroup", _missing("sagemaker:VpcSecurityGroupIds")),
        _deny(
            "VolumeKeyGiven",
            _missing(*_both("Volume"))
            | {"ForAnyValue:StringNotLike": {"sagemaker:InstanceTypes": local_disk}},
        ),
        # A negated condition holds of a name that the request does not have.
        *(
            _deny(sid, {"ArnNotLike": {name: keys}, "Null": {name: "false"}})
            for sid, name in zip(("VolumeKeyOurs", "VolumeArnOurs"), _both("Volume"), strict=True)
        ),
        _deny("OutputKeyGiven", _missing(*_both("Output"))),
        _deny("OutputKeyOurs", {"ArnNotLike": dict.fromkeys(_both("Output"), keys)}),
        _deny("TrafficSaid", _missing("sagemaker:InterContainerTrafficEncryption")),
        _deny("TrafficEncrypted", {"Bool": {"sagemaker:InterContainerTrafficEncryption": "false"}}),
        _deny(
            "KnownInstances",
            {"ForAnyValue:StringNotEquals": {"sagemaker:InstanceTypes": types}},
        ),
        _deny("EndSaid", _missing("sagemaker:MaxRuntimeInSeconds")),
        _deny(
            "EndsInTime",
            {"NumericGreaterThan": {"sagemaker:MaxRuntimeInSeconds": str(longest)}},
        ),
    ]


def _both(what: str) -> tuple[str, str]:
    return f"sagemaker:{what}KmsKey", f"sagemaker:{what}KmsKeyArn"


def _missing(*keys: str) -> dict[str, Any]:
    return {"Null": dict.fromkeys(keys, "true")}


def _deny(sid: str, conditions: dict[str, Any]) -> iam.PolicyStatement:
    return iam.PolicyStatement(
        sid=sid, effect=iam.Effect.DENY, actions=_JOBS, resources=["*"], conditions=conditions
    )


def staging_limits(settings: Settings) -> list[iam.PolicyStatement]:
    """Returns the denials for the deployer, whatever a later policy allows it.

    The buckets have bucket keys, so the encryption context is the bucket's ARN. A request without
    that context is denied too.
    """
    bucket = f"arn:aws:s3:::{bucket_name(settings, 'artifacts')}"
    return [
        iam.PolicyStatement(
            sid="ReadsStagedAlone",
            effect=iam.Effect.DENY,
            actions=["s3:GetObject*"],
            not_resources=[f"{bucket}/{keys}" for keys in STAGED],
        ),
        iam.PolicyStatement(
            sid="DecryptsForStagedAlone",
            effect=iam.Effect.DENY,
            actions=["kms:Decrypt"],
            resources=["*"],
            conditions={"StringNotEquals": {"kms:EncryptionContext:aws:s3:arn": bucket}},
        ),
    ]


def add_roles(
    stack: EnvironmentStack, *, recipes: Sequence[Recipe], tools: Tools | None = None
) -> None:
    """Adds the environment's roles to a stack, under fixed names.

    Other stacks and Lake Formation refer to them by name. `recipes` decide on which instances
    models are trained, and by their compile targets on which the device check may run. `tools`
    is the tools' account, if a pipeline there deploys the environment.
    """
    boundary = boundary_of(stack, stack.settings)
    for record in role_records(stack.settings):
        _add_role(stack, record, boundary, recipes=recipes, tools=tools)


def _add_role(
    stack: EnvironmentStack,
    record: RoleRecord,
    boundary: iam.IManagedPolicy,
    *,
    recipes: Sequence[Recipe],
    tools: Tools | None,
) -> None:
    settings, role = stack.settings, record.name
    targets = [recipe.compile.target for recipe in recipes]
    allowed = [*own_permissions(settings, role, targets=targets), *record.own(settings)]
    if record.kind in ("job", "endpoint"):
        allowed += container_basics(settings)
    if record.kind == "function":
        allowed += writing_logs(settings, function_log_group(settings, role))
    iam_role = iam.Role(
        stack,
        role.title().replace("-", ""),
        role_name=role_name(settings, role),
        description=record.description,
        assumed_by=_trust(settings, record, tools),
        permissions_boundary=boundary,
        # The first deploy builds four images, each for 50 minutes at most.
        max_session_duration=Duration.hours(6) if role == "deployer" else None,
        inline_policies={
            "own": iam.PolicyDocument(
                statements=[
                    *(item.statement for item in allowed),
                    *_denied(settings, record, recipes),
                ]
            )
        },
    )
    iam_role.apply_removal_policy(stack.removal_policy)
    explain(iam_role, allowed)
    if role in _OF_ACCOUNT or record.kind == "function":
        acknowledge(iam_role, {"confused-deputy": SAME_ACCOUNT})
    acknowledge(
        iam_role,
        {
            "NIST-IAMNoInlinePolicy": "What a role must never do is part of it: a managed "
            "policy can be detached from it, or attached to another."
        },
    )


def _denied(
    settings: Settings, record: RoleRecord, recipes: Sequence[Recipe]
) -> list[iam.PolicyStatement]:
    """Returns the denials of a role, which hold whatever a later stack attaches to it."""
    role = record.name
    denied = [
        iam.PolicyStatement(
            sid="Never", effect=iam.Effect.DENY, actions=list(record.never), resources=["*"]
        )
    ]
    if closed := closed_buckets(settings, role):
        denied.append(
            iam.PolicyStatement(
                sid="NotPastLakeFormation",
                effect=iam.Effect.DENY,
                actions=["s3:GetObject", "s3:GetObjectVersion"],
                resources=closed,
            )
        )
    if role == "pipeline":
        denied += job_denials(settings, recipes)
    if role == "deployer":
        denied += staging_limits(settings)
    return denied


def _trust(settings: Settings, record: RoleRecord, tools: Tools | None) -> iam.IPrincipal:
    role = record.name
    if record.kind == "person":
        persons = people(settings, at_home=role == "break-glass")
        return with_build(persons, tools) if tools and role == "endpoint-deployer" else persons
    if role == "lake-formation":
        # Both, as AWS requires of a role that locations are registered with ("Requirements for
        # roles used to register locations", AWS Lake Formation Developer Guide).
        return iam.CompositePrincipal(
            service(settings, "lakeformation"), service_of_account("glue")
        )
    # The page on the role of an MLflow App has no condition ("Set up IAM permissions for MLflow
    # Apps"), and the one on confused deputies (`service`) does not name MLflow.
    if record.kind == "function" or role in _OF_ACCOUNT:
        return service_of_account({"etl": "glue", "mlflow": "sagemaker"}.get(role, "lambda"))
    name, resources = (
        ("states", "stateMachine:{prefix}-*") if record.kind == "flow" else record.trust
    )
    return service(settings, name, resources.format(prefix=prefix(settings)))
