"""Import jobs: started once for each signed manifest, followed to their end, found again."""

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sashiko.account.account import Account, BusyError
from sashiko.account.names import Role
from sashiko.errors import InputError

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
        model was deleted.

        Raises:
            InputError: if the import fails, in Bedrock's words, or AWS refuses a call.
        """
        earlier = self._jobs(order)
        newest = earlier[0] if earlier else None
        if newest and newest["status"] == "InProgress":
            _say(f"going on with import job {newest['jobName']}, which was started before")
            return self._follow(newest["jobArn"], newest["jobName"])
        if newest and newest["status"] == "Completed":
            if model := self.find(newest["importedModelArn"]):
                return model
            _say(f"the model of import job {newest['jobName']} was deleted: importing it again")
        if newest and newest["status"] == "Failed":
            failure = self._describe(newest["jobArn"]).get("failureMessage", "no reason was given")
            _say(f"import job {newest['jobName']} failed before ({failure}): importing again")
        return self._follow(*self._start(order, attempt=len(earlier) + 1))

    def find(self, model: str, *, role: Role = IMPORTED_BY) -> ImportedModel | None:
        """Returns an imported model by its name or ARN; None if there is none.

        Errors name `role`, which may see it.
        """
        answer = self._account.read(
            "bedrock",
            "get_imported_model",
            absent=_ABSENT,
            role=role,
            modelIdentifier=model,
        )
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
        """Deletes an imported model; what invokes it is refused from then on.

        Raises:
            InputError: if AWS refuses.
        """
        with self._account.translate_errors("bedrock:DeleteImportedModel", role=IMPORTED_BY):
            self._account.client("bedrock").delete_imported_model(modelIdentifier=model.arn)

    def _jobs(self, order: ImportOrder) -> list[Mapping[str, Any]]:
        """Returns the manifest's jobs, newest first."""
        with self._account.translate_errors("bedrock:ListModelImportJobs", role=IMPORTED_BY):
            pages = self._account.client("bedrock").get_paginator("list_model_import_jobs")
            return [
                job
                for page in pages.paginate(
                    nameContains=order.job_prefix.removesuffix("-"),
                    sortBy="CreationTime",
                    sortOrder="Descending",
                )
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
        _say(f"started import job {name}")
        return created["jobArn"], name

    def _follow(self, arn: str, name: str) -> ImportedModel:
        """Waits for a job's end, and says each half minute what it does."""
        waited, unanswered = 0.0, 0
        while True:
            try:
                job = self._describe(arn)
                unanswered = 0
            except BusyError as error:
                unanswered += 1
                if unanswered == _PATIENCE:
                    raise
                _say(f"no answer for the moment, asking on: {error}")
            else:
                _say(f"import job {name}: {job['status']} after {waited / 60:.1f} min")
                if job["status"] == "Failed":
                    raise InputError(
                        f"import job {arn} failed: "
                        f"{job.get('failureMessage', 'Bedrock gives no reason')}"
                    )
                if job["status"] == "Completed":
                    return self._imported(job)
            self._pause(_SECONDS)
            waited += _SECONDS

    def _imported(self, job: Mapping[str, Any]) -> ImportedModel:
        model = self.find(job["importedModelArn"])
        if model is None:
            raise InputError(
                f"import job {job['jobArn']} is complete, and its model {job['importedModelArn']} "
                "is gone: somebody has deleted it"
            )
        return model

    def _describe(self, arn: str) -> Mapping[str, Any]:
        described = self._account.read(
            "bedrock", "get_model_import_job", role=IMPORTED_BY, jobIdentifier=arn
        )
        return described or {}


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
