"""What CloudFormation may do to image repositories, the model registry, MLflow and the budget."""

from infra.components.allow import Allowed, allow
from infra.components.execution_scope import NAMED
from sashiko.aws.names import arn
from sashiko.settings import Settings


def platform(settings: Settings) -> list[Allowed]:
    """Returns what the platform takes; it neither pushes an image nor registers a model."""
    return [*_images(settings), *_models(settings), *_spending(settings)]


def _images(settings: Settings) -> list[Allowed]:
    by_ecr = {"StringEquals": {"kms:ViaService": f"ecr.{settings.region}.amazonaws.com"}}
    return [
        allow(
            [
                "ecr:CreateRepository",
                "ecr:DeleteLifecyclePolicy",
                "ecr:DeleteRepository",
                "ecr:DescribeRepositories",
                "ecr:GetLifecyclePolicy",
                "ecr:GetRepositoryPolicy",
                "ecr:ListTagsForResource",
                "ecr:PutImageScanningConfiguration",
                "ecr:PutImageTagMutability",
                "ecr:PutLifecyclePolicy",
                "ecr:TagResource",
                "ecr:UntagResource",
            ],
            [arn(settings, "ecr", f"repository/{settings.project}-*")],
            why=NAMED,
        ),
        # ECR opens a repository's key by a grant, which it makes and gives back for the caller.
        allow(
            ["kms:CreateGrant", "kms:RetireGrant"],
            [arn(settings, "kms", "key/*")],
            conditions=by_ecr,
            why="A repository is made seconds after its key, when no tag counts yet; only ECR, for "
            "its own use, can ask this way.",
        ),
    ]


def _models(settings: Settings) -> list[Allowed]:
    apps, project = arn(settings, "sagemaker", "mlflow-app/*"), settings.project
    made_up = "SageMaker makes up an app's id; the condition on the tag means the project's."
    return [
        allow(
            [
                "sagemaker:AddTags",
                "sagemaker:CreateModelPackageGroup",
                "sagemaker:DeleteModelPackageGroup",
                "sagemaker:DeleteModelPackageGroupPolicy",
                "sagemaker:DeleteTags",
                "sagemaker:DescribeModelPackageGroup",
                "sagemaker:GetModelPackageGroupPolicy",
                "sagemaker:ListTags",
                "sagemaker:PutModelPackageGroupPolicy",
            ],
            [arn(settings, "sagemaker", f"model-package-group/{project}-*")],
            why=NAMED,
        ),
        allow(
            ["sagemaker:AddTags", "sagemaker:CreateMlflowApp"],
            [apps],
            conditions={"StringEquals": {"aws:RequestTag/project": project}},
            why="An app has no id before it is made; it must carry the project's tag.",
        ),
        allow(
            [
                "sagemaker:AddTags",
                "sagemaker:DeleteMlflowApp",
                "sagemaker:DeleteTags",
                "sagemaker:DescribeMlflowApp",
                "sagemaker:ListTags",
                "sagemaker:UpdateMlflowApp",
            ],
            [apps],
            conditions={"StringEquals": {"aws:ResourceTag/project": project}},
            why=made_up,
        ),
    ]


def _spending(settings: Settings) -> list[Allowed]:
    account = settings.account
    return [
        allow(
            [
                "budgets:ListTagsForResource",
                "budgets:ModifyBudget",
                "budgets:TagResource",
                "budgets:UntagResource",
                "budgets:ViewBudget",
            ],
            [f"arn:aws:budgets::{account}:budget/{settings.project}-*"],
            why=NAMED,
        ),
        # Of the account's bill, which a budget sums up.
        allow(["billing:GetBillingViewData"], [f"arn:aws:billing::{account}:billingview/primary"]),
        allow(
            [
                "sns:CreateTopic",
                "sns:DeleteTopic",
                "sns:GetDataProtectionPolicy",
                "sns:GetTopicAttributes",
                "sns:ListSubscriptionsByTopic",
                "sns:ListTagsForResource",
                "sns:SetTopicAttributes",
                "sns:Subscribe",
                "sns:TagResource",
                "sns:Unsubscribe",
                "sns:UntagResource",
            ],
            [arn(settings, "sns", f"{settings.project}-*")],
            why=NAMED,
        ),
    ]
