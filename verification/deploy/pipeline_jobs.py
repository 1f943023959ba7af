"""Runs the jobs of an execution of a deployed pipeline, which the emulator itself does not.

Each Processing step of the deployed definition is a process of this Python, with what
CreateProcessingJob describes; other steps are refused. A job's calls reach the emulator as those of
its role: Lake Formation shows what is granted to it, and the deployed policies say which objects it
may read and write. An isolated one calls nothing.
"""

import json
import subprocess
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sashiko.account.access.environment_access import Environment, Principal
from sashiko.account.access.policy_evaluation import denies
from sashiko.pipeline.definition.definition_records import Step, parameter_values, parse_definition
from sashiko.pipeline.definition.expressions import job_name
from sashiko.pipeline.definition.graph import resolve_steps
from sashiko.pipeline.definition.job_arguments import image_of, job_arguments
from sashiko.pipeline.runner.execute import Workspace
from sashiko.pipeline.runner.local_job import Image, make_job
from verification.deploy.emulator.services.functions import ROLE_KEY
from verification.deploy.process import Emulator


class JobFailedError(Exception):
    """A job did not succeed, and no step after it started."""


@dataclass(frozen=True)
class PipelineJobs:
    """The jobs of an environment's pipelines."""

    emulator: Emulator
    environment: Environment  # who may do what, by the deployed templates
    scratch: Path

    def run(self, execution: str, *, only: Collection[str] = ()) -> dict[str, str]:
        """Runs steps of an execution, by its ARN, or all; returns what each has printed."""
        sagemaker, by = self.emulator.client("sagemaker"), {"PipelineExecutionArn": execution}
        described = sagemaker.describe_pipeline_definition_for_execution(**by)
        definition = parse_definition(json.loads(described["PipelineDefinition"]))
        parameters = sagemaker.list_pipeline_parameters_for_execution(**by)["PipelineParameters"]
        texts = {item["Name"]: item["Value"] for item in parameters}
        number = execution.rpartition("/")[2]
        steps = resolve_steps(
            definition,
            parameters=parameter_values(definition.parameters, texts),
            execution={"PipelineExecutionId": number, "PipelineExecutionArn": execution},
            job_name=(name := partial(job_name, number)),
        )
        return {
            step.name: self._run_step(step, values, name(step.name))
            for step, values in steps
            if not only or step.name in only
        }

    def _run_step(self, step: Step, values: Mapping[str, Any], name: str) -> str:
        assert step.type == "Processing", f"{step.name}: no {step.type} step runs here"
        arguments = job_arguments(step, values)
        images = {image_of(arguments): Image(())}
        job = make_job(step.name, arguments, name=name, images=images, resolved=values)
        (role,) = (one for one in self.environment.principals if one.arn == values["RoleArn"])
        credentials = {
            "AWS_ENDPOINT_URL": self.emulator.url,
            "AWS_ACCESS_KEY_ID": f"{ROLE_KEY}{role.arn.rpartition('/')[2]}",
            "AWS_SECRET_ACCESS_KEY": "test",
        }
        if values["NetworkConfig"]["EnableNetworkIsolation"]:
            credentials = {}
        workspaces, log = [Workspace(self.scratch / name / host) for host in job.hosts], ""
        for host, workspace in zip(job.hosts, workspaces, strict=True):
            workspace.prepare(job, host=host, checkpoints=None)
            for source in job.sources:
                self._download(role, source.uri, workspace.path(source.folder))
            process = subprocess.run(
                workspace.command(job), cwd=workspace.root, timeout=job.max_seconds,
                env=workspace.environment(job) | credentials, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
            )  # fmt: skip
            if process.returncode:
                raise JobFailedError(f"{step.name}: {process.stdout}")
            log += process.stdout
        for result in job.results:
            self._upload(role, result.uri, [place.path(result.folder) for place in workspaces])
        return log

    def _download(self, role: Principal, uri: str, folder: Path) -> None:
        """Gets every object of a prefix; a job without one does not start."""
        s3 = self.emulator.client("s3")
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        objects = s3.list_objects_v2(Bucket=bucket, Prefix=prefix)
        assert objects["KeyCount"] and not objects["IsTruncated"], uri
        for key in [item["Key"] for item in objects["Contents"]]:
            # Of `a/b`, S3 also has `a/bc`: what SageMaker makes of it, nobody has written down.
            assert key.startswith(f"{prefix}/"), f"{uri}: {key} is beside it"
            self._check(role, "s3:GetObject", bucket, key)
            file = folder / key.removeprefix(f"{prefix}/")
            file.parent.mkdir(parents=True, exist_ok=True)
            s3.download_file(bucket, key, str(file))

    def _upload(self, role: Principal, uri: str, folders: list[Path]) -> None:
        """Puts the files of all instances, each under a name of its own."""
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        keys: set[str] = set()
        for folder in folders:
            for file in (path for path in sorted(folder.rglob("*")) if path.is_file()):
                key = f"{prefix}/{file.relative_to(folder)}"
                assert key not in keys, f"two instances write {key}"
                keys.add(key)
                self._check(role, "s3:PutObject", bucket, key)
                self.emulator.client("s3").upload_file(str(file), bucket, key)

    def _check(self, role: Principal, action: str, bucket: str, key: str) -> None:
        """By the role's policies and the bucket's; the emulator enforces neither."""
        request = role.request(action, f"arn:aws:s3:::{bucket}/{key}")
        policy = [it for it in self.environment.buckets[bucket] if it.is_for(role.arn)]
        allowed = role.may(action, request.resource) and not denies(policy, request)
        assert allowed, f"{role.name} may not {action} {bucket}/{key}"
