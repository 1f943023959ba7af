"""The own permissions of each role: those that name no resource of a later stack.

The stacks that make buckets, keys, tables, pipelines and endpoints attach the permissions on them
(`RolePolicy`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, get_args

from sashiko.account import names
from sashiko.account.endpoint_spec import alarm_name
from sashiko.account.images.job_images import OwnImage, image_map
from sashiko.account.names import Role, arn, prefix
from sashiko.settings.environment import Settings
from sashiko.settings.environment_sections import PackageIndex
from sashiko_cdk.bootstrap.execution_policy import assets_bucket
from sashiko_cdk.identity.allow import Allowed, allow
from sashiko_cdk.identity.role_table import APPROVE, JOBS, REGISTER, roles_of
from sashiko_cdk.identity.trust import reading_source
from sashiko_cdk.platform.platform_key import JOB_LOG_GROUPS

_IDS = (
    "SageMaker chooses the ids of a plan's reserved capacities; all belong to plans of the account."
)
_NAMED = "Names are made at run time; all of them begin with the environment's prefix."
_MADE_UP = "SageMaker makes up the ids of lineage's artifacts, which only refer to data."
_STATUS = "sagemaker:ModelApprovalStatus"
_JOB_NAMES = "SageMaker names the jobs of a pipeline; all names begin with this prefix."
_LISTED = "SageMaker lists what an account has, or nothing."


def training_plan_permissions(settings: Settings) -> list[Allowed]:
    """Returns what a job on the environment's training plan needs; nothing if it names none.

    CreateTrainingJob is authorized on the plan and its reserved capacities as well as on the job
    ("IAM for SageMaker training plans", Amazon SageMaker AI Developer Guide).
    """
    plan = settings.jobs.training.training_plan
    if plan is None:
        return []
    reserved = arn(settings, "sagemaker", "reserved-capacity/*")
    return [allow(["sagemaker:CreateTrainingJob"], [plan, reserved], why=_IDS)]


def _own_arns(settings: Settings, *kinds: str) -> list[str]:
    """Returns SageMaker's resources of these kinds that bear the environment's prefix."""
    return [arn(settings, "sagemaker", f"{kind}/{prefix(settings)}-*") for kind in kinds]


def _reading_registry(settings: Settings) -> list[Allowed]:
    return [
        allow(
            [
                "sagemaker:DescribeModelPackage",
                "sagemaker:DescribeModelPackageGroup",
                "sagemaker:ListModelPackages",
            ],
            _own_arns(settings, "model-package-group", "model-package"),
            why=_NAMED,
        )
    ]


def _preflight(settings: Settings) -> list[Allowed]:
    """Reads the version to serve, what is served and scaled now, and the images' findings."""
    return [
        *_reading_registry(settings),
        allow(
            ["sagemaker:DescribeEndpoint", "sagemaker:DescribeEndpointConfig"],
            _own_arns(settings, "endpoint", "endpoint-config"),
            why=_NAMED,
        ),
        reading_targets(),
        _reading_scans(settings),
    ]


def reading_targets() -> Allowed:
    """Reads whether an endpoint scales."""
    return allow(
        ["application-autoscaling:DescribeScalableTargets"],
        ["*"],
        why="Application Auto Scaling lists targets by no resource.",
    )


def _reading_scans(settings: Settings) -> Allowed:
    """Lets a deploy read what ECR found in the environment's own images."""
    repositories = arn(settings, "ecr", f"repository/{prefix(settings)}/*")
    return allow(["ecr:DescribeImageScanFindings"], [repositories], why=_NAMED)


