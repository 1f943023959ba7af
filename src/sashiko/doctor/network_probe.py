"""The probe of a network: a job in each subnet connects to each service that jobs call."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

from sashiko.account.access.environment_access import Environment
from sashiko.account.account import Account
from sashiko.account.names import pipeline_name, prefix
from sashiko.account.prices import read_prices
from sashiko.doctor.existing_network import called_services
from sashiko.doctor.services import Check
from sashiko.errors import InputError
from sashiko.settings.environment import Settings

_LONGEST: Final = 600  # seconds of a job
_WAIT: Final = {"Delay": 15, "MaxAttempts": 120}
_ROLE: Final = "registry-reader"  # may do least of the jobs with a network


def cost_at_most(settings: Settings) -> str:
    """Says how many jobs run on what, and what they cost if all last as long as they may."""
    machine = settings.jobs.processing.instance_type
    jobs = len(settings.network.subnets or settings.zone_names)
    usd = "at a price that is not known here"
    with suppress(InputError, KeyError):  # of another region, or an instance without a price
        price = read_prices(settings).instances[machine].usd
        usd = f"at most {price * jobs * _LONGEST / 3600:.2f} dollars"
    return f"{jobs} jobs of at most {_LONGEST // 60} minutes on {machine}, {usd}"


def probe_network(account: Account, environment: Environment) -> Iterator[Check]:
    """Runs the jobs, as the deployed pipeline has those of `registry-reader`; yields the checks.

    Whatever ends this ends the jobs. They leave no object: their report is the exit message of
    `sashiko.steps.connections`. Errors as `Account.translate_errors`.
    """
    from botocore.exceptions import ClientError, WaiterError

    settings, client = environment.settings, account.client("sagemaker")
    hosts = [_host(service, settings) for service in called_services(environment)]
    jobs: dict[str, str] = {}
    ended: dict[str, Mapping[str, Any]] = {}
    with account.translate_errors("the probe"):
        name = pipeline_name(settings, settings.recipe)
        definition = json.loads(client.describe_pipeline(PipelineName=name)["PipelineDefinition"])
        arguments = [step["Arguments"] for step in definition["Steps"]]
        role = settings.role_arn(_ROLE)
        of_role = next((one for one in arguments if one.get("RoleArn") == role), None)
        if of_role is None:
            raise InputError(f"the deployed pipeline {name} has no job of the role {_ROLE}: deploy")
        request = _request(of_role, hosts)
        vpc = request["NetworkConfig"]["VpcConfig"]
        try:
            for subnet in vpc["Subnets"]:
                job = f"{prefix(settings)}-probe-{subnet.rpartition('-')[2]}-{int(time.time())}"
                network = request["NetworkConfig"] | {"VpcConfig": vpc | {"Subnets": [subnet]}}
                of_subnet = request | {"NetworkConfig": network}
                client.create_processing_job(ProcessingJobName=job, **of_subnet)
                jobs[job] = subnet
            waiter = client.get_waiter("processing_job_completed_or_stopped")
            for job in jobs:
                with suppress(WaiterError):  # of one that failed, or takes too long
                    waiter.wait(ProcessingJobName=job, WaiterConfig=_WAIT)
        finally:
            for job in jobs:
                with suppress(ClientError):  # the other jobs are to be stopped too
                    ended[job] = client.describe_processing_job(ProcessingJobName=job)
                    if ended[job]["ProcessingJobStatus"] == "InProgress":
                        client.stop_processing_job(ProcessingJobName=job)
    for job, subnet in jobs.items():
        yield _judge(f"from {subnet}", hosts, ended.get(job, {}))


def _host(service: str, settings: Settings) -> str:
    """Returns the host of an endpoint service, as boto3 and sagemaker-mlflow 0.5.0 call it."""
    if not service.startswith("com.amazonaws."):
        return f"mlflow.sagemaker.{settings.region}.app.aws"
    names = service.partition(f".{settings.region}.")[2].split(".")
    registry = [settings.account] if names == ["ecr", "dkr"] else []
    return ".".join([*registry, *reversed(names), settings.region, "amazonaws.com"])


def _request(step: Mapping[str, Any], hosts: list[str]) -> dict[str, Any]:
    copied = ("NetworkConfig", "ProcessingResources", "RoleArn", "Tags")
    return {key: step[key] for key in copied} | {
        "AppSpecification": {
            "ImageUri": step["AppSpecification"]["ImageUri"],
            "ContainerEntrypoint": ["python3", "-m", "sashiko.steps.connections"],
            "ContainerArguments": hosts,
        },
        "Environment": {k: v for k, v in step["Environment"].items() if isinstance(v, str)},
        # organization/scp-jobs.json asks for the key of outputs.
        "ProcessingOutputConfig": step["ProcessingOutputConfig"] | {"Outputs": []},
        "StoppingCondition": {"MaxRuntimeInSeconds": _LONGEST},
    }


def _judge(name: str, hosts: list[str], job: Mapping[str, Any]) -> Check:
    status = job.get("ProcessingJobStatus")
    if status != "Completed" or "ExitMessage" not in job:
        reason = job.get("FailureReason", "did not end in time, and was stopped")
        return Check(name, "failed" if status == "Failed" else "unknown", f"the job: {reason}")
    answers = dict(zip(hosts, json.loads(job["ExitMessage"]), strict=True))
    detail = "; ".join(f"{host}: {answer}" for host, answer in answers.items())
    if set(answers.values()) <= {"private", "public", "proxy"}:
        return Check(name, "ok", detail)
    fix = "the owner of routes, groups, endpoints or proxy opens the way"
    return Check(name, "failed", detail, fix=fix)
