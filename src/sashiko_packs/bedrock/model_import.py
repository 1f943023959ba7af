"""An approved version on Bedrock: verified, written as a language model, checked, imported."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sashiko.account.account import Account
from sashiko.account.content_store import ContentStore
from sashiko.account.expected_version import expected_of
from sashiko.account.names import (
    IMPORTS,
    Role,
    arn,
    bucket_name,
    key_alias_arn,
    model_package_group_name,
    prefix,
)
from sashiko.base.custom_resource import RefusedError
from sashiko.base.files import sha256_file, sha256_tree, walk_files
from sashiko.data.sources import fetch_weights
from sashiko.errors import InputError
from sashiko.pipeline.staging import weights_uri
from sashiko.registry.preflight import signed_files
from sashiko.registry.preflight.check import Judged, judge
from sashiko.registry.versions import ARTIFACT_FILE
from sashiko.serving.compile_lock import LOCK_FILE, read_lock
from sashiko.serving.inspection import refuse_pickles, unpack
from sashiko.settings.environment import Settings, file_of
from sashiko.settings.recipe import Recipe
from sashiko_packs.bedrock.checkpoint import write_checkpoint
from sashiko_packs.bedrock.faults import Fault
from sashiko_packs.bedrock.import_facts import read_import_facts
from sashiko_packs.bedrock.import_job import IMPORTED_BY, ImportedModel, ImportJobs, ImportOrder
from sashiko_packs.bedrock.import_preflight import ImportPlan, import_faults
from sashiko_packs.bedrock.settings import BedrockSection


@dataclass(frozen=True, kw_only=True)
class Importable:
    """A version's language model in a folder, and what is wrong with it."""

    folder: Path
    plan: ImportPlan
    faults: tuple[Fault, ...]  # none if it may be imported


def imported_name(settings: Settings, recipe: Recipe, number: int) -> str:
    """Names the imported model of a version: its group and its number."""
    return f"{model_package_group_name(settings, recipe.model_package_group)}-v{number}"


def require_enabled(settings: Settings) -> None:
    """Refuses an environment without the stack that an import needs.

    Raises:
        InputError: with the key to set.
    """
    if not settings.section(BedrockSection).enabled:
        raise InputError(
            f"{settings.environment} has no stack Bedrock: set `bedrock: {{enabled: true}}` in "
            f"config/{settings.environment}.yaml (it is off in "
            f"{file_of('bedrock', settings.environment)}) and deploy"
        )


@contextmanager
def importable(
    files: Path, settings: Settings, recipe: Recipe, number: int, *, cache: Path
) -> Iterator[Importable]:
    """Writes a version's language model into a folder that lives as long as the context.

    Args:
        files: holds the version's artifact and compile lock.
        settings: the environment that it would be imported in.
        recipe: of the version: names the base model.
        number: the version's.
        cache: where base models are kept.

    Raises:
        InputError: if the version is no causal LM, was changed, keeps no model but a compiled
            graph, or its base model cannot be had.
    """
    lock = read_lock(files)
    if lock.causal is None:
        raise InputError(
            f"version {number} of {recipe.model_package_group} is an encoder: Bedrock imports "
            "language models; serve it from an endpoint (`serving` in config/)"
        )
    archive = files / ARTIFACT_FILE
    if sha256_file(archive) != lock.artifact_sha256:
        raise InputError(f"{archive} is not the artifact that {LOCK_FILE} names: register it again")
    base = cache / "weights" / weights_uri(settings, recipe).rpartition("/")[2]
    fetch_weights(recipe.model, base)
    with tempfile.TemporaryDirectory(prefix="sashiko-import-") as name:
        artifact, folder = Path(name, "artifact"), Path(name, "model")
        artifact.mkdir()
        folder.mkdir()
        unpack(archive, artifact)
        refuse_pickles(artifact, archive=archive)
        write_checkpoint(artifact, base, lock.causal, folder)
        digest = sha256_tree(folder)[:16]
        plan = ImportPlan(
            uri=f"s3://{bucket_name(settings, 'artifacts')}/{IMPORTS}/{digest}",
            region=settings.region,
            model_name=imported_name(settings, recipe, number),
            chat_template_sha256=lock.causal.chat_template_sha256,
            answered=lock.causal.answered,
        )
        faults = import_faults(folder, plan, read_import_facts())
        yield Importable(folder=folder, plan=plan, faults=tuple(faults))


def save_version(
    account: Account,
    settings: Settings,
    recipe: Recipe,
    number: int,
    *,
    folder: Path,
    role: Role = IMPORTED_BY,
) -> Judged:
    """Checks that a version may be served, and writes its files, each as it was signed.

    Errors name `role`, which may read them.

    Raises:
        InputError: if it is not approved, a gate did not pass, its manifest is not signed by this
            environment's key, a file was changed, or AWS refuses a call.
    """
    group = model_package_group_name(settings, recipe.model_package_group)
    # SageMaker writes a version's ARN in lower case.
    package = arn(settings, "sagemaker", f"model-package/{group.lower()}/{number}")
    clients = signed_files.Clients(
        sagemaker=account.client("sagemaker"),
        s3=account.client("s3"),
        kms=account.client("kms"),
        scaling=None,  # asked about an endpoint's update alone
    )
    with account.translate_errors(f"reading {package}", role=role):
        try:
            judged = judge(clients, expected_of(settings, recipe, package))
            judged.files.save(folder)
        except RefusedError as refusal:
            raise InputError(str(refusal)) from refusal
    _say(f"{package}: approved, judged, {len(judged.files.digests)} files as signed")
    return judged


def import_model(
    account: Account, settings: Settings, judged: Judged, model: Importable
) -> ImportedModel:
    """Uploads a folder without faults, and imports it; repeated, it goes on where it was.

    Raises:
        InputError: if the import fails, in Bedrock's words, or AWS refuses a call.
    """
    store = ContentStore(account, role=IMPORTED_BY)
    for path in walk_files(model.folder):
        uri = f"{model.plan.uri}/{path.relative_to(model.folder).as_posix()}"
        new = store.put(uri, path, sha256=sha256_file(path))
        _say(f"{uri}: {'uploaded' if new else 'is there'}")
    return ImportJobs(account).run(
        ImportOrder(
            uri=model.plan.uri,
            model_name=model.plan.model_name,
            role_arn=settings.role_arn("bedrock-import"),
            key_arn=key_alias_arn(settings, "bedrock"),
            manifest_sha256=judged.files.manifest_sha256,
            prefix=prefix(settings),
            tags={
                "project": settings.project,
                "environment": settings.environment,
                "model-package": str(judged.package["ModelPackageArn"]),
                "manifest-sha256": judged.files.manifest_sha256,
                "threshold": judged.threshold,
            },
        )
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