def _approver(settings: Settings) -> list[Allowed]:
    """Approves and rejects versions, and appends its decisions; it registers none."""
    decided = {"StringEquals": {_STATUS: ["Approved", "Rejected"]}}
    decisions = arn(settings, "sagemaker", f"action/{prefix(settings)}-*-decision-*")
    return [
        *_reading_registry(settings),
        *_reading_lineage(settings),
        allow(APPROVE, _own_arns(settings, "model-package"), conditions=decided, why=_NAMED),
        # Without UpdateAction and DeleteAction, a decision stays as it was made.
        allow(["sagemaker:CreateAction"], [decisions], why=_NAMED),
    ]


def _registrar(settings: Settings) -> list[Allowed]:
    """Registers versions that wait for approval, and says where they come from.

    Nobody deletes what was said.
    """
    pending = {"StringEquals": {_STATUS: "PendingManualApproval"}}
    groups_and_versions = _own_arns(settings, "model-package-group", "model-package")
    actions = _own_arns(settings, "action")
    return [
        *_reading_registry(settings),
        allow(REGISTER, groups_and_versions, conditions=pending, why=_NAMED),
        allow(["sagemaker:CreateAction", "sagemaker:DescribeAction"], actions, why=_NAMED),
        allow(
            ["sagemaker:AddAssociation", "sagemaker:CreateArtifact"],
            [*actions, arn(settings, "sagemaker", "artifact/*")],
            why=_MADE_UP,
        ),
        _listing_lineage(),
    ]


def _register_step(settings: Settings) -> list[Allowed]:
    """Registers, and reads which results its execution reuses of an earlier one."""
    actions = ["sagemaker:DescribePipelineExecution", "sagemaker:ListPipelineExecutionSteps"]
    return [
        *_registrar(settings),
        allow(actions, _own_arns(settings, "pipeline"), why=_NAMED),
    ]


def _promoter(settings: Settings) -> list[Allowed]:
    """Registers where versions are taken from another environment; elsewhere it does nothing."""
    if settings.promotion.source is None:
        return []
    return [*_registrar(settings), *reading_source(settings)]


def _reading_lineage(settings: Settings) -> list[Allowed]:
    artifacts = arn(settings, "sagemaker", "artifact/*")
    return [
        allow(["sagemaker:DescribeAction"], _own_arns(settings, "action"), why=_NAMED),
        allow(["sagemaker:DescribeArtifact"], [artifacts], why=_MADE_UP),
        _listing_lineage("sagemaker:ListActions"),
    ]


def _listing_lineage(*more: str) -> Allowed:
    actions = ["sagemaker:ListArtifacts", "sagemaker:ListAssociations", *more]
    return allow(actions, ["*"], why=_LISTED)


def own_permissions(settings: Settings, role: Role, *, targets: Sequence[str]) -> list[Allowed]:
    """Returns what `role` may do by itself, with the compile targets of the recipes."""
    if role == "device-check":
        return device_permissions(settings, targets)
    return _OWN[role](settings) if role in _OWN else []


def _passing(settings: Settings, *roles: Role) -> Allowed:
    return allow(
        ["iam:PassRole"],
        [settings.role_arn(role) for role in roles],
        conditions={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
    )


def _pipeline(settings: Settings) -> list[Allowed]:
    kinds = ("Processing", "Training")
    jobs = [arn(settings, "sagemaker", f"{kind.lower()}-job/pipelines-*") for kind in kinds]
    watching = [f"sagemaker:{verb}{kind}Job" for kind in kinds for verb in ("Describe", "Stop")]
    return [
        allow([*JOBS, "sagemaker:AddTags"], jobs, why=_JOB_NAMES),
        *training_plan_permissions(settings),
        allow(watching, jobs, why=_JOB_NAMES),
        _passing(settings, *roles_of(settings, "job")),
        allow(["lambda:InvokeFunction"], [names.function_arn(settings, "gatekeeper")]),
    ]


def _data_scientist(settings: Settings) -> list[Allowed]:
    loads = arn(settings, "glue", f"job/{names.etl_name(settings, '*')}")
    images = arn(settings, "ecr", f"repository/{prefix(settings)}/*")
    # The groups are SageMaker's, one set an account.
    groups = [arn(settings, "logs", f"log-group:{name}") for name in JOB_LOG_GROUPS]
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
            _own_arns(settings, "pipeline"),
            why=_NAMED,
        ),
        # Before a run: which version of the data is the newest, and whether the images are there.
        allow(["glue:GetJobRuns"], [loads], why=_NAMED),
        allow(["ecr:DescribeImages"], [images], why=_NAMED),
        # What a job wrote. Logs asks for a group under either of its two ARNs.
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
        *_reading_registry(settings),
        *_reading_lineage(settings),
    ]


