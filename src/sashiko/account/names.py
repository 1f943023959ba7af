"""The names of what an environment has in its account: all of them derived from its settings."""

from typing import Literal, NewType

from sashiko.contract.grants import TagKind
from sashiko.errors import InputError
from sashiko.settings.environment import Settings
from sashiko.settings.environment_sections import Neighbour
from sashiko.settings.tools import Tools

__all__ = ["pipeline_name", "prefix"]

CoreRole = Literal[
    "approver",
    "bias-evaluator",
    "break-glass",
    "broker",
    "data-scientist",
    "deployer",
    "device-check",
    "endpoint-caller",
    "endpoint-deployer",
    "etl",
    "etl-starter",
    "event-router",
    "gatekeeper",
    "image-build",
    "image-build-starter",
    "inference",
    "janitor",
    "lake-formation",
    "lake-probe",
    "lake-settings",
    "mlflow",
    "notifier",
    "pipeline",
    "pipeline-starter",
    "preflight",
    "promoter",
    "registrar",
    "registry-reader",
    "rollout",
    "training",
]
# What a pack adds to the names of roles, keys and folders.
PackName = NewType("PackName", str)
Role = CoreRole | PackName
# By whom and for whom GitHub's tokens for AWS are ("Configuring OpenID Connect in Amazon Web
# Services" of GitHub's documentation).
GITHUB_ISSUER = "token.actions.githubusercontent.com"
GITHUB_AUDIENCE = "sts.amazonaws.com"
# The roles of GitHub Actions, which only an environment that it deploys has.
GITHUB_READER = "github-reader"
GITHUB_DEPLOYER = "github-deployer"
BootstrapRole = Literal["cfn-exec", "deploy", "file-publishing", "image-publishing", "lookup"]
Bucket = Literal["raw", "curated", "snapshots", "artifacts", "capture", "logs"]
SnapshotView = Literal["training", "facets"]
SnapshotFolder = Literal["training", "facets", "weights"] | PackName
CoreKeyDomain = Literal[
    "lake", "snapshots", "ml", "capture", "logs", "network", "platform", "signing"
]
KeyDomain = CoreKeyDomain | PackName

# Folder of the artifacts bucket for the signed files of registered models. Jobs that train write
# elsewhere, so that none can change what a package points to.
MODELS = "models"
_LONGEST_GROUP = 63


def prefix(settings: Settings) -> str:
    """Begins every name of an environment, such as `sashiko-dev`."""
    return f"{settings.project}-{settings.environment}"


def arn(settings: Settings, service: str, resource: str) -> str:
    """Returns the ARN of something in the environment's account and region."""
    return f"arn:aws:{service}:{settings.region}:{settings.account}:{resource}"


def neighbour(settings: Settings, other: Neighbour) -> Settings:
    """Returns settings that the names of another environment follow from, and nothing else does.

    Both are of one project and one region: `sashiko.settings.environment` holds them to that.
    """
    return settings.model_copy(update={"environment": other.environment, "account": other.account})


def role_name(settings: Settings, role: Role) -> str:
    """Names a persona's or a job's IAM role; Lake Formation grants refer to it by this name."""
    return f"{prefix(settings)}-{role}"


def registering(settings: Settings) -> tuple[Role, ...]:
    """Returns who signs and writes the files of versions: a promoter only where some are taken."""
    return ("registrar", "promoter") if settings.promotion.source else ("registrar",)


def device_check_prefix(settings: Settings) -> str:
    """Begins the names of all that a check on a device makes; an execution's id follows."""
    return f"{settings.project}-devicecheck-{settings.environment}"


def own_repository(settings: Settings, image: str) -> str:
    """Names the ECR repository of one of the project's own images."""
    return f"{prefix(settings)}/{image}"


def image_build_name(settings: Settings) -> str:
    """Names the CodeBuild project that builds the project's own images."""
    return f"{prefix(settings)}-image-build"


def image_build_log_group(settings: Settings) -> str:
    """Names the log group of the builds of images."""
    return f"/{prefix(settings)}/image-build"


def function_arn(settings: Settings, role: Role) -> str:
    """Returns the ARN of a role's Lambda function, which has the role's name."""
    return arn(settings, "lambda", f"function:{role_name(settings, role)}")


def function_log_group(settings: Settings, role: Role) -> str:
    """Names the log group of a role's Lambda function."""
    return f"/{prefix(settings)}/functions/{role}"


def bucket_name(settings: Settings, bucket: Bucket) -> str:
    """Names a bucket; account and region make it unique in the world.

    It is derived, so that every environment has its own.
    """
    return f"{prefix(settings)}-{bucket}-{settings.account}-{settings.region}"


def snapshots_uri(settings: Settings, folder: SnapshotFolder) -> str:
    """Returns the S3 URI of a folder of the snapshots bucket; its policy names who writes there."""
    return f"s3://{bucket_name(settings, 'snapshots')}/{folder}"


def key_alias(settings: Settings, domain: KeyDomain) -> str:
    """Names the KMS key of a domain."""
    return f"alias/{prefix(settings)}-{domain}"


def key_alias_arn(settings: Settings, domain: KeyDomain) -> str:
    """Returns the ARN of a key's alias, where a service takes one in a key's place."""
    return arn(settings, "kms", key_alias(settings, domain))


