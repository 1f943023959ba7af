"""The environment's own images: their repositories, and the build by CodeBuild during a deploy."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

from aws_cdk import CustomResource, Duration, IgnoreMode, RemovalPolicy, Stage
from aws_cdk import aws_codebuild as codebuild
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk.aws_s3_assets import Asset
from constructs import Construct

from sashiko.account.images.job_images import ImageBuild, ignore_rules, image_builds, job_images
from sashiko.account.instances import settings_for
from sashiko.account.names import Role, bucket_name, image_build_log_group, image_build_name
from sashiko.base.files import dir_hash, sha256_file
from sashiko.base.function_input import EXPORTED, WantedImage
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko_cdk.events.event_flows import FunctionRule
from sashiko_cdk.functions.python_function import PythonFunction
from sashiko_cdk.identity.allow import RolePolicy, allow
from sashiko_cdk.identity.role_permissions import pulling
from sashiko_cdk.identity.role_table import roles_of
from sashiko_cdk.lake.domain_key import log_group
from sashiko_cdk.security_rules.acknowledge import acknowledge

__all__ = ["ImageBuilds", "ImageRepositories"]

_URI = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.[a-z.]+/(?P<name>[^:@]+)"
)
_KEPT_IMAGES = 100
_UNTAGGED = Duration.days(14)


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
        own: set[str] = set()
        pulled: dict[Role, set[str]] = {}
        for recipe in recipes:
            images = job_images(settings, recipe.compile.target)
            runs: dict[Role, set[str]] = {
                role: {images.job.uri} for role in roles_of(settings, "job")
            }
            runs |= {
                "bias-evaluator": {images.bias.uri, images.job.uri},
                "inference": {images.serving.uri},
                "training": {images.compile.uri, images.job.uri, images.train.uri},
            }
            for role, uris in runs.items():
                pulled.setdefault(role, set()).update(map(_repository_arn, uris))
            uses = [_URI.match(image.uri) for image in (*images.of_jobs(), images.serving)]
            own |= {use["name"] for use in uses if use and use["account"] == settings.account}
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
                        description=f"The newest {_KEPT_IMAGES}", max_image_count=_KEPT_IMAGES
                    ),
                ],
            )
            for name in sorted(own)
        }
        why = "Pulls the images that it runs in"
        for role, arns in pulled.items():
            RolePolicy(self, f"Pull-{role}", settings, role, pulling(sorted(arns)), description=why)


def _repository_arn(uri: str) -> str:
    image = _URI.match(uri)
    if image is None:
        raise ValueError(f"{uri} is not an ECR image: see src/sashiko/account/images/job_images.py")
    return f"arn:aws:ecr:{image['region']}:{image['account']}:repository/{image['name']}"


# CloudFormation waits for an hour at most: queue and build must end before that.
_QUEUED_MINUTES: Final = 5
_BUILD_MINUTES: Final = 50
_WAIT_SECONDS: Final = 3_600
_ENDED: Final = ["SUCCEEDED", "FAILED", "FAULT", "STOPPED", "TIMED_OUT"]
_LOGIN = "aws ecr get-login-password | docker login --username AWS --password-stdin"
# The same as `dir_hash`.
_DIR_HASH = (
    "find . -type f -printf '%P\\0' | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum "
    "| cut -d ' ' -f 1"
)
# AWS may move a tag between the question and the build, so the build names the digest.
_BASE = (
    'BASE_NAME="${BASE%%@*}" && BASE_NAME="${BASE_NAME%:*}" && case "$BASE" in '
    '*@*) BASE_DIGEST="${BASE#*@}";; *) BASE_DIGEST=$(aws ecr batch-get-image '
    '--registry-id "${BASE%%.*}" --repository-name "${BASE_NAME#*/}" '
    '--image-ids imageTag="${BASE##*:}" --query "images[0].imageId.imageDigest" --output text);; '
    "esac && export BASE_DIGEST"
)
# pip's global file, which `RUN --mount=type=secret` shows to one command: no layer keeps the token.
_PIP_CONF = "/tmp/pip.conf"  # noqa: S108  the build's own container
_WHY_NO_KEY = (
    "It has neither artifacts nor a cache that a key would encrypt: the image lies in a repository "
    "with the platform's key, the log in a group with it."
)


def build_project(
    scope: Construct,
    *,
    log: logs.ILogGroup,
    size: str,
    privileged: bool = False,
    variables: Mapping[str, str] | None = None,
    **properties: Any,
) -> codebuild.CfnProject:
    """Makes a project of CodeBuild, of `properties` and what all of ours have in common."""
    project = codebuild.CfnProject
    return project(
        scope,
        "Project",
        environment=project.EnvironmentProperty(
            type="LINUX_CONTAINER",
            image="aws/codebuild/amazonlinux-x86_64-standard:5.0",
            compute_type=f"BUILD_GENERAL1_{size}",
            privileged_mode=privileged,
            environment_variables=[
                project.EnvironmentVariableProperty(name=name, value=value)
                for name, value in (variables or {}).items()
            ]
            or None,
        ),
        logs_config=project.LogsConfigProperty(
            cloud_watch_logs=project.CloudWatchLogsConfigProperty(
                status="ENABLED", group_name=log.log_group_name
            )
        ),
        **properties,
    )


def recipe_builds(settings: Settings, recipes: Sequence[Recipe]) -> Sequence[ImageBuild]:
    """Returns the builds of the recipes' images; two recipes of one target need each image once."""
    builds = [
        build
        for recipe in recipes
        for build in image_builds(settings_for(settings, recipe), recipe.compile.target)
    ]
    return [*{build.uri: build for build in builds}.values()]


