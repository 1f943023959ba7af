"""The ECR repositories of the environment's images, and which role may pull which image."""

import re
from collections.abc import Mapping, Sequence

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_kms as kms
from constructs import Construct

from sashiko.account.images.job_images import JobImage, JobImages, job_images
from sashiko.account.names import Role
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko_cdk.identity.allow import allow
from sashiko_cdk.identity.role_policy import RolePolicy
from sashiko_cdk.identity.role_table import roles_of

__all__ = ["ImageRepositories"]

_URI = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.[a-z.]+/(?P<name>[^:@]+)"
)
_KEPT_IMAGES = 100
_UNTAGGED = Duration.days(14)


def _runs(settings: Settings, images: JobImages) -> Mapping[Role, tuple[JobImage, ...]]:
    """Returns the images of each role's jobs and endpoints."""
    jobs: dict[Role, tuple[JobImage, ...]] = dict.fromkeys(roles_of(settings, "job"), (images.job,))
    return jobs | {
        "bias-evaluator": (images.bias, images.job),
        "inference": (images.serving,),
        "training": (images.compile, images.job, images.train),
    }


class ImageRepositories(Construct):
    """A repository for each of the environment's own images, and the roles' permission to pull.

    Tags are immutable, so a name always means the same image; images are scanned on push.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        recipes: Sequence[Recipe],
        key: kms.IKey,
        removal_policy: RemovalPolicy,
    ) -> None:
        """The recipes' targets select the serving images; a pull needs no permission on `key`."""
        super().__init__(scope, id)
        sets = [job_images(settings, recipe.compile.target) for recipe in recipes]
        used = [image for images in sets for image in (*images.of_jobs(), images.serving)]
        uris = [_URI.match(image.uri) for image in used]
        own = sorted({uri["name"] for uri in uris if uri and uri["account"] == settings.account})
        self.repositories = {
            name: ecr.Repository(
                self,
                name.rpartition("/")[2].title(),
                repository_name=name,
                encryption=ecr.RepositoryEncryption.KMS,
                encryption_key=key,
                image_tag_mutability=ecr.TagMutability.IMMUTABLE,
                image_scan_on_push=True,
                removal_policy=removal_policy,
                empty_on_delete=removal_policy == RemovalPolicy.DESTROY,
                lifecycle_rules=[
                    ecr.LifecycleRule(
                        description="Layers that no tag names any more",
                        tag_status=ecr.TagStatus.UNTAGGED,
                        max_image_age=_UNTAGGED,
                    ),
                    # Many: an endpoint that scales out pulls the image that it was created with.
                    ecr.LifecycleRule(
                        description=f"The newest {_KEPT_IMAGES}",
                        max_image_count=_KEPT_IMAGES,
                    ),
                ],
            )
            for name in own
        }
        runs = [_runs(settings, images) for images in sets]
        for role in runs[0]:
            arns = {_arn(image) for images in runs for image in images[role]}
            self._let_pull(settings, role, sorted(arns))

    def _let_pull(self, settings: Settings, role: Role, arns: Sequence[str]) -> None:
        RolePolicy(
            self,
            f"Pull-{role}",
            settings=settings,
            role=role,
            description="Pulls the images that it runs in",
            statements=[
                allow(
                    [
                        "ecr:BatchCheckLayerAvailability",
                        "ecr:BatchGetImage",
                        "ecr:GetDownloadUrlForLayer",
                    ],
                    arns,
                ),
                allow(
                    ["ecr:GetAuthorizationToken"],
                    ["*"],
                    why="A token is for the registry, not for a repository.",
                ),
            ],
        )


def _arn(image: JobImage) -> str:
    uri = _URI.match(image.uri)
    if uri is None:
        raise ValueError(
            f"{image.uri} is not an ECR image: see src/sashiko/account/images/job_images.py"
        )
    return f"arn:aws:ecr:{uri['region']}:{uri['account']}:repository/{uri['name']}"
