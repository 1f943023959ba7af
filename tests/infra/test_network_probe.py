"""The probe of a network: what a job connects to, and what becomes of its report."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from sashiko.account.account import Account
from sashiko.account.templates import SERVICES
from sashiko.doctor.network_probe import cost_at_most, probe_network
from sashiko.errors import InputError
from sashiko.steps.connections import connect
from tests.infra.variants import pipelines_of, recipes_of, settings_of

CALLED = dict.fromkeys(
    f"com.amazonaws.us-east-1.{name}" for name in ("sagemaker.api", "ecr.dkr", "s3")
) | {"aws.sagemaker.us-east-1.experiments": None}
HOSTS = [
    "api.sagemaker.us-east-1.amazonaws.com", "111122223333.dkr.ecr.us-east-1.amazonaws.com",
    "s3.us-east-1.amazonaws.com", "mlflow.sagemaker.us-east-1.app.aws",
]  # fmt: skip
SUBNETS = ("subnet-0123456789abcdef1", "subnet-0123456789abcdef3")


class Proxy(BaseHTTPRequestHandler):
    def do_CONNECT(self):  # the name that http.server calls
        self.send_response(200 if "athena" in self.path else 403)
        self.end_headers()


def test_a_host_is_reached_directly_or_by_the_proxy_or_the_error_is_told(monkeypatch):
    with HTTPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_port
        monkeypatch.setenv("no_proxy", "localhost,127.0.0.1")
        assert connect("localhost", port=port) == "private"
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        assert connect("athena.invalid") == "proxy"
        assert connect("kms.invalid").startswith("OSError Tunnel connection failed: 403")
        server.shutdown()
    assert connect("127.0.0.1", port=port).startswith("ConnectionRefusedError")


def test_the_report_is_the_exit_message(tmp_path):
    command = [sys.executable, "-m", "sashiko.steps.connections", "127.0.0.1"]
    subprocess.run(command, env=os.environ | {"OPT_ML": str(tmp_path)}, check=True)
    (answer,) = json.loads((tmp_path / "output/message").read_text())
    assert "Error" in answer or answer == "private"


def probed(*outcomes, create=None):
    """The checks of jobs that end so, in the subnets of `shared`; and the calls that were made."""
    settings = settings_of("shared")
    template = SimpleNamespace(template={"Metadata": {SERVICES: CALLED}})
    stacks = SimpleNamespace(stacks={"p": template})
    environment: Any = SimpleNamespace(settings=settings, templates=stacks)
    key = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
    client = boto3.client("sagemaker", "us-east-1", **key)
    calls = []
    client.meta.events.register(
        "before-parameter-build.sagemaker",
        lambda params, model, **_: calls.append((model.name, json.loads(json.dumps(params)))),
    )
    account = Account(settings)
    account._clients["sagemaker"] = client
    (pipeline, *_) = pipelines_of(settings, recipes_of(settings))
    with Stubber(client) as stub:
        definition = json.dumps(pipeline.definition)
        stub.add_response("describe_pipeline", {"PipelineDefinition": definition})
        arn = "arn:aws:sagemaker:us-east-1:111122223333:processing-job/a"
        for _ in outcomes:
            stub.add_response("create_processing_job", {"ProcessingJobArn": arn})
        if create:
            stub.add_client_error("create_processing_job", create)
        described = [{
            "ProcessingJobName": "a", "ProcessingJobArn": arn, "CreationTime": 0,
            "ProcessingResources": {"ClusterConfig": {"InstanceCount": 1, "VolumeSizeInGB": 1}},
            "AppSpecification": {"ImageUri": "i"}, **outcome,
        } for outcome in outcomes]  # fmt: skip
        for outcome in [*(() if create else described), *described]:
            stub.add_response("describe_processing_job", outcome, {"ProcessingJobName": ANY})
            if create and outcome["ProcessingJobStatus"] == "InProgress":
                stub.add_response("stop_processing_job", {})
        try:
            return list(probe_network(account, environment)), calls
        except InputError as error:
            return error, calls


def completed(*answers):
    return {"ProcessingJobStatus": "Completed", "ExitMessage": json.dumps(answers)}


def test_a_job_without_a_report_says_nothing():
    (first, _), _ = probed({"ProcessingJobStatus": "Completed"}, completed(*["public"] * 4))
    assert first.status == "unknown"


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (
            completed("private", "TimeoutError timed out", "public", "proxy"),
            "ecr.us-east-1.amazonaws.com: TimeoutError",
        ),
        ({"ProcessingJobStatus": "Failed", "FailureReason": "no interface"}, "job: no interface"),
    ],
)
def test_each_subnet_has_a_job_as_deployed_and_its_report_is_judged(second, said):
    (first, other), calls = probed(completed("private", "private", "public", "proxy"), second)
    assert (first.name, first.status) == (f"from {SUBNETS[0]}", "ok")
    assert (other.name, other.status) == (f"from {SUBNETS[1]}", "failed")
    assert f"{HOSTS[2]}: public" in first.detail and said in other.detail
    made = [parameters for name, parameters in calls if name == "CreateProcessingJob"]
    vpcs = [one["NetworkConfig"]["VpcConfig"] for one in made]
    assert [(vpc["Subnets"], len(vpc["SecurityGroupIds"])) for vpc in vpcs] == [
        ([name], 2) for name in SUBNETS
    ]
    for one in made:
        assert one["AppSpecification"]["ContainerArguments"] == HOSTS
        assert one["RoleArn"].endswith("-registry-reader")
        assert one["Environment"]["https_proxy"] == "http://proxy.example.com:3128"
        outputs = one["ProcessingOutputConfig"]  # scp-jobs.json asks for the key
        assert outputs == {"Outputs": [], "KmsKeyId": "DeployTime-Key-ml"}
        assert "ProcessingInputs" not in one


def test_what_was_started_is_stopped_when_a_job_is_refused():
    error, calls = probed({"ProcessingJobStatus": "InProgress"}, create="ResourceLimitExceeded")
    assert "ResourceLimitExceeded" in str(error)
    assert [name for name, _ in calls][-1] == "StopProcessingJob"


def test_what_it_may_cost_is_said_before():
    assert cost_at_most(settings_of("shared")) == (
        "2 jobs of at most 10 minutes on ml.m5.large, at most 0.04 dollars"
    )
