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
from sashiko_cdk.identity.device_permissions import device_permissions, janitor_permissions
from sashiko_cdk.identity.role_table import APPROVE, JOBS, REGISTER, roles_of
from sashiko_cdk.platform.image_permissions import building_images, starting_builds
from sashiko_cdk.platform.job_logs import JOB_LOG_GROUPS
from sashiko_cdk.platform.promotion_policies import reading_source

_IDS = (
    "SageMaker chooses the ids of a plan's reserved capacities; all belong to plans of the account."
)
NAMED = "Names are made at run time; all of them begin with the environment's prefix."
_MADE_UP = "SageMaker makes up the ids of lineage's artifacts; they name data, and are none."
_STATUS = "sagemaker:ModelApprovalStatus"
_JOB_NAMES = "SageMaker names the jobs of a pipeline; all of them begin so."


def training_plan_permissions(settings: Settings) -> list[Allowed]:
    """Returns what a job on the environment's training plan needs; nothing if it names none.

    CreateTrainingJob is authorized on the plan and its reserved capacities as well as on the job
    ("IAM for SageMaker training plans", Amazon SageMaker AI Developer Guide).
    """
    plan = settings.jobs.training.training_plan
    if plan is None:
        return []
    reserved = f"arn:aws:sagemaker:{settings.region}:{settings.account}:reserved-capacity/*"
    return [allow(["sagemaker:CreateTrainingJob"], [plan, reserved], why=_IDS)]


def own_arns(settings: Settings, *kinds: str) -> list[str]:
    """Returns SageMaker's resources of these kinds that bear the environment's prefix."""
    return [arn(settings, "sagemaker", f"{kind}/{prefix(settings)}-*") for kind in kinds]


def reading_registry(settings: Settings) -> list[Allowed]:
    """Reads groups and versions."""
    return [
        allow(
            [
                "sagemaker:DescribeModelPackage",
                "sagemaker:DescribeModelPackageGroup",
                "sagemaker:ListModelPackages",
            ],
            own_arns(settings, "model-package-group", "model-package"),
            why=NAMED,
        )
    ]


def preflight(settings: Settings) -> list[Allowed]:
    """Reads the version to serve, what is served and scaled now, and the images' findings."""
    return [
        *reading_registry(settings),
        allow(
            ["sagemaker:DescribeEndpoint", "sagemaker:DescribeEndpointConfig"],
            own_arns(settings, "endpoint", "endpoint-config"),
            why=NAMED,
        ),
        allow(
            ["application-autoscaling:DescribeScalableTargets"],
            ["*"],
            why="Application Auto Scaling lists targets by no resource.",
        ),
        reading_scans(settings),
    ]


def reading_scans(settings: Settings) -> Allowed:
    """Lets a deploy read what ECR found in the environment's own images."""
    return allow(
        ["ecr:DescribeImageScanFindings"],
        [arn(settings, "ecr", f"repository/{prefix(settings)}/*")],
        why=NAMED,
    )


def approver(settings: Settings) -> list[Allowed]:
    """Approves and rejects versions, and appends its decisions; it registers none."""
    decided = {"StringEquals": {_STATUS: ["Approved", "Rejected"]}}
    packages = own_arns(settings, "model-package")
    decisions = arn(settings, "sagemaker", f"action/{prefix(settings)}-*-decision-*")
    return [
        *reading_registry(settings),
        *reading_lineage(settings),
        allow(APPROVE, packages, conditions=decided, why=NAMED),
        # Without UpdateAction and DeleteAction, a decision stays as it was made.
        allow(["sagemaker:CreateAction"], [decisions], why=NAMED),
    ]


def registrar(settings: Settings) -> list[Allowed]:
    """Registers versions that wait for approval, and says where they come from."""
    pending = {"StringEquals": {_STATUS: "PendingManualApproval"}}
    groups_and_versions = own_arns(settings, "model-package-group", "model-package")
    return [
        *reading_registry(settings),
        allow(REGISTER, groups_and_versions, conditions=pending, why=NAMED),
        *_telling_lineage(settings),
    ]


def promoter(settings: Settings) -> list[Allowed]:
    """Registers where versions are taken from another environment; elsewhere it does nothing."""
    if settings.promotion.source is None:
        return []
    return [*registrar(settings), *reading_source(settings)]


def _artifacts(settings: Settings) -> str:
    return arn(settings, "sagemaker", "artifact/*")


def _telling_lineage(settings: Settings) -> list[Allowed]:
    """Lets a registration say where the model comes from; nobody deletes what was said."""
    actions = own_arns(settings, "action")
    return [
        allow(["sagemaker:CreateAction", "sagemaker:DescribeAction"], actions, why=NAMED),
        allow(
            ["sagemaker:AddAssociation", "sagemaker:CreateArtifact"],
            [*actions, _artifacts(settings)],
            why=_MADE_UP,
        ),
        _listing_lineage(),
    ]


def reading_lineage(settings: Settings) -> list[Allowed]:
    """Reads what registrations said."""
    return [
        allow(["sagemaker:DescribeAction"], own_arns(settings, "action"), why=NAMED),
        allow(["sagemaker:DescribeArtifact"], [_artifacts(settings)], why=_MADE_UP),
        _listing_lineage("sagemaker:ListActions"),
    ]


def _listing_lineage(*more: str) -> Allowed:
    return allow(
        ["sagemaker:ListArtifacts", "sagemaker:ListAssociations", *more],
        ["*"],
        why="SageMaker lists what an account has, or nothing.",
    )


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
        _pass(settings, *roles_of(settings, "job")),
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


def flow_permissions(_: Settings) -> list[Allowed]:
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
    "etl-starter": flow_permissions,
    "image-build": building_images,
    "image-build-starter": starting_builds,
    "inference": _inference,
    "janitor": janitor_permissions,
    "lake-probe": _lake_probe,
    "lake-settings": _lake_settings,
    "notifier": flow_permissions,
    "pipeline": _pipeline,
    "pipeline-starter": flow_permissions,
    "preflight": preflight,
    "promoter": promoter,
    "registrar": registrar,
    "registry-reader": reading_registry,
}
