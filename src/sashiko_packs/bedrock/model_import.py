"""An approved version on Bedrock: verified, written as a language model, checked, imported."""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sashiko.account.account import Account, BusyError
from sashiko.account.content_store import ContentStore
from sashiko.account.endpoint_spec import expected_of
from sashiko.account.names import (
    Role,
    bucket_name,
    key_alias_arn,
    model_package_arn,
    model_package_group_name,
    prefix,
)
from sashiko.base.custom_resource import RefusedError
from sashiko.base.files import sha256_file, sha256_tree, walk_files
from sashiko.data.sources import fetch_weights
from sashiko.errors import InputError
from sashiko.pipeline.staging import weights_uri
from sashiko.registry.preflight import signed_files
from sashiko.registry.preflight.version_check import Judged, judge
from sashiko.registry.versions import ARTIFACT_FILE
from sashiko.serving.compile_lock import LOCK_FILE, read_lock
from sashiko.serving.inspection import refuse_pickles, unpack
from sashiko.settings.environment import Settings, file_of
from sashiko.settings.recipe import Recipe
from sashiko_packs.bedrock.checkpoint import (
    Fault,
    ImportPlan,
    import_faults,
    read_import_facts,
    write_checkpoint,
)
from sashiko_packs.bedrock.settings import IMPORT_ROLE, IMPORTS, KEY, BedrockSection

IMPORTED_BY: Role = "endpoint-deployer"
_ABSENT = ("ResourceNotFoundException",)
_SECONDS = 30.0
_PATIENCE = 20  # consecutive calls without an answer: ten minutes


@dataclass(frozen=True, kw_only=True)
class ImportOrder:
    """What an import job is asked for."""

    uri: str  # S3 prefix of the model's folder
    model_name: str  # of the imported model
    role_arn: str  # that Bedrock reads the folder as
    key_arn: str  # alias or key that encrypts the imported model
    manifest_sha256: str  # of the version's signed manifest
    prefix: str  # begins the job's name
    tags: Mapping[str, str]  # of job and model

    @property
    def job_prefix(self) -> str:
        """Begins the names of this manifest's jobs; an attempt's number follows."""
        return f"{self.prefix}-{self.manifest_sha256[:24]}-"


@dataclass(frozen=True, kw_only=True)
class ImportedModel:
    """A model that Bedrock serves."""

    arn: str  # what InvokeModel takes as the model's id
    name: str
    architecture: str  # as Bedrock detected it
    units: int | None  # custom model units that a copy of it is billed as
    uri: str  # S3 prefix that it was read from