def _phases(settings: Settings) -> dict[str, Any]:
    """Returns the phases of a build after its source was verified.

    pip's configuration has a token of at most 12 hours; its URL is that of "Configure pip without
    the login command" in CodeArtifact's user guide.
    """
    index = settings.package_index
    secret, configuration = "", []
    if index:
        secret = f"--secret id=pip,src={_PIP_CONF} "
        host = f"{index.domain}-{index.owner}.d.codeartifact.{settings.region}.amazonaws.com"
        configuration = [
            "TOKEN=$(aws codeartifact get-authorization-token "
            f"--domain {index.domain} --domain-owner {index.owner} "
            "--query authorizationToken --output text) && printf "
            f"'[global]\\nindex-url = https://aws:%s@{host}/pypi/{index.repository}/simple/\\n' "
            f'"$TOKEN" > {_PIP_CONF}'
        ]
    logins = [f'{_LOGIN} "${{{image}%%/*}}"' for image in ("IMAGE", "BASE")]
    return {
        "pre_build": {"commands": [*logins, _BASE, *configuration]},
        "build": {
            "commands": [
                f'docker build {secret}--file "$DOCKERFILE" --target "$TARGET" '
                '--build-arg BASE="$BASE_NAME@$BASE_DIGEST" --tag "$IMAGE" .',
                'docker push "$IMAGE"',
            ]
        },
    }


def pinning(source: Path) -> str:
    """Returns the command that fails unless the files are those of the folder `source`."""
    files = {
        file.relative_to(source).as_posix(): sha256_file(file)
        for file in source.rglob("*")
        if file.is_file()
    }
    return (
        f"SOURCE_HASH=$({_DIR_HASH}) && export SOURCE_HASH && "
        f'test "$SOURCE_HASH" = {dir_hash(files)} || '
        '{ echo "The source is not the one that was deployed: see who wrote it to the bucket of '
        'assets"; exit 1; }'
    )


