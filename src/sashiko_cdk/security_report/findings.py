"""The findings of all checks: CDK's own, cdk-nag's packs, this project's rules, and checkov's."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sashiko.base.files import read_json
from sashiko.errors import InputError


@dataclass(frozen=True, kw_only=True)
class ReportedFinding:
    """A resource that breaks a rule of one framework."""

    framework: str  # whose rule it is, such as `NIST.800.53.R5`
    rule: str  # the id of the acknowledgement, without the framework's name and the detail
    detail: str  # which one, if a resource can break the rule in several ways
    resource: str  # the construct's path
    description: str  # what the rule says, with the ids of the controls behind it
    reason: str | None  # the explanation; None without one

    @property
    def is_open(self) -> bool:
        """Whether it has no explanation."""
        return self.reason is None


def synth_findings(folder: Path) -> tuple[list[str], list[ReportedFinding]]:
    """Reads CDK's validation report in the output of `cdk synth -c security-report=true`.

    Returns:
        The frameworks, and their findings.

    Raises:
        InputError: if there is no report.
    """
    plugins = read_json(folder / "validation-report.json")["pluginReports"]
    findings = [finding for plugin in plugins for finding in _of(plugin)]
    return [plugin["pluginName"] for plugin in plugins], findings


def _of(plugin: Any) -> Iterator[ReportedFinding]:
    framework = plugin["pluginName"]
    for violation in (*plugin["violations"], *plugin.get("suppressedViolations", [])):
        rule, bracket, detail = violation["ruleName"].partition("[")
        for construct in violation["violatingConstructs"]:
            yield ReportedFinding(
                framework=framework,
                rule=rule.removeprefix(f"{framework}-"),
                detail=detail.removesuffix("]") if bracket else "",
                resource=construct["constructPath"].removesuffix("/Resource"),
                description=violation["description"],
                reason=violation.get("reason"),
            )


FRAMEWORK = "checkov"


def checkov_findings(templates: list[Path], *, command: Path) -> list[ReportedFinding]:
    """Runs checkov.

    Raises:
        InputError: if it did not run, or could not read a template.
    """
    if not command.is_file():
        raise InputError(f"{command} does not exist: `make security-report` installs it")
    files = [f"--file={template}" for template in templates]
    options = ("--framework=cloudformation", "--skip-download", "--soft-fail", "--output=json")
    process = subprocess.run(
        [command, *files, *options],
        env=_environment(templates[0].parent),
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode:
        raise InputError(
            f"{command} ended with status {process.returncode}: {process.stderr.strip()}"
        )
    results = json.loads(process.stdout)["results"]
    if unread := results["parsing_errors"]:
        raise InputError(f"checkov could not read {', '.join(unread)}: run cfn-lint on it")
    paths = {template.name: _paths(template) for template in templates}
    return [
        _finding(check, paths) for check in (*results["failed_checks"], *results["skipped_checks"])
    ]


def _environment(home: Path) -> Mapping[str, str]:
    """Returns an environment without user settings and without a key of checkov's platform.

    With a key it would upload the templates.
    """
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PYTHONUTF8": "1",
        "CKV_SKIP_PACKAGE_UPDATE_CHECK": "true",
    }


def _paths(template: Path) -> Mapping[str, str]:
    """Returns logical id -> the construct's path, from the metadata of the CDK CLI."""
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
