"""`sashiko runs diff` and `sashiko runs verify`: local runs side by side, and checked again."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import typer

from sashiko.errors import CHECK_FAILED
from sashiko.evaluation.metrics.uncertainty import Estimate
from sashiko.pipeline.project import tracking_uri
from sashiko.registry.mlflow import MlflowRegistry
from sashiko.report.difference import Line, Value, compare
from sashiko.report.evidence import read_evidence
from sashiko.report.verification import verify

# Parts with many lines and few changes: equal lines are counted, not listed.
_ONLY_DIFFERING = ("settings", "data", "intersections", "checks")
_WIDEST = 44


def diff(left: Path, right: Path, *, home: Path, json_: bool) -> None:
    """Prints two runs' folders side by side.

    Raises:
        InputError: if one of them is not the folder of a run.
    """
    parts = compare(read_evidence(left, home), read_evidence(right, home))
    if json_:
        content = [
            {
                "part": part.title,
                "lines": [asdict(line) | {"differs": line.differs} for line in part.lines],
            }
            for part in parts
        ]
        typer.echo(json.dumps(content, indent=2))
        return
    rows = [("", left.name, right.name, "")]
    for part in parts:
        differing = sum(line.differs for line in part.lines)
        rows.append((f"{part.title}: {differing} of {len(part.lines)} differ", "", "", ""))
        for line in part.lines:
            if line.differs or part.title not in _ONLY_DIFFERING:
                name = f" {'*' if line.differs else ' '} {line.name}"
                rows.append((name, _text(line.left), _text(line.right), _change(line)))
    widths = [max(len(row[column]) for row in rows if row[1]) for column in range(3)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=False))
        typer.echo("  ".join((*cells, row[3])).rstrip())


def _change(line: Line) -> str:
    left, right = line.left, line.right
    if left == right or not isinstance(left, Estimate) or not isinstance(right, Estimate):
        return ""
    return "" if left.value is None or right.value is None else f"{right.value - left.value:+.3f}"


def _text(value: Value | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return value if len(value) <= _WIDEST else value[: _WIDEST - 1] + "…"
    return value.text


def verify_run(folder: Path, *, home: Path, json_: bool) -> None:
    """Prints a line for each check.

    Raises:
        InputError: if the folder is not that of a run.
        Exit: with 4 if something differs from the record.
    """
    evidence = read_evidence(folder, home)
    database = (home / "mlflow.db").is_file()
    registry = MlflowRegistry(tracking_uri(home)) if database else None
    print(f"verifying run {folder.name}, {evidence.run.status}", file=sys.stderr)
    findings = []
    for finding in verify(evidence, registry=registry):
        findings.append(finding)
        if not json_:
            problem, otherwise = finding.problem, finding.otherwise
            state = "DIFFERS" if problem else "other engine" if otherwise else "as on record"
            typer.echo(f"{state:<12}  {finding.subject}")
            if problem or otherwise:
                typer.echo(f"{'':14}{problem or otherwise}")
    if json_:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    wrong = sum(bool(finding.problem) for finding in findings)
    print(f"{len(findings)} checked, {wrong or 'none'} differ from the record", file=sys.stderr)
    if any(finding.otherwise for finding in findings):
        print(
            "another engine version may judge differently: verify those with the run's own",
            file=sys.stderr,
        )
    if wrong:
        raise typer.Exit(CHECK_FAILED)
