"""The build of the environment's own images by CodeBuild, during a deploy: no local Docker."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

from aws_cdk import CfnResource, CustomResource, Duration, IgnoreMode, RemovalPolicy, Stage
from aws_cdk import aws_codebuild as codebuild
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk.aws_s3_assets import Asset
from constructs import Construct

from sashiko.account.images.job_images import ImageBuild, ignore_rules, image_builds
from sashiko.account.instances import settings_for
from sashiko.account.names import bucket_name, image_build_log_group, image_build_name
from sashiko.base.files import dir_hash, sha256_file
from sashiko.base.function_input import EXPORTED, WantedImage
from sashiko.settings.environment import Settings
from sashiko.settings.environment_sections import PackageIndex
from sashiko.settings.recipe import Recipe
from sashiko_cdk.events.function_rule import FunctionRule
from sashiko_cdk.functions.python_function import PythonFunction
from sashiko_cdk.identity.role_policy import RolePolicy
from sashiko_cdk.platform.image_permissions import waiting_for_builds
from sashiko_cdk.security_rules.acknowledge import acknowledge

__all__ = ["ImageBuilds"]

_MACHINE: Final = "aws/codebuild/amazonlinux-x86_64-standard:5.0"
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


def recipe_builds(settings: Settings, recipes: Sequence[Recipe]) -> Sequence[ImageBuild]:
    """Returns the builds of the recipes' images; two recipes of one target need each image once."""
    builds = [
        build
        for recipe in recipes
        for build in image_builds(settings_for(settings, recipe), recipe.compile.target)
    ]
    return [*{build.uri: build for build in builds}.values()]


def _phases(settings: Settings) -> dict[str, Any]:
    """Returns the phases of a build after its source was verified."""
    index = settings.package_index
    secret = f"--secret id=pip,src={_PIP_CONF} " if index else ""
    return {
        "pre_build": {
            "commands": [
                f'{_LOGIN} "${{IMAGE%%/*}}"',
                f'{_LOGIN} "${{BASE%%/*}}"',
                _BASE,
                *([_pip_configuration(index, settings.region)] if index else []),
            ],
        },
        "build": {
            "commands": [
                f'docker build {secret}--file "$DOCKERFILE" --target "$TARGET" '
                '--build-arg BASE="$BASE_NAME@$BASE_DIGEST" --tag "$IMAGE" .',
                'docker push "$IMAGE"',
            ],
        },
    }


def _pip_configuration(index: PackageIndex, region: str) -> str:
    """Returns the command that writes pip's configuration, with a token of at most 12 hours.

    The URL is that of "Configure pip without the login command" in CodeArtifact's user guide.
    """
    host = f"{index.domain}-{index.owner}.d.codeartifact.{region}.amazonaws.com"
    return (
        "TOKEN=$(aws codeartifact get-authorization-token "
        f"--domain {index.domain} --domain-owner {index.owner} "
        "--query authorizationToken --output text) && printf "
        f"'[global]\\nindex-url = https://aws:%s@{host}/pypi/{index.repository}/simple/\\n' "
        f'"$TOKEN" > {_PIP_CONF}'
    )


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
        log = logs.LogGroup(
            self,
            "Log",
            log_group_name=image_build_log_group(settings),
            retention=logs.RetentionDays.ONE_YEAR,
            encryption_key=key,
            removal_policy=removal_policy,
        )
        project = self._project(log)
        starter = PythonFunction(
            self,
            "Starter",
            settings=settings,
            role="image-build-starter",
            module="sashiko.functions.image_build",
            description="Starts the build of an image and tells CloudFormation how it ended",
            timeout=Duration.minutes(2),
            key=key,
            removal_policy=removal_policy,
        )
        waits = RolePolicy(
            self,
            "Waits",
            settings=settings,
            role="image-build-starter",
            description="Encrypts what CloudFormation asked for, while a build runs",
            statements=waiting_for_builds(settings, key.key_arn),
        )
        # The policy must be in effect when the function is called.
        starter.node.add_dependency(waits)
        ended_rule = FunctionRule(
            self,
            "Ended",
            settings=settings,
            name=f"{image_build_name(settings)}-ended",
            description="Tells whoever started an image's build that it has ended",
            function=starter.function,
            pattern={
                "source": ["aws.codebuild"],
                "detail-type": ["CodeBuild Build State Change"],
                "detail": {"build-status": _ENDED, "project-name": [image_build_name(settings)]},
            },
        )
        # In sequence: a new account may run one build at a time.
        dependencies: list[Construct] = [starter, ended_rule]
        for build in recipe_builds(settings, recipes):
            image = self._image(build, project, starter.function, key)
            image.node.add_dependency(repositories[build.repository], *dependencies)
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
        project = codebuild.CfnProject(
            self,
            "Project",
            name=image_build_name(self._settings),
            description="Builds the project's own images on AWS's, and pushes them",
            service_role=self._settings.role_arn("image-build"),
            source=codebuild.CfnProject.SourceProperty(
                type="S3",
                location=f"{source.s3_bucket_name}/{source.s3_object_key}",
                build_spec=json.dumps(pinned, indent=2),
            ),
            artifacts=codebuild.CfnProject.ArtifactsProperty(type="NO_ARTIFACTS"),
            environment=codebuild.CfnProject.EnvironmentProperty(
                type="LINUX_CONTAINER",
                image=_MACHINE,
                compute_type="BUILD_GENERAL1_MEDIUM",  # 128 GB of disk: the CUDA image is large
                privileged_mode=True,
                environment_variables=[
                    # SageMaker needs a plain manifest, not an index with provenance.
                    codebuild.CfnProject.EnvironmentVariableProperty(
                        name="BUILDX_NO_DEFAULT_ATTESTATIONS", value="1"
                    )
                ],
            ),
            logs_config=codebuild.CfnProject.LogsConfigProperty(
                cloud_watch_logs=codebuild.CfnProject.CloudWatchLogsConfigProperty(
                    status="ENABLED", group_name=log.log_group_name
                )
            ),
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

    def _image(
        self, build: ImageBuild, project: CfnResource, starter: lambda_.IFunction, key: kms.IKey
    ) -> Construct:
        image = CustomResource(
            self,
            f"{build.image}-on-{build.base.name}",
            resource_type="Custom::ImageBuild",
            service_token=starter.function_arn,
            service_timeout=Duration.seconds(_WAIT_SECONDS),
            properties=WantedImage(
                project=image_build_name(self._settings),
                key=key.key_arn,
                repository=build.repository,
                tag=build.tag,
                image=build.uri,
                dockerfile=build.dockerfile,
                target=build.target,
                base=build.base.uri,
                bucket=bucket_name(self._settings, "artifacts"),
                materials=" ".join(f"{name}={digest}" for name, digest in build.materials.items()),
            ).properties(),
        )
        image.node.add_dependency(project)
        return image
