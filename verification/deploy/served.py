"""The resources that serving needs, and versions, registered as the pipeline does."""

import shutil
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from sashiko.aws.resources.endpoint_spec import endpoint_spec
from sashiko.aws.resources.names import MODELS, bucket_name, key_alias, model_package_group_name
from sashiko.core.aws_calls import Clients
from sashiko.registry.model_packages.registrar import PackageRegistrar, Placement
from sashiko.settings.environment import Settings, deployed_environments
from tests.infra.variants import (
    SERVING,
    contracts_of,
    new_app,
    recipes_of,
    settings_of,
    write_config,
)
from tests.project_root import IMAGES
from tests.unit.aws.functions.preflight.registered import TAGS, write_evidence
from verification.deploy.process import ROOT, Emulator

TARGET = "inf2"
BEFORE = ("Identity", "Network", "DataLake", "Platform")


def serving_settings(*, signing_keys: tuple[int, ...] = (1,), **serving: Any) -> Settings:
    """Dev without Lake Formation, which serving does not use, and with one more instance."""
    settings = settings_of("iam_only")
    merged = {**settings.serving.model_dump(), "max_instances": 3, **serving}
    changed = type(settings.serving).model_construct(
        **{**merged, "instance_types": settings.serving.instance_types,
           "capture": settings.serving.capture, **serving}
    )  # fmt: skip
    return settings.model_copy(update={"serving": changed, "signing_keys": signing_keys})


def write_repository(root: Path, arn: str) -> None:
    """Writes the command's inputs: dev's settings, which serve a version, and its recipe."""
    (root / "config").mkdir()
    write_config(root / "config", "iam_only")
    with (root / "config/dev.yaml").open("a") as file:
        file.write(f"recipe: complaints-{TARGET}\n{SERVING.format(arn=arn, least=1)}")
    for name in ("recipes", "contracts", *IMAGES):
        (root / name).symlink_to(ROOT / name)


def recipe() -> Any:
    """The shipped recipe, compiled for Inferentia."""
    (shipped,) = recipes_of(settings_of("iam_only"))
    compiled = shipped.compile.model_copy(update={"target": TARGET})
    return shipped.model_copy(update={"compile": compiled})


def synthesize(folder: Path, arn: str, **serving: Any) -> Path:
    """Writes the Serving stack of a version, and the stacks that it depends on."""
    from infra.stacks.data_lake import DataLake
    from infra.stacks.identity import Identity
    from infra.stacks.network import Network
    from infra.stacks.platform import Platform
    from infra.stacks.serving import Serving
    from sashiko_cdk.deployment import Deployment

    settings = serving_settings(enabled=True, model_package_arn=arn, **serving)
    app = new_app()
    deployment = Deployment(
        settings=settings,
        environments=deployed_environments(),
        contracts=contracts_of(settings),
        recipes=(recipe(),),
        pipelines=(),
    )
    network, lake = Network(app, deployment), DataLake(app, deployment)
    stacks = [
        Identity(app, deployment),
        network,
        lake,
        Platform(app, deployment),
    ]
    stacks.append(
        Serving(
            app,
            deployment,
            recipe=recipe(),
            package_arn=arn,
            network=network,
            lake=lake,
        )
    )
    for before, after in pairwise(stacks):
        after.add_stack_dependency(before)
    shutil.copytree(app.synth().directory, folder / "cdk.out")
    shutil.copy(ROOT / "cdk.json", folder)
    return folder


def lock(**change: Any) -> Mapping[str, Any]:
    """The compile lock that fits the endpoint, with a change."""
    image = endpoint_spec(serving_settings(), TARGET).image.reference
    return {"target": TARGET, "image": image, "cores": 1, **change}


def register(
    account: Emulator, folder: Path, *, execution: str, status: str = "Approved", **evidence: Any
) -> str:
    """Registers a version by the project's own registrar and decides on it; returns its ARN."""
    settings = serving_settings()
    clients = Clients(**{name: account.client(name) for name in ("sagemaker", "s3", "kms")})
    placement = Placement(
        models_uri=f"s3://{bucket_name(settings, 'artifacts')}/{MODELS}",
        signing_key=key_alias(settings, "signing"),
        serving_image=endpoint_spec(settings, TARGET).image.uri,
        made_from="s3://snapshots/training",
    )
    folder.mkdir()
    inputs = {"lock": lock(), "artifact": execution.encode(), **evidence}
    version, new = PackageRegistrar(clients, placement).register(
        model_package_group_name(settings, recipe().model_package_group),
        files=write_evidence(folder, **inputs),
        run_id=None,
        threshold=0.43,
        tags={**TAGS, "execution_id": execution},
    )
    assert new
    clients.sagemaker.update_model_package(ModelPackageArn=version.arn, ModelApprovalStatus=status)
    return str(version.arn)


def tamper(account: Emulator, arn: str) -> None:
    """Overwrites a version's artifact, as if the bucket's policy were bypassed."""
    package = account.client("sagemaker").describe_model_package(ModelPackageName=arn)
    url = package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
    bucket, _, key = url.removeprefix("s3://").partition("/")
    account.client("s3").put_object(Bucket=bucket, Key=key, Body=b"other weights")
