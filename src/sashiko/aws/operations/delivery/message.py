"""The message of the commit that names a version: what a reviewer has to know of it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sashiko.aws.functions.preflight.bounds import describe
from sashiko.aws.functions.preflight.check import Passed
from sashiko.aws.operations.delivery.settings_change import version_number

_VERDICT = "/verdict.json"


def commit_message(
    passed: Passed,
    *,
    environment: str,
    arn: str,
    before: str | None,
    rollback: bool,
    superseded: Sequence[str],
) -> str:
    """Says version, what it replaces, who approved it, and its signed figures.

    Args:
        passed: the version, checked.
        environment: that serves it.
        arn: the version's.
        before: the ARN that it replaces; None where nothing is served.
        rollback: whether it was served before.
        superseded: open branches that change the same line.
    """
    verb = "goes back to" if rollback else "serves"
    subject = f"model: {environment} {verb} version {version_number(arn)}"
    if before:
        subject += f" in place of {version_number(before)}"
    judged = passed.judged
    lines = [
        subject,
        "",
        f"Approved: {_one_line(judged.package.get('ApprovalDescription', 'without a reason'))}",
        *_approver(judged.package),
        *(f"Requires {bound}: it holds" for bound in passed.bounds),
        *_figures(passed),
        f"{passed.files} signed files hold; manifest {passed.manifest_sha256}, signed by "
        f"{judged.files.signed_by}",
        "",
        package_line(arn),
        f"Replaces: {before or 'nothing'}",
        *(f"Supersedes: {branch}" for branch in superseded),
    ]
    return "\n".join(lines) + "\n"


def package_line(arn: str) -> str:
    """Returns the line by which a delivery's commit is known again."""
    return f"Model-Package: {arn}"


def _approver(package: Mapping[str, Any]) -> Iterator[str]:
    approver = package.get("LastModifiedBy", {}).get("IamIdentity", {}).get("Arn")
    if approver:
        yield f"Last changed in the registry by {approver}"
    source = package.get("CustomerMetadataProperties", {}).get("source.package")
    if source:
        yield f"A copy of {_one_line(source)}, promoted"


def _one_line(text: str) -> str:
    """Returns a text that adds no line to the message and no command to a host's CI.

    Commands such as `[skip ci]` are in square brackets ("Skipping workflow runs", GitHub Docs;
    "Skip a pipeline", GitLab Docs), and trailers have lines of their own.
    """
    line = "".join(letter for letter in " ".join(text.split()) if letter.isprintable())
    return line.translate(str.maketrans("[]", "()"))


def _figures(passed: Passed) -> Iterator[str]:
    """Yields each gate with the figures of its signed verdict."""
    files = passed.judged.files
    for name in sorted(name for name in files.digests if name.endswith(_VERDICT)):
        checks = [item for item in files.json(name)["checks"] if item.get("value") is not None]
        outcome = "; ".join(describe(check) for check in checks) or "no figures"
        yield f"{name.removesuffix(_VERDICT)}: {outcome}"