def earlier_signing_alias(settings: Settings, number: int) -> str:
    """Names a signing key that another one has replaced; the one that signs has its domain's."""
    return f"{key_alias(settings, 'signing')}-{number}"


def trusted_signing_aliases(settings: Settings) -> tuple[str, ...]:
    """Names the keys whose signatures count: first the one that signs, then the next older one."""
    *earlier, _ = settings.signing_keys
    aliases = (earlier_signing_alias(settings, number) for number in reversed(earlier))
    return (key_alias(settings, "signing"), *aliases)


def database_name(settings: Settings) -> str:
    """Names the Glue database of the curated tables; Athena allows no hyphen without quotes."""
    return prefix(settings).replace("-", "_")


def workgroup_name(settings: Settings, view: SnapshotView) -> str:
    """Names the Athena workgroup that snapshots of a view are taken through."""
    return f"{_workgroups(settings)}-{view}"


def lake_uri(settings: Settings) -> str:
    """Returns what the pipeline calls an account's lake: workgroups, and the database."""
    return f"athena://{_workgroups(settings)}/{database_name(settings)}"


def _workgroups(settings: Settings) -> str:
    return f"{prefix(settings)}-snapshots"


def pipeline_name(settings: Settings, recipe: str, *, module: str = "") -> str:
    """Names a recipe's pipeline: the one that trains, or a pack's, by its module."""
    return "-".join(part for part in (prefix(settings), recipe, module) if part)


def exploration_workgroup_name(settings: Settings) -> str:
    """Names the Athena workgroup that data scientists query the lake through."""
    return f"{prefix(settings)}-exploration"


def etl_name(settings: Settings, table: str) -> str:
    """Names the Glue job that loads a table, and its data quality ruleset."""
    return f"{prefix(settings)}-etl-{table}"


def alerts_topic_name(settings: Settings) -> str:
    """Names the SNS topic of an environment's alerts."""
    return f"{prefix(settings)}-alerts"


def alerts_topic_arn(settings: Settings) -> str:
    """Returns the ARN of the topic of alerts, which its name gives."""
    return arn(settings, "sns", alerts_topic_name(settings))


def answers_topic_arn(settings: Settings) -> str:
    """Returns the ARN of the SNS topic that says when an asynchronous request has ended."""
    return arn(settings, "sns", f"{prefix(settings)}-answers")


def bootstrap_policy_name(settings: Settings, part: str) -> str:
    """Names a policy of `make bootstrap`: the `boundary` of roles, `cap`, `execution-...`.

    It begins with the qualifier and not with the project: what begins with that CloudFormation may
    change.
    """
    return f"cdk-{settings.qualifier}-{part}-{settings.region}"


def bootstrap_policy_arn(settings: Settings, part: str) -> str:
    """Returns the ARN of a policy of `make bootstrap`."""
    return f"arn:aws:iam::{settings.account}:policy/{bootstrap_policy_name(settings, part)}"


def model_package_group_name(settings: Settings, group: str) -> str:
    """Names a recipe's model package group in an environment's registry.

    In an account it bears the environment's prefix, as IAM's policies ask; this machine's registry
    is its own, and has the recipe's name. InputError if it is longer than SageMaker allows.
    """
    if settings.tier == "local":
        return group
    name = f"{prefix(settings)}-{group}"
    if len(name) > _LONGEST_GROUP:
        raise InputError(
            f"model package group {name}: it has {len(name)} characters, SageMaker allows "
            f"{_LONGEST_GROUP}; shorten the recipe's `model_package_group`"
        )
    return name


def model_package_arn(settings: Settings, group: str, version: int | str) -> str:
    """Returns the ARN of a version of a recipe's group; SageMaker writes it in lower case."""
    name = model_package_group_name(settings, group).lower()
    return arn(settings, "sagemaker", f"model-package/{name}/{version}")


def bootstrap_role_arn(settings: Settings, role: BootstrapRole) -> str:
    """Returns a role of CDK's bootstrap in the environment's account and region."""
    name = f"cdk-{settings.qualifier}-{role}-role-{settings.account}-{settings.region}"
    return f"arn:aws:iam::{settings.account}:role/{name}"


def exec_role_arn(settings: Settings) -> str:
    """Returns the role of CDK's bootstrap that CloudFormation acts as in every deploy."""
    return bootstrap_role_arn(settings, "cfn-exec")


def tag_key(settings: Settings, kind: TagKind) -> str:
    """Names an LF-Tag; it belongs to the account, so it carries the project and no environment."""
    return f"{settings.project}-{kind}"


def model_build_name(tools: Tools) -> str:
    """Names the CodeBuild project that delivers approved models, and its role."""
    return f"{prefix(tools.settings)}-models"


def model_build_role_arn(tools: Tools) -> str:
    """Returns the role of that build, which each environment's `endpoint-deployer` trusts."""
    return f"arn:aws:iam::{tools.settings.account}:role/{model_build_name(tools)}"


def approvals_bus_name(tools: Tools) -> str:
    """Names the event bus that approvals of all environments arrive at."""
    return f"{prefix(tools.settings)}-approvals"


def approvals_bus_arn(tools: Tools) -> str:
    """Returns the ARN of that bus."""
    return arn(tools.settings, "events", f"event-bus/{approvals_bus_name(tools)}")
