"""The roles of people and jobs in an environment, and what they are denied."""

from collections.abc import Sequence
from typing import Any, Final

from aws_cdk import aws_iam as iam

from sashiko.account.instances import families_with_local_disk, settings_for
from sashiko.account.names import bucket_name, function_log_group, prefix
from sashiko.packs import load_packs, pack_objects
from sashiko.settings.environment import Settings
from sashiko.settings.environment_sections import ProcessingJob, TrainingJob
from sashiko.settings.recipe import Recipe
from sashiko.settings.tools import Tools
from sashiko_cdk.identity import role_table, trust
from sashiko_cdk.identity.allow import DENIES, Allowed, add_role, allow, deny
from sashiko_cdk.identity.boundary import boundary_of
from sashiko_cdk.identity.role_permissions import own_permissions, writing_logs
from sashiko_cdk.identity.role_table import RoleRecord
from sashiko_cdk.security_rules.acknowledge import acknowledge
from sashiko_cdk.stack import EnvironmentStack

__all__ = ["add_roles"]

# The roles that trust a service without a condition, as those of functions do:
# `service_of_account` says why.
_OF_ACCOUNT: Final = frozenset({"etl", "lake-formation", "mlflow"})


def container_basics(settings: Settings) -> list[Allowed]:
    """Returns the permissions of jobs and endpoints in a VPC, without any on data."""
    region, account = settings.region, settings.account
    ec2 = f"arn:aws:ec2:{region}:{account}"
    tags = {"project": settings.project, "environment": settings.environment}
    tagged = {"StringEquals": {f"aws:ResourceTag/{key}": value for key, value in tags.items()}}
    why = "Network comes after Identity; the condition on tags means its subnets and groups."
    network = settings.network
    subnets = [subnet.id for subnet in network.subnets]
    existing_ids = {"security-group": network.security_groups, "subnet": subnets}
    # No tag of what another account shares is seen here, and the ARN has that account. An id is of
    # one account alone, so that both may be named.
    owners = dict.fromkeys((account, network.owner or account))
    existing = [
        f"arn:aws:ec2:{region}:{owner}:{kind}/{id_}"
        for kind, ids in existing_ids.items()
        for id_ in ids
        for owner in owners
    ]
    attach = ["ec2:CreateNetworkInterface"]
    own = [f"{ec2}:{kind}/*" for kind, ids in existing_ids.items() if not ids]
    kinds = ("Endpoints", "ProcessingJobs", "TrainingJobs")
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
                    "cloudwatch:namespace": [f"/aws/sagemaker/{kind}" for kind in kinds]
                }
            },
            why="CloudWatch metrics have no ARN; the condition limits the three namespaces.",
        ),
        *([allow(attach, existing)] if existing else []),
        *([allow(attach, own, conditions=tagged, why=why)] if own else []),
        allow(
            [
                f"ec2:{verb}NetworkInterface{what}"
                for verb in ("Create", "Delete")
                for what in ("", "Permission")
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
    training = [settings_for(settings, recipe).jobs.training for recipe in recipes]
    of_packs = pack_objects("jobs", load_packs(settings.packs, source="settings"))
    more = [job for find_jobs in of_packs for job in find_jobs(settings)]
    resources: Sequence[ProcessingJob | TrainingJob] = (
        jobs.processing, jobs.scoring, *training, *more,
    )  # fmt: skip
    types = sorted(
        {job.instance_type for job in resources}.union(
            *(job.fallback_instance_types for job in resources)
        )
    )
    longest = max(job.max_runtime for job in (jobs.processing, jobs.scoring, jobs.training, *more))
    local_disk = [f"ml.{family}.*" for family in families_with_local_disk()]
    keys = f"arn:aws:kms:{settings.region}:{settings.account}:key/*"
    volume, output = (
        (f"sagemaker:{what}KmsKey", f"sagemaker:{what}KmsKeyArn") for what in ("Volume", "Output")
    )
    encryption = "sagemaker:InterContainerTrafficEncryption"
    denials: dict[str, dict[str, Any]] = {
        "InTheVpc": _missing("sagemaker:VpcSubnets"),
        "InAGroup": _missing("sagemaker:VpcSecurityGroupIds"),
        "VolumeKeyGiven": _missing(*volume)
        | {"ForAnyValue:StringNotLike": {"sagemaker:InstanceTypes": local_disk}},
        # A negated condition holds of a name that the request does not have.
        "VolumeKeyOurs": {"ArnNotLike": {volume[0]: keys}, "Null": {volume[0]: "false"}},
        "VolumeArnOurs": {"ArnNotLike": {volume[1]: keys}, "Null": {volume[1]: "false"}},
        "OutputKeyGiven": _missing(*output),
        "OutputKeyOurs": {"ArnNotLike": dict.fromkeys(output, keys)},
        "TrafficSaid": _missing(encryption),
        "TrafficEncrypted": {"Bool": {encryption: "false"}},
        "KnownInstances": {"ForAnyValue:StringNotEquals": {"sagemaker:InstanceTypes": types}},
        # A job without the period does not match.
        "KeptAlive": {
            "NumericGreaterThan": {"sagemaker:KeepAlivePeriod": str(jobs.training.keep_alive or 0)}
        },
        "EndSaid": _missing("sagemaker:MaxRuntimeInSeconds"),
        "EndsInTime": {"NumericGreaterThan": {"sagemaker:MaxRuntimeInSeconds": str(longest)}},
    }
    return [
        deny(sid, role_table.JOBS, conditions=conditions) for sid, conditions in denials.items()
    ]


def _missing(*keys: str) -> dict[str, Any]:
    return {"Null": dict.fromkeys(keys, "true")}


def staging_limits(settings: Settings) -> list[iam.PolicyStatement]:
    """Returns the denials for the deployer, whatever a later policy allows it.

    The buckets have bucket keys, so the encryption context is the bucket's ARN. A request without
    that context is denied too.
    """
    bucket = f"arn:aws:s3:::{bucket_name(settings, 'artifacts')}"
    staged = [f"{bucket}/{keys}" for keys in role_table.STAGED]
    context = {"StringNotEquals": {"kms:EncryptionContext:aws:s3:arn": bucket}}
    return [
        deny("ReadsStagedAlone", ["s3:GetObject*"], not_resources=staged),
        deny("DecryptsForStagedAlone", ["kms:Decrypt"], conditions=context),
    ]


def add_roles(
    stack: EnvironmentStack, *, recipes: Sequence[Recipe], tools: Tools | None = None
) -> None:
    """Adds the environment's roles to a stack, under fixed names.

    Other stacks and Lake Formation refer to them by name. `recipes` decide on which instances
    models are trained, and by their compile targets on which the device check may run. `tools`
    is the tools' account, if a pipeline there deploys the environment.
    """
    settings, boundary = stack.settings, boundary_of(stack, stack.settings)
    targets = [recipe.compile.target for recipe in recipes]
    for record in role_table.role_records(settings):
        role = record.name
        allowed = [*own_permissions(settings, role, targets=targets), *record.own(settings)]
        if record.kind in ("job", "endpoint"):
            allowed += container_basics(settings)
        if record.kind == "function":
            allowed += writing_logs(settings, function_log_group(settings, role))
        iam_role = add_role(
            stack,
            role.title().replace("-", ""),
            name=f"{prefix(settings)}-{role}",
            description=record.description,
            trust=_trust(settings, record, tools),
            boundary=boundary,
            allowed=allowed,
            denied=_denials(settings, record, recipes),
            # The first deploy builds four images, each for 50 minutes at most.
            hours=6 if role == "deployer" else None,
            inline=DENIES,
        )
        iam_role.apply_removal_policy(stack.removal_policy)
        if role in _OF_ACCOUNT or record.kind == "function":
            acknowledge(iam_role, {"confused-deputy": trust.SAME_ACCOUNT})


def _denials(
    settings: Settings, record: RoleRecord, recipes: Sequence[Recipe]
) -> list[iam.PolicyStatement]:
    """Returns the denials of a role, which hold whatever a later stack attaches to it."""
    denials = [deny("Never", record.never)]
    if closed := role_table.closed_buckets(settings, record):
        reading = ["s3:GetObject", "s3:GetObjectVersion"]
        denials.append(deny("NotPastLakeFormation", reading, resources=closed))
    if record.name == "pipeline":
        denials += job_denials(settings, recipes)
    if record.name == "deployer":
        denials += staging_limits(settings)
    return denials


def _trust(settings: Settings, record: RoleRecord, tools: Tools | None) -> iam.IPrincipal:
    role = record.name
    if record.kind == "person":
        persons = trust.people(settings, at_home=role == "break-glass")
        if tools and role == "endpoint-deployer":
            return trust.with_build(persons, tools)
        return persons
    if role == "lake-formation":
        # Both, as AWS requires of a role that locations are registered with ("Requirements for
        # roles used to register locations", AWS Lake Formation Developer Guide).
        return iam.CompositePrincipal(
            trust.service(settings, "lakeformation"), trust.service_of_account("glue")
        )
    # The page on the role of an MLflow App has no condition ("Set up IAM permissions for MLflow
    # Apps"), and the one on confused deputies (`service`) does not name MLflow.
    if record.kind == "function" or role in _OF_ACCOUNT:
        return trust.service_of_account({"etl": "glue", "mlflow": "sagemaker"}.get(role, "lambda"))
    flow = ("states", "stateMachine:{prefix}-*")
    name, resources = flow if record.kind == "flow" else record.trust
    return trust.service(settings, name, resources.format(prefix=prefix(settings)))
