"""The own permissions of each role: those that name no resource of a later stack.

The stacks that make buckets, keys, tables, pipelines and endpoints attach the permissions on them
(`RolePolicy`).
"""

from collections.abc import Callable, Mapping, Sequence

from sashiko.account.endpoint_spec import alarm_name
from sashiko.account.names import (
    BootstrapRole,
    Role,
    arn,
    bootstrap_role_arn,
    database_name,
    etl_name,
    function_arn,
    prefix,
)
from sashiko.settings.environment import Settings
from sashiko_cdk.identity.allow import Allowed, allow
from sashiko_cdk.identity.capacity_permissions import training_plan_permissions
from sashiko_cdk.identity.device_permissions import device_permissions, janitor_permissions
from sashiko_cdk.identity.registry_permissions import (
    NAMED,
    approver,
    own_arns,
    preflight,
    promoter,
    reading_lineage,
    reading_registry,
    reading_scans,
    registrar,
)
from sashiko_cdk.identity.role_table import JOB_ROLES, JOBS
from sashiko_cdk.platform.image_permissions import building_images, starting_builds
from sashiko_cdk.platform.job_logs import JOB_LOG_GROUPS

_JOB_NAMES = "SageMaker names the jobs of a pipeline; all of them begin so."


def own_permissions(settings: Settings, role: Role, *, targets: Sequence[str]) -> list[Allowed]:
    """Returns what `role` may do by itself, with the compile targets of the recipes."""
    if role == "device-check":
        return device_permissions(settings, targets)
    return _OWN[role](settings) if role in _OWN else []


