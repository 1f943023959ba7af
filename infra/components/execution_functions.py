"""What CloudFormation may do to functions, and to the project that builds images."""

from infra.components.allow import Allowed, allow
from infra.components.execution_scope import NAMED, assets_bucket, of_assets
from sashiko.aws.names import arn
from sashiko.settings import Settings


def functions(settings: Settings) -> list[Allowed]:
    """Returns what functions take; one that CloudFormation calls acts as its own role."""
    return [
        allow(
            [
                "lambda:AddPermission",
                "lambda:CreateFunction",
                "lambda:DeleteFunction",
                "lambda:GetFunction",
                "lambda:GetFunctionCodeSigningConfig",
                "lambda:GetFunctionRecursionConfig",
                "lambda:GetFunctionScalingConfig",
                "lambda:GetPolicy",
                "lambda:GetRuntimeManagementConfig",
                "lambda:InvokeFunction",
                "lambda:ListTags",
                "lambda:RemovePermission",
                "lambda:TagResource",
                "lambda:UntagResource",
                "lambda:UpdateFunctionCode",
                "lambda:UpdateFunctionConfiguration",
            ],
            [arn(settings, "lambda", f"function:{settings.project}-*")],
            why=NAMED,
        ),
        *_code(settings),
        allow(
            [
                "codebuild:BatchGetProjects",
                "codebuild:CreateProject",
                "codebuild:DeleteProject",
                "codebuild:UpdateProject",
            ],
            [arn(settings, "codebuild", f"project/{settings.project}-*")],
            why=NAMED,
        ),
    ]


def _code(settings: Settings) -> list[Allowed]:
    """Lambda reads a function's code as whoever makes the function."""
    objects = f"{assets_bucket(settings)}/*"
    return [
        allow(
            ["s3:GetObject", "s3:GetObjectVersion"],
            [objects],
            why="The bootstrap's bucket names code by its hash. It holds no data.",
        ),
        allow(
            ["kms:Decrypt"],
            [arn(settings, "kms", "key/*")],
            conditions=of_assets(settings, "StringLike"),
            why="AWS's own key of S3, whose id each account has another one of; the condition on "
            "the encryption context means the bootstrap's bucket.",
        ),
    ]
