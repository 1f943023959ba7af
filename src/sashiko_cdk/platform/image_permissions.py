"""The permissions to build images: of CodeBuild's role, and of the function that starts builds."""

from typing import get_args

from sashiko.account.images.image_map import OwnImage, image_map
from sashiko.account.names import image_build_log_group, image_build_name, own_repository
from sashiko.settings.environment import Settings
from sashiko.settings.environment_sections import PackageIndex
from sashiko_cdk.bootstrap.execution_policy import assets_bucket
from sashiko_cdk.identity.allow import Allowed, allow

_PULL = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")


def starting_builds(settings: Settings) -> list[Allowed]:
    """Returns the permissions of the function: it looks for an image and starts its build."""
    project = f"project/{image_build_name(settings)}"
    return [
        allow(
            ["codebuild:BatchGetBuilds", "codebuild:StartBuild"],
            [f"arn:aws:codebuild:{settings.region}:{settings.account}:{project}"],
        ),
        allow(["ecr:DescribeImages"], _own(settings)),
    ]


def waiting_for_builds(settings: Settings, key_arn: str) -> list[Allowed]:
    """Returns the permissions to encrypt CloudFormation's request, which readers of builds see."""
    return [
        allow(
            ["kms:Decrypt", "kms:Encrypt"],
            [key_arn],
            conditions={
                "StringEquals": {"kms:EncryptionContext:build": image_build_name(settings)}
            },
        )
    ]


def building_images(settings: Settings) -> list[Allowed]:
    """Returns the permissions of a build: it reads its source, pulls bases and pushes images."""
    assets = assets_bucket(settings)
    return [
        *writing_logs(settings, image_build_log_group(settings)),
        allow(["s3:GetBucketAcl", "s3:GetBucketLocation"], [assets]),
        allow(
            ["s3:GetObject", "s3:GetObjectVersion"],
            [f"{assets}/*"],
            why="The bootstrap's bucket names a source by its hash, another one in each deploy.",
        ),
        allow(_PULL, _bases(settings)),
        allow(
            [
                *_PULL,
                "ecr:CompleteLayerUpload",
                "ecr:InitiateLayerUpload",
                "ecr:PutImage",
                "ecr:UploadLayerPart",
            ],
            _own(settings),
        ),
        allow(
            ["ecr:GetAuthorizationToken"],
            ["*"],
            why="A token is for the registry, not for a repository.",
        ),
        *(_installing(settings.package_index, settings.region) if settings.package_index else ()),
    ]


def _installing(index: PackageIndex, region: str) -> list[Allowed]:
    """Returns the permissions to install packages from CodeArtifact.

    Its user guide asks for these: "Using CodeArtifact with CodeBuild", "AWS CodeArtifact
    permissions reference".
    """
    place = f"arn:aws:codeartifact:{region}:{index.owner}"
    return [
        allow(["codeartifact:GetAuthorizationToken"], [f"{place}:domain/{index.domain}"]),
        allow(
            ["codeartifact:ReadFromRepository"],
            [f"{place}:repository/{index.domain}/{index.repository}"],
        ),
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
    return [
        allow(
            ["logs:CreateLogStream", "logs:PutLogEvents"],
            [f"arn:aws:logs:{settings.region}:{settings.account}:log-group:{group}:*"],
            why="The service names a stream for each run.",
        )
    ]


def _own(settings: Settings) -> list[str]:
    place = f"arn:aws:ecr:{settings.region}:{settings.account}:repository"
    return [f"{place}/{own_repository(settings, image)}" for image in get_args(OwnImage)]


def _bases(settings: Settings) -> list[str]:
    """Returns AWS's repositories of the base images in the region."""
    images = image_map()
    return sorted(
        {
            f"arn:aws:ecr:{settings.region}:{accounts[settings.region]}:repository/{pin.repository}"
            for name, pin in images.images.items()
            if pin.builds and settings.region in (accounts := images.regions(name))
        }
    )