class ImportJobs:
    """The import jobs and imported models of an environment."""

    def __init__(self, account: Account, *, pause: Callable[[float], None] = time.sleep) -> None:
        """Makes no call."""
        self._account = account
        self._pause = pause

    def run(self, order: ImportOrder) -> ImportedModel:
        """Imports a model, or goes on with an import that was started before.

        The client token is the manifest's digest and the attempt's number. So a repeated command
        finds its job, and two at once start one. A new attempt follows a job that failed, or whose
        model was deleted. InputError if the import fails, in Bedrock's words, or AWS refuses.
        """
        earlier = self._jobs(order)
        newest = earlier[0] if earlier else None
        if newest and newest["status"] == "InProgress":
            _progress(f"continuing with import job {newest['jobName']}, which was started before")
            return self._follow(newest["jobArn"], newest["jobName"])
        if newest and newest["status"] == "Completed":
            if model := self.find(newest["importedModelArn"]):
                return model
            _progress(
                f"the model of import job {newest['jobName']} was deleted: importing it again"
            )
        if newest and newest["status"] == "Failed":
            failure = self._describe(newest["jobArn"]).get("failureMessage", "no reason was given")
            _progress(f"import job {newest['jobName']} failed before ({failure}): importing again")
        return self._follow(*self._start(order, attempt=len(earlier) + 1))

    def find(self, model: str, *, role: Role = IMPORTED_BY) -> ImportedModel | None:
        """Returns an imported model by its name or ARN; None if there is none.

        Errors name `role`, which may see it.
        """
        call = ("bedrock", "get_imported_model")
        answer = self._account.read(*call, absent=_ABSENT, role=role, modelIdentifier=model)
        if answer is None:
            return None
        return ImportedModel(
            arn=answer["modelArn"],
            name=answer["modelName"],
            architecture=answer.get("modelArchitecture", "unknown"),
            units=answer.get("customModelUnits", {}).get("customModelUnitsPerModelCopy"),
            uri=answer.get("modelDataSource", {}).get("s3DataSource", {}).get("s3Uri", ""),
        )

    def delete(self, model: ImportedModel) -> None:
        """Deletes an imported model; what invokes it is refused from then on."""
        with self._account.translate_errors("bedrock:DeleteImportedModel", role=IMPORTED_BY):
            self._account.client("bedrock").delete_imported_model(modelIdentifier=model.arn)

    def _jobs(self, order: ImportOrder) -> list[Mapping[str, Any]]:
        newest_first = {"sortBy": "CreationTime", "sortOrder": "Descending"}
        with self._account.translate_errors("bedrock:ListModelImportJobs", role=IMPORTED_BY):
            pages = self._account.client("bedrock").get_paginator("list_model_import_jobs")
            name = order.job_prefix.removesuffix("-")
            return [
                job
                for page in pages.paginate(nameContains=name, **newest_first)
                for job in page.get("modelImportJobSummaries", ())
                if job["jobName"].startswith(order.job_prefix)
            ]

    def _start(self, order: ImportOrder, *, attempt: int) -> tuple[str, str]:
        name = f"{order.job_prefix}{attempt}"
        tags = [{"key": key, "value": value} for key, value in sorted(order.tags.items())]
        with self._account.translate_errors("bedrock:CreateModelImportJob", role=IMPORTED_BY):
            created = self._account.client("bedrock").create_model_import_job(
                jobName=name,
                importedModelName=order.model_name,
                roleArn=order.role_arn,
                modelDataSource={"s3DataSource": {"s3Uri": f"{order.uri}/"}},
                importedModelKmsKeyId=order.key_arn,
                clientRequestToken=f"{order.manifest_sha256}-{attempt}",
                jobTags=tags,
                importedModelTags=tags,
            )
        _progress(f"started import job {name}")
        return created["jobArn"], name

    def _follow(self, arn: str, name: str) -> ImportedModel:
        waited, unanswered = 0.0, 0
        while True:
            try:
                job = self._describe(arn)
                unanswered = 0
            except BusyError as error:
                unanswered += 1
                if unanswered == _PATIENCE:
                    raise
                _progress(f"no answer yet, trying again: {error}")
            else:
                _progress(f"import job {name}: {job['status']} after {waited / 60:.1f} min")
                if job["status"] == "Failed":
                    why = job.get("failureMessage", "Bedrock gives no reason")
                    raise InputError(f"import job {arn} failed: {why}")
                if job["status"] == "Completed":
                    if model := self.find(job["importedModelArn"]):
                        return model
                    raise InputError(
                        f"import job {job['jobArn']} is complete, and its model "
                        f"{job['importedModelArn']} is gone: somebody has deleted it"
                    )
            self._pause(_SECONDS)
            waited += _SECONDS

    def _describe(self, arn: str) -> Mapping[str, Any]:
        call = ("bedrock", "get_model_import_job")
        return self._account.read(*call, role=IMPORTED_BY, jobIdentifier=arn) or {}


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
    """Refuses an environment without the stack that an import needs."""
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

    `files` holds the version's artifact and compile lock, `cache` the base models. InputError if
    the version is no causal LM, was changed, keeps no model but a compiled graph, or its base model
    cannot be had.
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

    InputError, with `role`, which may read them, if it is not approved, a gate did not pass, its
    manifest is not signed by this environment's key, a file was changed, or AWS refuses a call.
    """
    package = model_package_arn(settings, recipe.model_package_group, number)
    with account.translate_errors(f"reading {package}", role=role):
        try:
            judged = judge(
                signed_files.connect(account.client), expected_of(settings, recipe, package)
            )
            judged.files.save(folder)
        except RefusedError as refusal:
            raise InputError(str(refusal)) from refusal
    _progress(f"{package}: approved, judged, {len(judged.files.digests)} files as signed")
    return judged


def import_model(
    account: Account, settings: Settings, judged: Judged, model: Importable
) -> ImportedModel:
    """Uploads a folder without faults, and imports it; repeated, it goes on where it was."""
    store = ContentStore(account, role=IMPORTED_BY)
    for path in walk_files(model.folder):
        uri = f"{model.plan.uri}/{path.relative_to(model.folder).as_posix()}"
        new = store.put(uri, path, sha256=sha256_file(path))
        _progress(f"{uri}: {'uploaded' if new else 'is there'}")
    return ImportJobs(account).run(
        ImportOrder(
            uri=model.plan.uri,
            model_name=model.plan.model_name,
            role_arn=settings.role_arn(IMPORT_ROLE),
            key_arn=key_alias_arn(settings, KEY),
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


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
