"""A critical finding of a scan stops a deploy, unless somebody has accepted it until a day."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from sashiko.base.custom_resource import RefusedError
from sashiko.registry.preflight.scans import AcceptedFinding, ScanRule, check_scans

IMAGE = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/acme-dev/job:1-abc"
WHERE = {"repositoryName": "acme-dev/job", "imageId": {"imageTag": "1-abc"}}
BASIC = {
    "name": "CVE-2026-1",
    "severity": "CRITICAL",
    "attributes": [
        {"key": "package_name", "value": "openssl"}, {"key": "package_version", "value": "3.0.8"},
    ],
}  # fmt: skip
INSPECTED = {
    "severity": "CRITICAL",
    "status": "ACTIVE",
    "packageVulnerabilityDetails": {
        "vulnerabilityId": "CVE-2026-1",
        "vulnerablePackages": [{"name": "openssl", "version": "3.0.8"}],
    },
}


def answer(status: str, *, token: str = "", **findings: Any) -> dict[str, Any]:
    """An answer of DescribeImageScanFindings, held against botocore's model by the stub."""
    return {
        "imageScanStatus": {"status": status, "description": "a sentence of ECR's"},
        "imageScanFindings": findings,
        **({"nextToken": token} if token else {}),
    }


def acceptance(**change: str) -> AcceptedFinding:
    fields = {
        "id": "CVE-2026-1", "package": "openssl", "reason": "nothing listens", "owner": "Ada",
        "expires": "2999-12-31",
    }  # fmt: skip
    return AcceptedFinding(**(fields | change))


def check(
    *answers: Mapping[str, Any] | str, strict: bool = True, by: tuple[AcceptedFinding, ...] = ()
) -> tuple[str, ...]:
    """Checks one image; an answer is a page, or the code of an error."""
    ecr = boto3.client(
        "ecr", region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    rule = ScanRule(images=(IMAGE,), accepted=by, strict=strict)
    with Stubber(ecr) as stub:
        request: Mapping[str, Any] = WHERE
        for item in answers:
            if isinstance(item, str):
                stub.add_client_error("describe_image_scan_findings", item)
            else:
                stub.add_response("describe_image_scan_findings", dict(item), request)
                request = {**WHERE, "nextToken": item.get("nextToken", "")}
        notes = check_scans(ecr, ScanRule.read(rule.write()))
        stub.assert_no_pending_responses()
    return notes


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    "page",
    [answer("COMPLETE", findings=[BASIC]), answer("ACTIVE", enhancedFindings=[INSPECTED])],
    ids=["basic", "inspector"],
)
def test_a_critical_finding_is_refused_in_each_tier(page, strict):
    with pytest.raises(RefusedError) as refusal:
        check(page, strict=strict)
    text = str(refusal.value)
    assert "acme-dev/job:1-abc has the critical finding CVE-2026-1 in openssl 3.0.8" in text
    assert "images/accepted.yaml" in text and "{id: CVE-2026-1, package: openssl, ...}" in text


def test_findings_of_every_page_count_and_harmless_or_closed_ones_pass():
    harmless = BASIC | {"severity": "HIGH"}
    with pytest.raises(RefusedError, match="CVE-2026-1"):
        check(
            answer("COMPLETE", token="more", findings=[harmless]),
            answer("COMPLETE", findings=[BASIC]),
        )
    assert check(answer("COMPLETE", findings=[BASIC | {"severity": "HIGH"}])) == ()
    assert check(answer("ACTIVE", enhancedFindings=[INSPECTED | {"status": "CLOSED"}])) == ()
    with pytest.raises(ClientError, match="AccessDeniedException"):
        check("AccessDeniedException")


def test_an_accepted_finding_passes_until_its_last_day_and_is_named():
    page = answer("COMPLETE", findings=[BASIC])
    (note,) = check(page, by=(acceptance(),))
    assert "accepted until 2999-12-31 by Ada: nothing listens" in note
    for other in ({"expires": "2026-01-31"}, {"package": "curl"}, {"id": "CVE-2026-2"}):
        with pytest.raises(RefusedError, match="CVE-2026-1"):
            check(page, by=(acceptance(**other),))


@pytest.mark.parametrize(
    ("moment", "holds"),
    [
        (datetime(2026, 12, 31, 23, 59, tzinfo=UTC), True),
        (datetime(2027, 1, 1, 0, 0, tzinfo=UTC), False),
    ],
)
def test_an_acceptance_holds_to_the_end_of_its_last_day(monkeypatch, moment, holds):
    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return moment

    monkeypatch.setattr("sashiko.registry.preflight.scans.datetime", Clock)
    page, by = answer("COMPLETE", findings=[BASIC]), (acceptance(expires="2026-12-31"),)
    if holds:
        assert "accepted until 2026-12-31" in check(page, by=by)[0]
    else:
        with pytest.raises(RefusedError, match="CVE-2026-1"):
            check(page, by=by)


@pytest.mark.parametrize(
    ("response", "status", "advice"),
    [
        (answer("IN_PROGRESS"), "IN_PROGRESS", "wait some minutes"),
        (answer("UNSUPPORTED_IMAGE"), "UNSUPPORTED_IMAGE", "a sentence of ECR's"),
        (answer("FAILED"), "FAILED", "start-image-scan --repository-name acme-dev/job"),
        ("ScanNotFoundException", "NO_SCAN", "it was never scanned"),
    ],
)
def test_an_image_without_a_result_is_refused_where_the_tier_is_strict(response, status, advice):
    with pytest.raises(RefusedError, match=f"has no result, it is {status}: .*{advice}"):
        check(response)
    (note,) = check(response, strict=False)
    assert status in note and advice in note
    (note,) = check(response, by=(acceptance(id=status, package="job"),))
    assert "accepted until" in note


@pytest.mark.parametrize("code", ["ImageNotFoundException", "RepositoryNotFoundException"])
def test_an_image_that_the_deploy_is_to_build_is_named(code):
    (note,) = check(code)
    assert note == "acme-dev/job:1-abc is not built yet, so it has no scan: the deploy builds it"
