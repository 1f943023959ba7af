"""Cloud assemblies for the command line: an environment's stacks, with or without a change."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.infra.variants import (
    assembly_of,
    deployment_of,
    github_of,
    new_app,
    pipelines_of,
    recipes_of,
    settings_of,
    synthesized,
    write_config,
)
from verification.deploy.process import ROOT, Emulator

Document = dict[str, Any]


def synthesize(
    folder: Path,
    variant: str,
    *,
    contract: Callable[[Document], None] | None = None,
    image_digests: Mapping[str, str] | None = None,
    network: Mapping[str, Any] | None = None,
) -> Path:
    """Writes `cdk.out`, `config` and `definition.json` of a variant into a folder and returns it.

    A variant as it is, is synthesized once for all test processes. `contract` changes the
    complaints contract's YAML, as a fork would; `image_digests` are of AWS's images, `network` has
    keys of an existing one.
    """
    from infra.app import add_stacks
    from sashiko.contract.load import load_contract

    if not (contract or image_digests or network):
        return _unchanged(folder, variant)
    (folder / "config").mkdir()
    write_config(folder / "config", variant)
    settings = settings_of(variant).model_copy(update={"image_digests": image_digests or {}})
    if network:
        own = settings.network.model_dump(include={"s3_prefix_lists", "mlflow_service"})
        section = type(settings.network).model_validate({**own, **network})
        settings = settings.model_copy(update={"network": section})
    (recipe,) = recipes_of(settings)
    contracts = []
    for name in settings.contracts:
        file = folder / f"{name}.odcs.yaml"
        shutil.copy(ROOT / f"contracts/{name}.odcs.yaml", file)
        if name == "complaints" and contract:
            document = yaml.safe_load(file.read_text())
            contract(document)
            file.write_text(yaml.safe_dump(document, sort_keys=False))
            recipe = recipe.model_copy(update={"contract": str(file)})
        contracts.append(load_contract(file))
    app = new_app()
    deployment = deployment_of(
        settings, contracts=tuple(contracts), recipes=(recipe,), github=github_of(variant)
    )
    (folder / "definition.json").write_text(json.dumps(deployment.pipelines[0].definition))
    add_stacks(app, deployment)
    return written(app, folder)


def _unchanged(folder: Path, variant: str) -> Path:
    (folder / "config").mkdir()
    write_config(folder / "config", variant)
    settings = settings_of(variant)
    for name in settings.contracts:
        shutil.copy(ROOT / f"contracts/{name}.odcs.yaml", folder)
    (pipeline, *_) = pipelines_of(settings, recipes_of(settings))
    (folder / "definition.json").write_text(json.dumps(pipeline.definition))
    shutil.copytree(synthesized(variant), folder / "cdk.out")
    shutil.copy(ROOT / "cdk.json", folder)
    return folder


def bootstrap(emulator: Emulator, folder: Path, variant: str) -> None:
    """Prepares the emulator's account as `make bootstrap` does, through an empty folder."""
    from sashiko_cdk.bootstrap.policies import add_policies, bootstrap_options

    settings = settings_of(variant)
    app = new_app()
    add_policies(app, settings, [assembly_of(variant)])
    written(app, folder)
    emulator.cdk("deploy", "--require-approval=never", folder=folder)
    emulator.cdk("bootstrap", *bootstrap_options(settings), folder=folder)


def written(app: Any, folder: Path) -> Path:
    """Writes an app's `cdk.out` and the settings of the command line into a folder."""
    shutil.copytree(app.synth().directory, folder / "cdk.out")
    shutil.copy(ROOT / "cdk.json", folder)
    return folder
