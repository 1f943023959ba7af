"""The function of the custom resource that CloudFormation asks before it changes an endpoint."""

from collections.abc import Mapping
from typing import Any

import boto3

from sashiko.base.custom_resource import Answer, RefusedError, Request, respond
from sashiko.registry.preflight.expected import Expected
from sashiko.registry.preflight.scans import ScanRule, check_scans
from sashiko.registry.preflight.signed_files import connect
from sashiko.registry.preflight.version_check import check

_KEPT_MILLISECONDS = 30_000  # to answer in


def handler(event: Mapping[str, Any], context: Any) -> None:
    """Answers a request of CloudFormation: Create and Update check, Delete agrees."""
    respond(event, lambda request: _answer(request, context))


def _answer(request: Request, context: Any) -> Answer:
    id_ = request.physical_id or request.resource
    if request.kind == "Delete":
        return Answer(physical_id=id_)
    clients = connect(boto3.client)
    expected = Expected.from_properties(request.properties)
    try:
        passed = check(
            clients,
            expected,
            in_time=lambda: context.get_remaining_time_in_millis() > _KEPT_MILLISECONDS,
        )
        # Last, so that the scan of an image that this deploy has built has had some time.
        for note in check_scans(boto3.client("ecr"), ScanRule.read(expected.scans)):
            print(note)
    except RefusedError as error:
        raise RefusedError(f"preflight refused: {error}") from error
    return Answer(
        physical_id=id_,
        data={"Threshold": passed.threshold, "ManifestSha256": passed.manifest_sha256},
    )