def _deployer(settings: Settings) -> list[Allowed]:
    parts: tuple[names.BootstrapRole, ...] = ("deploy", "file-publishing")
    cdk = [names.bootstrap_role_arn(settings, part) for part in parts]
    return [allow(["sts:AssumeRole"], cdk), _reading_scans(settings)]


def _endpoint_deployer(settings: Settings) -> list[Allowed]:
    """What it takes to see what is served: the Serving stack alone changes it."""
    return [
        *_reading_registry(settings),
        allow(
            [f"sagemaker:Describe{kind}" for kind in _HOSTED],
            _own_arns(settings, *_HOSTED.values()),
            why=_NAMED,
        ),
    ]


def _rollout(settings: Settings) -> list[Allowed]:
    """Scales an endpoint for an update, and asks it; what it reads of the answers is `Capture`'s.

    The actions and condition keys of Application Auto Scaling are those of the Service
    Authorization Reference.
    """
    endpoints = _own_arns(settings, "endpoint")
    verbs = ("RegisterScalableTarget", "PutScheduledAction", "DeleteScheduledAction")
    return [
        allow(["sagemaker:DescribeEndpoint", ASK_LATER], endpoints, why=_NAMED),
        reading_targets(),
        allow(
            [f"application-autoscaling:{verb}" for verb in verbs],
            [arn(settings, "application-autoscaling", "scalable-target/*")],
            conditions={"StringEquals": {"application-autoscaling:service-namespace": "sagemaker"}},
            why="Application Auto Scaling makes up the ids of its targets.",
        ),
        allow(
            ["cloudwatch:GetMetricStatistics"], ["*"], why="CloudWatch reads metrics by no resource"
        ),
        # It calls itself where an instance takes longer to load than a function may run.
        allow(["lambda:InvokeFunction"], [names.function_arn(settings, "rollout")]),
    ]


def _endpoint_caller(settings: Settings) -> list[Allowed]:
    """Asks an endpoint that sleeps; the objects of requests and answers are `Capture`'s."""
    return [allow([ASK_LATER], _own_arns(settings, "endpoint"), why=_NAMED)]


def _inference(settings: Settings) -> list[Allowed]:
    """SageMaker looks at an update's rollback alarms."""
    alarms = arn(settings, "cloudwatch", f"alarm:{alarm_name(settings, '*')}")
    why = "An endpoint's alarms are named after what they watch."
    return [allow(["cloudwatch:DescribeAlarms"], [alarms], why=why)]


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
    database = names.database_name(settings)
    places = ("catalog", f"database/{database}", f"table/{database}/*")
    return [
        allow(
            ["glue:GetDatabase", "glue:GetTable"],
            [arn(settings, "glue", place) for place in places],
            why="All tables of this database: none of them may be visible to it.",
        )
    ]


# The device check, and the janitor that deletes what a check leaves.
INVOKE: Final = "sagemaker:InvokeEndpoint"
ASK_LATER: Final = "sagemaker:InvokeEndpointAsync"
_NAMES = "Each check has its own name; all names begin with this prefix."
_HOSTED = {"Model": "model", "EndpointConfig": "endpoint-config", "Endpoint": "endpoint"}
_BATCH = [f"sagemaker:{verb}TransformJob" for verb in ("Create", "Describe", "Stop")]