class ImageBuilds(Construct):
    """A CodeBuild project, and a custom resource for each image.

    The image's tag is a hash of its source: changed content is a new tag, which makes
    CloudFormation request a build. No digest is passed to another stack.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        recipes: Sequence[Recipe],
        repositories: Mapping[str, Construct],
        key: kms.IKey,
        removal_policy: RemovalPolicy,
    ) -> None:
        """Makes the project, and builds the missing images.

        The images of `recipes` are built in order, each after its repository. `key` encrypts
        CloudFormation's requests too, while builds run.
        """
        super().__init__(scope, id)
        self._settings = settings
        name = image_build_name(settings)
        place = image_build_log_group(settings)
        log = log_group(self, "Log", place, key=key, removal_policy=removal_policy)
        project = self._project(log)
        role: Role = "image-build-starter"
        starter = PythonFunction(
            self, "Starter", settings, role, key=key, removal_policy=removal_policy
        )
        own_build = {"StringEquals": {"kms:EncryptionContext:build": name}}
        why = "Encrypts what CloudFormation asked for, while a build runs"
        encrypting = [allow(["kms:Decrypt", "kms:Encrypt"], [key.key_arn], conditions=own_build)]
        # The policy must be in effect when the function is called.
        starter.node.add_dependency(
            RolePolicy(self, "Waits", settings, role, encrypting, description=why)
        )
        ended_rule = FunctionRule(
            self,
            "Ended",
            settings=settings,
            name=f"{name}-ended",
            description="Tells whoever started an image's build that it has ended",
            function=starter.function,
            pattern={
                "source": ["aws.codebuild"],
                "detail-type": ["CodeBuild Build State Change"],
                "detail": {"build-status": _ENDED, "project-name": [name]},
            },
        )
        # In sequence: a new account may run one build at a time.
        dependencies: list[Construct] = [starter, ended_rule]
        for build in recipe_builds(settings, recipes):
            materials = " ".join(f"{key}={digest}" for key, digest in build.materials.items())
            image = CustomResource(
                self,
                f"{build.image}-on-{build.base.name}",
                resource_type="Custom::ImageBuild",
                service_token=starter.function.function_arn,
                service_timeout=Duration.seconds(_WAIT_SECONDS),
                properties=WantedImage(
                    project=name,
                    key=key.key_arn,
                    repository=build.repository,
                    tag=build.tag,
                    image=build.uri,
                    dockerfile=build.dockerfile,
                    target=build.target,
                    base=build.base.uri,
                    bucket=bucket_name(settings, "artifacts"),
                    materials=materials,
                ).properties(),
            )
            image.node.add_dependency(project, repositories[build.repository], *dependencies)
            dependencies = [image]

    def _project(self, log: logs.ILogGroup) -> codebuild.CfnProject:
        source = Asset(
            self,
            "Source",
            path=str(Path.cwd()),
            exclude=ignore_rules(),
            ignore_mode=IgnoreMode.DOCKER,
        )
        # The object's key has a hash that nothing verifies: whoever may publish assets may
        # overwrite it. The build verifies that its source is the one of the template.
        install = pinning(Path(cast(Stage, self.node.root).outdir, source.asset_path))
        pinned = {
            "version": 0.2,
            # BatchGetBuilds shows them ("exported-variables", "Build specification reference for
            # CodeBuild"): the statement about the image names them.
            "env": {"exported-variables": list(EXPORTED)},
            "phases": {"install": {"commands": [install]}, **_phases(self._settings)},
        }
        project = build_project(
            self,
            log=log,
            size="MEDIUM",  # 128 GB of disk: the CUDA image is large
            privileged=True,
            # SageMaker needs a plain manifest, not an index with provenance.
            variables={"BUILDX_NO_DEFAULT_ATTESTATIONS": "1"},
            name=image_build_name(self._settings),
            description="Builds the project's own images on AWS's, and pushes them",
            service_role=self._settings.role_arn("image-build"),
            source=codebuild.CfnProject.SourceProperty(
                type="S3",
                location=f"{source.s3_bucket_name}/{source.s3_object_key}",
                build_spec=json.dumps(pinned, indent=2),
            ),
            artifacts=codebuild.CfnProject.ArtifactsProperty(type="NO_ARTIFACTS"),
            timeout_in_minutes=_BUILD_MINUTES,
            queued_timeout_in_minutes=_QUEUED_MINUTES,
        )
        acknowledge(
            project,
            {
                "CB3": "`docker build` needs a Docker engine, which CodeBuild starts in privileged "
                "mode alone. Its role pulls AWS's bases and pushes to the own repositories.",
                "CB4": _WHY_NO_KEY,
                "CKV_AWS_147": _WHY_NO_KEY,
            },
        )
        return project