def _pass(settings: Settings, *roles: Role) -> Allowed:
    return allow(
        ["iam:PassRole"],
        [settings.role_arn(role) for role in roles],
        conditions={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
    )


def _pipeline(settings: Settings) -> list[Allowed]:
    place = f"arn:aws:sagemaker:{settings.region}:{settings.account}"
    jobs = [f"{place}:{kind}-job/pipelines-*" for kind in ("processing", "training")]
    watching = [
        f"sagemaker:{verb}{kind}Job"
        for kind in ("Processing", "Training")
        for verb in ("Describe", "Stop")
    ]
    return [
        allow([*JOBS, "sagemaker:AddTags"], jobs, why=_JOB_NAMES),
        *training_plan_permissions(settings),
        allow(watching, jobs, why=_JOB_NAMES),
        _pass(settings, *JOB_ROLES),
        allow(["lambda:InvokeFunction"], [function_arn(settings, "gatekeeper")]),
    ]


def _data_scientist(settings: Settings) -> list[Allowed]:
    place = f"{settings.region}:{settings.account}"
    return [
        allow(
            [
                "sagemaker:DescribePipeline",
                "sagemaker:DescribePipelineDefinitionForExecution",
                "sagemaker:DescribePipelineExecution",
                "sagemaker:ListPipelineExecutionSteps",
                "sagemaker:ListPipelineExecutions",
                "sagemaker:ListPipelineParametersForExecution",
                "sagemaker:StartPipelineExecution",
                "sagemaker:StopPipelineExecution",
            ],
            own_arns(settings, "pipeline"),
            why=NAMED,
        ),
        # Before a run: which version of the data is the newest, and whether the images are there.
        allow(
            ["glue:GetJobRuns"], [f"arn:aws:glue:{place}:job/{etl_name(settings, '*')}"], why=NAMED
        ),
        allow(
            ["ecr:DescribeImages"],
            [f"arn:aws:ecr:{place}:repository/{prefix(settings)}/*"],
            why=NAMED,
        ),
        *_reading_logs(place),
        *reading_registry(settings),
        *reading_lineage(settings),
    ]


def _reading_logs(place: str) -> list[Allowed]:
    """Lets a person read what a job wrote: the groups are SageMaker's, one set an account."""
    groups = [f"arn:aws:logs:{place}:log-group:{name}" for name in JOB_LOG_GROUPS]
    return [
        # Logs asks for a group under either of its two ARNs.
        allow(
            ["logs:DescribeLogStreams"],
            [*groups, *(f"{group}:*" for group in groups)],
            why="the `*` is the end of a group's ARN",
        ),
        allow(
            ["logs:GetLogEvents"],
            [f"{group}:log-stream:pipelines-*" for group in groups],
            why=_JOB_NAMES,
        ),
    ]


def _deployer(settings: Settings) -> list[Allowed]:
    parts: tuple[BootstrapRole, ...] = ("deploy", "file-publishing")
    cdk = [bootstrap_role_arn(settings, part) for part in parts]
    return [allow(["sts:AssumeRole"], cdk), reading_scans(settings)]


def _endpoint_deployer(settings: Settings) -> list[Allowed]:
    """What it takes to see what is served: the Serving stack alone changes it."""
    return [
        *reading_registry(settings),
        allow(
            [f"sagemaker:Describe{kind}" for kind in ("Model", "EndpointConfig", "Endpoint")],
            own_arns(settings, "model", "endpoint-config", "endpoint"),
            why=NAMED,
        ),
    ]


def _inference(settings: Settings) -> list[Allowed]:
    """SageMaker looks at an update's rollback alarms."""
    alarms = f"arn:aws:cloudwatch:{settings.region}:{settings.account}:alarm"
    return [
        allow(
            ["cloudwatch:DescribeAlarms"],
            [f"{alarms}:{alarm_name(settings, '*')}"],
            why="An endpoint's alarms are named after what they watch.",
        )
    ]


def _flow(_: Settings) -> list[Allowed]:
    """Step Functions looks, when it makes a state machine, whether its role may send the log."""
    return [
        allow(
            [
                "logs:CreateLogDelivery",
                "logs:DeleteLogDelivery",
                "logs:DescribeLogGroups",
                "logs:DescribeResourcePolicies",
                "logs:GetLogDelivery",
                "logs:ListLogDeliveries",
                "logs:PutResourcePolicy",
                "logs:UpdateLogDelivery",
            ],
            ["*"],
            why="CloudWatch Logs has no permissions on single deliveries, as AWS documents for the "
            "logs of Step Functions. None of them reads or writes a log.",
        )
    ]


def _lake_settings(settings: Settings) -> list[Allowed]:
    if settings.lake_formation.mode != "enforced" or not settings.lake_formation.account_stack:
        return []
    return [
        allow(
            ["lakeformation:GetDataLakeSettings", "lakeformation:PutDataLakeSettings"],
            ["*"],
            why="The settings are the account's; Lake Formation has no resource for them.",
        )
    ]


def _lake_probe(settings: Settings) -> list[Allowed]:
    """IAM's half of seeing the catalog: without a grant of Lake Formation's it opens nothing."""
    if settings.lake_formation.mode != "enforced":
        return []
    database = database_name(settings)
    names = ("catalog", f"database/{database}", f"table/{database}/*")
    return [
        allow(
            ["glue:GetDatabase", "glue:GetTable"],
            [arn(settings, "glue", name) for name in names],
            why="All tables of this database: none of them may be visible to it.",
        )
    ]


_OWN: Mapping[Role, Callable[[Settings], list[Allowed]]] = {
    "approver": approver,
    "data-scientist": _data_scientist,
    "deployer": _deployer,
    "endpoint-deployer": _endpoint_deployer,
    "etl-starter": _flow,
    "image-build": building_images,
    "image-build-starter": starting_builds,
    "inference": _inference,
    "janitor": janitor_permissions,
    "lake-probe": _lake_probe,
    "lake-settings": _lake_settings,
    "monitor-publisher": _flow,
    "notifier": _flow,
    "pipeline": _pipeline,
    "pipeline-starter": _flow,
    "preflight": preflight,
    "promoter": promoter,
    "registrar": registrar,
    "registry-reader": reading_registry,
}
