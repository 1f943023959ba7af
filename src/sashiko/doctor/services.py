"""Checks of the command line and of optional services, and the result of a check."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sashiko.account.account import Account, NoAnswerError
from sashiko.base.files import read_json
from sashiko.errors import InputError
from sashiko.settings.environment import Settings

# `later`: a step of docs/first-deploy.md that is still to be done. `note`: a person should read it.
# `unknown`: the caller lacks the permission, or AWS did not answer.
Status = Literal["ok", "failed", "later", "note", "unknown"]


@dataclass(frozen=True)
class Check:
    """The result of one check."""

    name: str  # what was checked
    status: Status  # only `failed` stops a deploy
    detail: str  # the result in words
    fix: str = ""  # the command or the step that fixes it; empty where there is nothing to do


def run_check(name: str, check: Callable[[], Check | Iterable[Check]]) -> Iterator[Check]:
    """Yields the results of a check, and one of what is wrong, or of an account without answer."""
    try:
        result = check()
        yield from (result,) if isinstance(result, Check) else result
    except NoAnswerError as error:
        yield Check(name=name, status="unknown", detail=str(error))
    except InputError as error:
        yield Check(name=name, status="failed", detail=str(error))


def check_tools(templates: Path, *, root: Path = Path()) -> Iterator[Check]:
    """Compares the CDK command line with package.json and, of templates, with the library."""
    name = "CDK command line"
    try:
        pinned = str(read_json(root / "package.json")["devDependencies"]["aws-cdk"])
        installed = str(read_json(root / "node_modules/aws-cdk/package.json")["version"])
        if installed != pinned:
            raise InputError(f"{installed} is installed, package.json pins {pinned}")
    except InputError as error:
        yield Check(name, "failed", str(error), fix="npm ci")
        return
    yield Check(name, "ok", f"{installed}, as package.json pins it")
    if not (templates / "manifest.json").is_file():
        return
    manifest, name = read_json(templates / "manifest.json"), "CDK library and command line"
    minimum = str(manifest.get("minimumCliVersion", "0"))
    schema = f"cloud assembly {manifest.get('version')}"
    if _numbers(installed) < _numbers(minimum):
        detail = f"the library writes {schema}, which command line {minimum} or newer reads; "
        fix = f"npm install --save-dev --save-exact aws-cdk@{minimum}"
        yield Check(name, "failed", f"{detail}{installed} is pinned", fix=fix)
    else:
        yield Check(name, "ok", f"agree: {schema}, read from command line {minimum} on")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.partition("-")[0].split(".") if part.isdigit())


def check_trail(account: Account, settings: Settings) -> Check:
    """Checks that a use of break-glass raises an alert: EventBridge needs a trail that is logging.

    "AWS service events delivered via AWS CloudTrail" of the EventBridge User Guide.
    """
    name = "CloudTrail"
    response = account.read("cloudtrail", "describe_trails") or {}
    for trail in response.get("trailList", ()):
        status = account.read("cloudtrail", "get_trail_status", Name=trail["TrailARN"]) or {}
        if status.get("IsLogging"):
            return Check(name, "ok", f"{trail['Name']} is logging")
    return Check(
        name,
        "note",
        f"no trail is logging in {settings.region}: a use of break-glass raises no alert",
        fix="aws cloudtrail create-trail --is-multi-region-trail ..., or your organization's "
        "trail: docs/troubleshooting.md",
    )
