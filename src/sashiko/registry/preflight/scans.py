"""What ECR's scans say of the images that a deploy uses: a critical finding stops it.

A finding may be accepted until a day, in `images/accepted.yaml`. Whether an image without a result
stops the deploy is a matter of the environment's tier. ECR shows the scans of the account's own
images; those of AWS's registries are AWS's to scan.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

from botocore.exceptions import ClientError

from sashiko.base.custom_resource import RefusedError

# "Amazon ECR API Reference", ImageScanStatus: a basic scan ends as COMPLETE, Inspector's is ACTIVE.
_RESULT: Final = ("COMPLETE", "ACTIVE")
_UNFINISHED: Final = ("IN_PROGRESS", "PENDING")
_NOT_BUILT: Final = ("ImageNotFoundException", "RepositoryNotFoundException")


@dataclass(frozen=True, kw_only=True)
class AcceptedFinding:
    """A finding that a person has accepted."""

    id: str  # the CVE; of an image without a result, the status of its scan
    package: str  # of an image without a result, the image, such as `job`
    reason: str
    owner: str
    expires: str  # the last day on which it holds (UTC), as ISO 8601 has it


@dataclass(frozen=True, kw_only=True)
class ScanRule:
    """Which images are looked up, and what is let through."""

    images: tuple[str, ...]  # URIs by tag, of the account's own registry
    accepted: tuple[AcceptedFinding, ...]
    strict: bool  # whether an image without a result is refused

    def write(self) -> str:
        """Writes it as the text that a template carries."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def read(cls, text: str) -> "ScanRule":
        """Reads the text that a template carries."""
        value = json.loads(text)
        accepted = tuple(AcceptedFinding(**item) for item in value["accepted"])
        return cls(images=tuple(value["images"]), accepted=accepted, strict=value["strict"])


@dataclass(frozen=True, kw_only=True)
class _Finding:
    id: str
    package: str
    text: str
    critical: bool  # else the image has no result


def check_scans(ecr: Any, rule: ScanRule) -> tuple[str, ...]:
    """Reads the scans of a rule's images; it only reads.

    Returns:
        What a person should know: what is accepted, not built yet, or without a result.

    Raises:
        RefusedError: if an image has a critical finding that is not accepted, or no result where
            the rule is strict.
        ClientError: if an AWS call is refused.
    """
    today = datetime.now(UTC).date().isoformat()
    refusals, notes = [], []
    for image in rule.images:
        name = image.partition("/")[2]
        try:
            findings = list(_findings(ecr, name))
        except ClientError as error:
            if error.response["Error"]["Code"] not in _NOT_BUILT:
                raise
            notes.append(f"{name} is not built yet, so it has no scan: the deploy builds it")
            continue
        for finding in findings:
            about = (finding.id, finding.package)
            alike = [one for one in rule.accepted if (one.id, one.package) == about]
            by = next((one for one in alike if today <= one.expires), None)
            if by:
                until = f"accepted until {by.expires} by {by.owner}: {by.reason}"
                notes.append(f"{finding.text}; {until}")
            elif finding.critical or rule.strict:
                refusals.append(finding)
            else:
                notes.append(finding.text)
    if refusals:
        entries = ", ".join(f"{{id: {item.id}, package: {item.package}, ...}}" for item in refusals)
        raise RefusedError(
            f"{'; '.join(item.text for item in refusals)}. Remove the cause, or accept it in "
            f"images/accepted.yaml with reason, owner and expires, the last day: {entries}"
        )
    return tuple(notes)


def _findings(ecr: Any, name: str) -> Iterator[_Finding]:
    """Yields the critical findings of an image, or the one that it has no result.

    `name` is its repository and tag.
    """
    repository, _, tag = name.rpartition(":")
    pages = ecr.get_paginator("describe_image_scan_findings").paginate(
        repositoryName=repository, imageId={"imageTag": tag}
    )
    try:
        for page in pages:
            status = page["imageScanStatus"]["status"]
            if status not in _RESULT:
                yield _without_result(name, status, page["imageScanStatus"].get("description", ""))
                return
            findings = page.get("imageScanFindings", {})
            for item in findings.get("findings", ()):  # of a basic scan
                if item.get("severity") == "CRITICAL":
                    attributes = {one["key"]: one.get("value", "") for one in item["attributes"]}
                    package = attributes.get("package_name", "")
                    version = attributes.get("package_version", "")
                    yield _critical(name, item["name"], package, version)
            for item in findings.get("enhancedFindings", ()):  # of Amazon Inspector
                if item.get("severity") == "CRITICAL" and item.get("status") != "CLOSED":
                    details = item.get("packageVulnerabilityDetails", {})
                    for package in details.get("vulnerablePackages", ()):
                        version = package.get("version", "")
                        yield _critical(name, details["vulnerabilityId"], package["name"], version)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ScanNotFoundException":
            raise
        yield _without_result(name, "NO_SCAN", "it was never scanned")


def _without_result(name: str, status: str, description: str) -> _Finding:
    repository, _, tag = name.rpartition(":")
    again = f"aws ecr start-image-scan --repository-name {repository} --image-id imageTag={tag}"
    if status in _UNFINISHED:
        advice = "wait some minutes and run it again"
    else:
        advice = f"{f'{description}; ' if description else ''}scan it again once a day ({again})"
    return _Finding(
        id=status,
        package=repository.rpartition("/")[2],
        text=f"the scan of {name} has no result, it is {status}: {advice}",
        critical=False,
    )


def _critical(name: str, vulnerability: str, package: str, version: str) -> _Finding:
    return _Finding(
        id=vulnerability,
        package=package,
        text=f"{name} has the critical finding {vulnerability} in {package} {version}: build it on "
        "a base without it (src/sashiko/account/images/images.yaml has the bases)",
        critical=True,
    )