def device_actions(settings: Settings) -> tuple[str, ...]:
    """Returns the SageMaker API actions, without the runtime's, that a check uses."""
    if settings.device_check == "off":
        return ()
    batch = settings.device_check == "transform"
    # An earlier check by an endpoint may have left an endpoint and its configuration.
    making = () if batch else ("Create",)
    verbs = {
        "Model": ("Create", "Delete"),
        "EndpointConfig": (*making, "Delete", *(() if batch else ("Describe",))),
        "Endpoint": (*making, "Delete", "Describe"),
    }
    actions = [f"sagemaker:{verb}{kind}" for kind, each in verbs.items() for verb in each]
    return (*actions, "sagemaker:AddTags", *(_BATCH if batch else ()))


def device_permissions(settings: Settings, targets: Sequence[str] = ()) -> list[Allowed]:
    """Returns the own permissions of the check's role.

    `targets` are the recipes' compile targets, in addition to the installed ones. A condition of an
    Allow fails when the request lacks its key: so a model must state network isolation and its VPC,
    and a configuration its instance types and KMS key. The service authorization reference lists
    these condition keys for each action; a KMS key's has had another name since 2026, and either
    one will do (`job_denials`).
    """
    if settings.device_check == "off":
        return []
    batch = settings.device_check == "transform"
    creating = {"sagemaker:CreateModel", "sagemaker:CreateEndpointConfig", _BATCH[0]}
    plain = [action for action in device_actions(settings) if action not in creating]
    hosted = _checked(settings, *_HOSTED.values())
    jobs = _checked(settings, "transform-job")
    serving = settings.serving
    types = {*serving.known_instance_types().values(), *map(serving.instance_type, targets)}
    instances: dict[str, Any] = {
        "ForAllValues:StringEquals": {"sagemaker:InstanceTypes": sorted(types)},
        "Null": {"sagemaker:InstanceTypes": "false"},
    }
    key = "OutputKmsKey" if batch else "VolumeKmsKey"
    return [
        allow([*plain, *([] if batch else [INVOKE])], hosted + (jobs if batch else []), why=_NAMES),
        allow(
            ["sagemaker:CreateModel"],
            _checked(settings, "model"),
            conditions={
                "Bool": {"sagemaker:NetworkIsolation": "true"},
                "Null": {"sagemaker:VpcSecurityGroupIds": "false", "sagemaker:VpcSubnets": "false"},
            },
            why=_NAMES,
        ),
        *(
            allow(
                [_BATCH[0] if batch else "sagemaker:CreateEndpointConfig"],
                jobs if batch else _checked(settings, "endpoint-config"),
                conditions=instances | {"ArnLike": {name: arn(settings, "kms", "key/*")}},
                why=_NAMES,
            )
            for name in (f"sagemaker:{key}", f"sagemaker:{key}Arn")
        ),
        _passing(settings, "inference"),
    ]


def _janitor(settings: Settings) -> list[Allowed]:
    return [
        allow([f"sagemaker:List{kind}s" for kind in _HOSTED], ["*"], why=_LISTED),
        allow(
            ["sagemaker:DescribeEndpoint", *(f"sagemaker:Delete{kind}" for kind in _HOSTED)],
            _checked(settings, *_HOSTED.values()),
            why=_NAMES,
        ),
    ]


def _checked(settings: Settings, *kinds: str) -> list[str]:
    """Returns SageMaker's resources of these kinds that a check makes."""
    name = f"{names.device_check_prefix(settings)}-*"
    return [arn(settings, "sagemaker", f"{kind}/{name}") for kind in kinds]


# Building images: CodeBuild's role, and the function that starts builds.
_PULL = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")


def pulling(repositories: Sequence[str]) -> list[Allowed]:
    """Pulls images of repositories, given by their ARNs."""
    token = allow(
        ["ecr:GetAuthorizationToken"],
        ["*"],
        why="A token is for the registry, not for a repository.",
    )
    return [allow(_PULL, repositories), token]


