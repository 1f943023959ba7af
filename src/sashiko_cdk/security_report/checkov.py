"""checkov over templates: a process of its own, in an environment of its own, without a network."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sashiko.core.files import read_json
from sashiko.errors import InputError
from sashiko_cdk.security_report.finding import ReportedFinding

FRAMEWORK = "checkov"


def checkov_findings(templates: list[Path], *, command: Path) -> list[ReportedFinding]:
    """Runs checkov.

    Args:
        templates: CloudFormation templates, as the CDK's command line writes them.
        command: checkov's executable.

    Raises:
        InputError: if it did not run, or could not read a template.
    """
    if not command.is_file():
        raise InputError(f"{command} does not exist: `make security-report` installs it")
    files = [f"--file={template}" for template in templates]
    options = ("--framework=cloudformation", "--skip-download", "--soft-fail", "--output=json")
    done = subprocess.run(
        [command, *files, *options],
        env=_alone(templates[0].parent),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise InputError(f"{command} ended with status {done.returncode}: {done.stderr.strip()}")
    results = json.loads(done.stdout)["results"]
    if unread := results["parsing_errors"]:
        raise InputError(f"checkov could not read {', '.join(unread)}: run cfn-lint on it")
    paths = {template.name: _paths(template) for template in templates}
    return [
        _finding(check, paths) for check in (*results["failed_checks"], *results["skipped_checks"])
    ]


def _alone(home: Path) -> Mapping[str, str]:
    """No key of its platform, to which it would send the templates, and nobody's settings."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PYTHONUTF8": "1",
        "CKV_SKIP_PACKAGE_UPDATE_CHECK": "true",
    }


def _paths(template: Path) -> Mapping[str, str]:
    """Logical id -> the construct's path, which the CDK's command line writes beside it."""
    resources = read_json(template)["Resources"]
    return {
        logical_id: resource.get("Metadata", {}).get("aws:cdk:path", logical_id)
        for logical_id, resource in resources.items()
    }


def _finding(check: Any, paths: Mapping[str, Mapping[str, str]]) -> ReportedFinding:
    template = Path(check["file_path"]).name
    path = paths[template][check["resource"].rpartition(".")[2]]
    return ReportedFinding(
        framework=FRAMEWORK,
        rule=check["check_id"],
        detail="",
        resource=path.removesuffix("/Resource"),
        description=check["check_name"],
        reason=check["check_result"].get("suppress_comment"),
    )
