"""What CloudFormation may do to functions, and to the project that builds images."""

from infra.components.allow import Allowed, allow
from sashiko.aws.names import QUALIFIER
from sashiko.settings import Settings

_NAMED = "All names of the project begin with its prefix; environments are not known here."


def functions(settings: Settings) -> list[Allowed]:
    """Returns what functions take; one that CloudFormation calls acts as its own role."""
    here = f"{settings.region}:{settings.account}"
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
            [f"arn:aws:lambda:{here}:function:{settings.project}-*"],
            why=_NAMED,
        ),
        *_code(settings),
        allow(
            [
                "codebuild:BatchGetProjects",
                "codebuild:CreateProject",
                "codebuild:DeleteProject",
                "codebuild:UpdateProject",
            ],
            [f"arn:aws:codebuild:{here}:project/{settings.project}-*"],
            why=_NAMED,
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
            [f"arn:aws:kms:{settings.region}:{settings.account}:key/*"],
            conditions=of_assets(settings, "StringLike"),
            why="AWS's own key of S3, whose id each account has another one of; the condition on "
            "the encryption context means the bootstrap's bucket.",
        ),
    ]


def assets_bucket(settings: Settings) -> str:
    """Returns the ARN of the bootstrap's bucket of templates and code."""
    return f"arn:aws:s3:::cdk-{QUALIFIER}-assets-{settings.account}-{settings.region}"


def of_assets(settings: Settings, operator: str) -> dict[str, dict[str, list[str]]]:
    """Returns the condition that what is decrypted lies in that bucket; `StringNotLike`: not."""
    bucket = assets_bucket(settings)
    # S3 names the bucket where it has a bucket key, the object where it has none.
    return {operator: {"kms:EncryptionContext:aws:s3:arn": [bucket, f"{bucket}/*"]}}
