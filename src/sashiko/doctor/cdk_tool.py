"""Checks that the installed CDK command line can read the templates."""

from collections.abc import Iterator
from pathlib import Path

from sashiko.base.files import read_json
from sashiko.doctor.check_result import Check
from sashiko.errors import InputError

_INSTALL = "npm ci"


def check_tools(templates: Path, *, root: Path = Path()) -> Iterator[Check]:
    """Compares the CDK command line with package.json and with the library."""
    name = "CDK command line"
    try:
        pinned = str(read_json(root / "package.json")["devDependencies"]["aws-cdk"])
        installed = str(read_json(root / "node_modules/aws-cdk/package.json")["version"])
    except InputError as error:
        yield Check(name=name, status="failed", detail=str(error), fix=_INSTALL)
        return
    if installed != pinned:
        detail = f"{installed} is installed, package.json pins {pinned}"
        yield Check(name=name, status="failed", detail=detail, fix=_INSTALL)
        return
    yield Check(name=name, status="ok", detail=f"{installed}, as package.json pins it")
    manifest = read_json(templates / "manifest.json")
    minimum = str(manifest.get("minimumCliVersion", "0"))
    schema = f"cloud assembly {manifest.get('version')}"
    if _numbers(installed) < _numbers(minimum):
        yield Check(
            name="CDK library and command line",
            status="failed",
            detail=f"the library writes {schema}, which command line {minimum} or newer reads; "
            f"{installed} is pinned",
            fix=f"npm install --save-dev --save-exact aws-cdk@{minimum}",
        )
    else:
        detail = f"agree: {schema}, read from command line {minimum} on"
        yield Check(name="CDK library and command line", status="ok", detail=detail)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(
        int(part) for part in version.split("-", maxsplit=1)[0].split(".") if part.isdigit()
    )
