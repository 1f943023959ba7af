"""What the roles around the registry may do: read, register, approve, promote, tell lineage."""

from sashiko.account.names import arn, prefix
from sashiko.settings.environment import Settings
from sashiko_cdk.identity.allow import Allowed, allow
from sashiko_cdk.identity.role_table import APPROVE, REGISTER
from sashiko_cdk.platform.promotion import reading_source

NAMED = "Names are made at run time; all of them begin with the environment's prefix."
_MADE_UP = "SageMaker makes up the ids of lineage's artifacts; they name data, and are none."
_STATUS = "sagemaker:ModelApprovalStatus"


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