def _starting_builds(settings: Settings) -> list[Allowed]:
    """Looks for an image and starts its build."""
    project = arn(settings, "codebuild", f"project/{names.image_build_name(settings)}")
    return [
        allow(["codebuild:BatchGetBuilds", "codebuild:StartBuild"], [project]),
        allow(["ecr:DescribeImages"], _own_repositories(settings)),
    ]


def _building_images(settings: Settings) -> list[Allowed]:
    """Reads the source, pulls bases and pushes images."""
    assets = assets_bucket(settings)
    images = image_map()
    bases = {
        f"arn:aws:ecr:{settings.region}:{accounts[settings.region]}:repository/{pin.repository}"
        for name, pin in images.images.items()
        if pin.builds and settings.region in (accounts := images.regions(name))
    }
    pull, token = pulling(sorted(bases))
    pushing = [f"ecr:{verb}" for verb in ("CompleteLayerUpload", "InitiateLayerUpload", "PutImage")]
    return [
        *writing_logs(settings, names.image_build_log_group(settings)),
        allow(["s3:GetBucketAcl", "s3:GetBucketLocation"], [assets]),
        allow(
            ["s3:GetObject", "s3:GetObjectVersion"],
            [f"{assets}/*"],
            why="The bootstrap's bucket names a source by its hash, another one in each deploy.",
        ),
        pull,
        allow([*_PULL, *pushing, "ecr:UploadLayerPart"], _own_repositories(settings)),
        token,
        *(_installing(settings.package_index, settings.region) if settings.package_index else ()),
    ]


def _installing(index: PackageIndex, region: str) -> list[Allowed]:
    """Returns the permissions to install packages from CodeArtifact.

    Its user guide asks for these: "Using CodeArtifact with CodeBuild", "AWS CodeArtifact
    permissions reference".
    """
    place = f"arn:aws:codeartifact:{region}:{index.owner}"
    repository = f"{place}:repository/{index.domain}/{index.repository}"
    return [
        allow(["codeartifact:GetAuthorizationToken"], [f"{place}:domain/{index.domain}"]),
        allow(["codeartifact:ReadFromRepository"], [repository]),
        allow(
            ["sts:GetServiceBearerToken"],
            ["*"],
            conditions={"StringEquals": {"sts:AWSServiceName": "codeartifact.amazonaws.com"}},
            why="The token that CodeArtifact asks STS for has no ARN; the condition names the "
            "service.",
        ),
    ]


def writing_logs(settings: Settings, group: str) -> list[Allowed]:
    """Returns the permissions to write to a log group of the environment."""
    streams = arn(settings, "logs", f"log-group:{group}:*")
    why = "The service names a stream for each run."
    return [allow(["logs:CreateLogStream", "logs:PutLogEvents"], [streams], why=why)]


def _own_repositories(settings: Settings) -> list[str]:
    repositories = [names.own_repository(settings, image) for image in get_args(OwnImage)]
    return [arn(settings, "ecr", f"repository/{name}") for name in repositories]


_OWN: Mapping[Role, Callable[[Settings], list[Allowed]]] = {
    "approver": _approver,
    "data-scientist": _data_scientist,
    "deployer": _deployer,
    "endpoint-caller": _endpoint_caller,
    "endpoint-deployer": _endpoint_deployer,
    "etl-starter": flow_permissions,
    "image-build": _building_images,
    "image-build-starter": _starting_builds,
    "inference": _inference,
    "janitor": _janitor,
    "lake-probe": _lake_probe,
    "lake-settings": _lake_settings,
    "notifier": flow_permissions,
    "pipeline": _pipeline,
    "pipeline-starter": flow_permissions,
    "preflight": _preflight,
    "promoter": _promoter,
    "registrar": _register_step,
    "registry-reader": _reading_registry,
    "rollout": _rollout,
}
