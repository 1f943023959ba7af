"""The findings of synth: CDK's own check, cdk-nag's packs and this project's rules."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sashiko.core.files import read_json
from sashiko_cdk.security_report.finding import ReportedFinding


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
