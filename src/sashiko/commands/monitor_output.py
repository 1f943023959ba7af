"""What `sashiko monitor` prints and writes, of this machine and of an account alike."""

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from sashiko.contract.model import Contract
    from sashiko.monitoring.draws import Draw
    from sashiko.monitoring.labels import AddedLabels
    from sashiko.monitoring.result import MonitorResult
    from sashiko.monitoring.retraining import Retraining


def show_window(
    results: Sequence["MonitorResult"],
    result: "MonitorResult",
    retraining: "Retraining",
    *,
    page: Path,
    options: str,
    json_: bool,
) -> None:
    """Writes the report and prints a window's outcome.

    Args:
        results: of all windows, for the report.
        result: of the window.
        retraining: what is to be done about it.
        page: the report to write.
        options: of a printed command, to select the same environment, recipe and home.
        json_: whether to print JSON.
    """
    from sashiko.commands.monitor_text import describe_monitor
    from sashiko.report.monitor_page import write_monitor_page

    report = write_monitor_page(results, page, options=options)
    if json_:
        values = result.model_dump(mode="json") | {"retraining": retraining.model_dump(mode="json")}
        typer.echo(json.dumps(values, indent=2))
        return
    typer.echo(describe_monitor(result, options=options))
    typer.echo(_describe(retraining, options))
    typer.echo(f"report: {report}")


def _describe(retraining: "Retraining", options: str) -> str:
    reasons = "; ".join(retraining.reasons)
    if retraining.action == "none":
        return f"retraining: not now: {reasons}"
    return f"retraining: proposed ({reasons}): sashiko run{options}"


def show_draw(draw: "Draw", out: Path | None, *, contract: "Contract", options: str) -> None:
    """Writes the sheet to fill in, and says how to hand it in."""
    from sashiko.monitoring.audit_sheet import write_sheet
    from sashiko.monitoring.times import basic_time

    sheet = out or Path(f"audit-{basic_time(draw.period.end)}.csv")
    write_sheet(draw.path, sheet, contract=contract)
    typer.echo(str(sheet))
    print(
        f"{draw.drawn:,} of {draw.answers:,} answers; fill in `{contract.label.column}`, "
        f"then: sashiko monitor audit{options} --labels {shlex.quote(str(sheet))}",
        file=sys.stderr,
    )


def show_labels(file: Path, added: "AddedLabels") -> None:
    """Says what a file of labels brought."""
    parts = [f"{added.added:,} new labels of {added.rows:,} rows"]
    parts += [f"{added.unlabelled:,} rows without one"] if added.unlabelled else []
    parts += [f"{added.known:,} known already"] if added.known else []
    parts += [f"{added.duplicated:,} contradict an earlier one"] if added.duplicated else []
    parts += [f"facets of {added.facets:,} rows"] if added.facets is not None else []
    print(f"{file}: {'; '.join(parts)}", file=sys.stderr)
