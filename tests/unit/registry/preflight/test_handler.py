"""CloudFormation gets its answer, whatever happens: without one a deploy hangs for an hour."""

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from sashiko.functions.preflight_handler import handler
from sashiko.registry.preflight.scans import ScanRule
from tests.unit.registry.model_packages.account import REGION

PLENTY = SimpleNamespace(get_remaining_time_in_millis=lambda: 900_000)


class Listener:
    def __init__(self) -> None:
        self.answers: list[dict[str, Any]] = []
        listener = self

        class Answer(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                listener.answers.append(json.loads(body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Answer)

    def event(self, request: str, properties: dict[str, str], **more: str) -> dict[str, Any]:
        return {
            "RequestType": request,
            "ResponseURL": f"http://127.0.0.1:{self.server.server_port}/answer?signed=1",
            "StackId": "stack",
            "RequestId": "request",
            "LogicalResourceId": "Preflight1",
            "ResourceProperties": {"ServiceToken": "arn", **properties},
            **more,
        }


@pytest.fixture
def listener(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    listener = Listener()
    thread = Thread(target=listener.server.serve_forever, daemon=True)
    thread.start()
    yield listener
    listener.server.shutdown()
    listener.server.server_close()
    thread.join()


def test_a_version_that_may_be_served_answers_with_its_threshold(listener, version):
    handler(listener.event("Create", version.expected().properties()), PLENTY)
    (answer,) = listener.answers
    assert answer["Status"] == "SUCCESS"
    assert answer["Data"]["Threshold"] == "0.43"
    assert answer["PhysicalResourceId"] == "Preflight1"
    assert (answer["StackId"], answer["RequestId"]) == ("stack", "request")


def test_a_check_that_runs_out_of_time_is_answered_while_there_is_some(listener, version):
    """Lambda ends the function without an answer; the last half minute is for that."""
    properties = version.expected().properties()
    for left in (30_000, 30_001):
        context = SimpleNamespace(get_remaining_time_in_millis=lambda left=left: left)
        handler(listener.event("Create", properties), context)
    late, in_time = listener.answers
    assert late["Status"] == "FAILED"
    assert "no time was left to read" in late["Reason"]
    assert in_time["Status"] == "SUCCESS"


def test_an_update_checks_and_keeps_its_id(listener, version):
    version.account.decide(1, "Rejected")
    properties = version.expected().properties()
    handler(listener.event("Update", properties, PhysicalResourceId="mine"), PLENTY)
    (answer,) = listener.answers
    assert (answer["Status"], answer["PhysicalResourceId"]) == ("FAILED", "mine")
    assert "preflight refused: " in answer["Reason"] and "is Rejected" in answer["Reason"]


def test_a_deletion_checks_nothing(listener):
    handler(listener.event("Delete", {}, PhysicalResourceId="mine"), PLENTY)
    assert [answer["Status"] for answer in listener.answers] == ["SUCCESS"]


def test_what_nobody_expected_is_answered_too(listener, version):
    handler(listener.event("Create", {}), PLENTY)
    missing = version.expected(signing_keys="alias/nothing").properties()
    handler(listener.event("Create", missing), PLENTY)
    first, second = listener.answers
    assert first["Status"] == second["Status"] == "FAILED"
    assert "ModelPackageArn" in first["Reason"]
    assert "NotFoundException" in second["Reason"]


def test_an_image_without_a_scan_stops_a_bare_deploy_too(listener, version):
    ecr = boto3.client("ecr")
    ecr.create_repository(repositoryName="acme-dev/serving")
    manifest = {
        "schemaVersion": 2, "config": {"digest": "c"}, "layers": [],
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
    }  # fmt: skip
    ecr.put_image(
        repositoryName="acme-dev/serving", imageManifest=json.dumps(manifest), imageTag="1"
    )
    rule = ScanRule(images=("1.dkr/acme-dev/serving:1",), accepted=(), strict=True)
    properties = version.expected(scans=rule.write()).properties()
    handler(listener.event("Create", properties), PLENTY)
    ecr.start_image_scan(repositoryName="acme-dev/serving", imageId={"imageTag": "1"})
    handler(listener.event("Create", properties), PLENTY)
    refused, passed = listener.answers
    assert refused["Status"] == "FAILED"
    assert "preflight refused: the scan of acme-dev/serving:1 has no result" in refused["Reason"]
    assert passed["Status"] == "SUCCESS"
