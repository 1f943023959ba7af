"""`sashiko runs verify`: a local run checked again, offline."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import typer

from sashiko.evidence.verification import Finding, verify
from sashiko.exit_status import FOUND
from sashiko.registry import MlflowRegistry
from sashiko.report.evidence import read_evidence
from sashiko.repository import tracking_uri


def verify_run(folder: Path, *, home: Path, json_: bool) -> None:
    """Prints a line per thing that was checked, as it is checked.

    Raises:
        InputError: if the folder is no run's.
        Exit: with 4 if something is not as on record.
    """
    evidence = read_evidence(folder, home)
    database = (home / "mlflow.db").is_file()
    registry = MlflowRegistry(tracking_uri(home)) if database else None
    print(f"verifying run {folder.name}, {evidence.run.status}", file=sys.stderr)
    findings = []
    for finding in verify(evidence, registry=registry):
        findings.append(finding)
        if not json_:
            typer.echo(_line(finding))
    if json_:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    wrong = sum(bool(finding.problem) for finding in findings)
    print(f"{len(findings)} checked, {wrong or 'none'} not as on record", file=sys.stderr)
    if wrong:
        raise typer.Exit(FOUND)


def _line(finding: Finding) -> str:
    if finding.problem:
        return f"DIFFERS       {finding.subject}\n              {finding.problem}"
    return f"as on record  {finding.subject}"
