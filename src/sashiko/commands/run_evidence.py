"""`sashiko runs diff` and `sashiko runs verify`: local runs side by side, and checked again."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import typer

from sashiko.errors import CHECK_FAILED
from sashiko.evaluation.metrics.uncertainty import Estimate
from sashiko.pipeline.project import tracking_uri
from sashiko.registry.mlflow import MlflowRegistry
from sashiko.report.difference import Line, Part, Value, compare
from sashiko.report.evidence import read_evidence
from sashiko.report.verification import Finding, verify

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
        typer.echo(json.dumps([_record(part) for part in parts], indent=2))
        return
    typer.echo(_table(parts, left=left.name, right=right.name))


def _record(part: Part) -> dict[str, object]:
    lines = [asdict(line) | {"differs": line.differs} for line in part.lines]
    return {"part": part.title, "lines": lines}


def _table(parts: Sequence[Part], *, left: str, right: str) -> str:
    rows = [("", left, right, "")]
    for part in parts:
        differing = sum(line.differs for line in part.lines)
        rows.append((f"{part.title}: {differing} of {len(part.lines)} differ", "", "", ""))
        rows += [
            _row(line) for line in part.lines if line.differs or part.title not in _ONLY_DIFFERING
        ]
    widths = [max(len(row[column]) for row in rows if row[1]) for column in range(3)]
    return "\n".join(
        "  ".join((*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]))
        .rstrip()
        for row in rows
    )  # fmt: skip


def _row(line: Line) -> tuple[str, str, str, str]:
    mark = "*" if line.differs else " "
    change = ""
    if isinstance(line.left, Estimate) and isinstance(line.right, Estimate):
        change = _change(line.left, line.right)
    return f" {mark} {line.name}", _text(line.left), _text(line.right), change


def _change(left: Estimate, right: Estimate) -> str:
    if left.value is None or right.value is None or left == right:
        return ""
    return f"{right.value - left.value:+.3f}"


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
            typer.echo(_line(finding))
    if json_:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    wrong = sum(bool(finding.problem) for finding in findings)
    print(f"{len(findings)} checked, {wrong or 'none'} not as on record", file=sys.stderr)
    if wrong:
        raise typer.Exit(CHECK_FAILED)


def _line(finding: Finding) -> str:
    if finding.problem:
        return f"DIFFERS       {finding.subject}\n              {finding.problem}"
    return f"as on record  {finding.subject}"
