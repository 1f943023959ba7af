"""`make security-report`: the findings of the security checks in an environment's templates.

It reads the output of `cdk synth -c security-report=true` and runs checkov on it. The page goes to
stdout, and as Markdown and JSON beside the templates. It covers the bootstrap's policies too.
Exit status: 0 if each finding is explained, 4 if some are open, 1 for an error.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

from sashiko.base.files import read_json, write_bytes, write_json
from sashiko.errors import InputError

FRAMEWORK = "checkov"
_NO_REASON = "Fix it, or say at the resource why it stands (`acknowledge`):"


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
    findings = []
    for plugin in plugins:
        framework = plugin["pluginName"]
        for violation in (*plugin["violations"], *plugin.get("suppressedViolations", [])):
            rule, bracket, detail = violation["ruleName"].partition("[")
            findings += [
                ReportedFinding(
                    framework=framework,
                    rule=rule.removeprefix(f"{framework}-"),
                    detail=detail.removesuffix("]") if bracket else "",
                    resource=construct["constructPath"].removesuffix("/Resource"),
                    description=violation["description"],
                    reason=violation.get("reason"),
                )
                for construct in violation["violatingConstructs"]
            ]
    return [plugin["pluginName"] for plugin in plugins], findings


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
        # Without user settings, and without a key of checkov's platform: it would upload templates.
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(templates[0].parent),
            "PYTHONUTF8": "1",
            "CKV_SKIP_PACKAGE_UPDATE_CHECK": "true",
        },
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
    resources = {template.name: read_json(template)["Resources"] for template in templates}
    findings = []
    for check in (*results["failed_checks"], *results["skipped_checks"]):
        logical_id = check["resource"].rpartition(".")[2]
        resource = resources[Path(check["file_path"]).name][logical_id]
        path = resource.get("Metadata", {}).get("aws:cdk:path", logical_id)  # by the CDK CLI
        findings.append(
            ReportedFinding(
                framework=FRAMEWORK,
                rule=check["check_id"],
                detail="",
                resource=path.removesuffix("/Resource"),
                description=check["check_name"],
                reason=check["check_result"].get("suppress_comment"),
            )
        )
    return findings


def page(environment: str, frameworks: Sequence[str], findings: Sequence[ReportedFinding]) -> str:
    """Writes the report in Markdown that is readable as plain text too."""
    ordered = sorted(findings, key=lambda item: (_rule(item), item.reason or "", item.resource))
    parts = {
        "Open": [item for item in ordered if item.is_open],
        "Explained": [item for item in ordered if not item.is_open],
    }
    counts = ", ".join(f"{len(items)} {part.lower()}" for part, items in parts.items())
    lines = [f"# Security report: {environment}", "", f"Findings: {counts}."]
    lines.append(f"Checked by {', '.join(frameworks)}.")
    for part, items in parts.items():
        lines += ["", f"## {part}"]
        for (framework, rule), group in groupby(items, key=_rule):
            of_rule = list(group)
            lines += ["", f"### {framework}: {rule}", "", of_rule[0].description, ""]
            for reason, alike in groupby(of_rule, key=lambda item: item.reason):
                lines.append(f"- {reason or _NO_REASON}")
                lines += [f"  - {item.resource} {item.detail}".rstrip() for item in alike]
    return "\n".join(lines)


def _rule(item: ReportedFinding) -> tuple[str, str]:
    return item.framework, item.rule


_OPEN = 4  # as `sashiko env drift`: apart from 1, an error


def main() -> int:
    """Writes the report of the folder given as argument; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m sashiko_cdk.security_report")
    parser.add_argument("folder", type=Path, help="the synthesized templates, named as their env")
    parser.add_argument("--checkov", type=Path, required=True, help="checkov's executable")
    arguments = parser.parse_args()
    folders = [arguments.folder, arguments.folder / "bootstrap"]
    reports = [synth_findings(folder) for folder in folders]
    frameworks = list(dict.fromkeys(name for names, _ in reports for name in names))
    findings = [item for _, reported in reports for item in reported]
    templates = sorted(file for folder in folders for file in folder.glob("*.template.json"))
    print(f"checkov reads {len(templates)} templates", file=sys.stderr)
    findings += checkov_findings(templates, command=arguments.checkov)
    text = page(arguments.folder.name, [*frameworks, FRAMEWORK], findings)
    file = arguments.folder / "report.md"
    write_bytes(file, text.encode())
    write_json(file.with_suffix(".json"), [asdict(item) for item in findings])
    print(text)
    open_count = sum(item.is_open for item in findings)
    print(f"open findings: {open_count}; the report: {file}", file=sys.stderr)
    return _OPEN if open_count else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except InputError as error:
        sys.exit(f"error: {error}")
