"""What `sashiko monitor` prints and writes, of this machine and of an account alike."""

import json
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from sashiko_packs.monitoring.checks import MonitorCheck
from sashiko_packs.monitoring.places import FOLDER
from sashiko_packs.monitoring.report.words import (
    audit_state,
    commands,
    headline,
    of_outcome,
    span,
)
from sashiko_packs.monitoring.result import MonitorResult
from sashiko_packs.monitoring.retraining import Retraining

if TYPE_CHECKING:
    from sashiko.contract.model import Contract
    from sashiko_packs.monitoring.draws import Draw
    from sashiko_packs.monitoring.labels import AddedLabels
    from sashiko_packs.monitoring.result import MonitorResult


_MOST_NAMES = 3  # of the checks that share a reason


def describe_monitor(
    result: MonitorResult, *, options: str = "", others: Sequence[str] = ()
) -> str:
    """Describes the outcome of a window, a line each: alarms, what was not judged, what is next.

    `options` of the printed commands select environment, recipe and home; else the recipe alone.
    `others` are the commands that judge the other versions that answered in the window.
    """
    return "\n".join(_lines(result, options, others))


def _lines(result: MonitorResult, options: str, others: Sequence[str]) -> Iterator[str]:
    yield headline(result)
    window = span(result.start, result.end)
    ok = len(of_outcome(result, "ok"))
    yield (
        f"{result.group} version {result.version}, {window}: {ok:,} of {len(result.checks):,} "
        "checks are ok"
    )
    for line in result.alarms:
        yield f"alarm: {line}"
    yield from _not_judged(of_outcome(result, "not judged"))
    yield f"audit: {audit_state(result)}"
    for command in commands(result, options=options, others=others):
        yield f"next: {command}"


def _not_judged(checks: Sequence[MonitorCheck]) -> Iterator[str]:
    """Yields a line for each reason, with the checks that share it."""
    for reason in dict.fromkeys(check.reason for check in checks):
        names = [check.name for check in checks if check.reason == reason]
        text = "; ".join(names[:_MOST_NAMES])
        if len(names) > _MOST_NAMES:
            text = f"{len(names)} checks, such as {names[0]}"
        yield f"not judged: {text}: {reason}"


def describe_retraining(retraining: Retraining, options: str) -> str:
    """Says whether a run is proposed, with its command, or what speaks against one."""
    reasons = "; ".join(retraining.reasons)
    if retraining.action == "none":
        return f"retraining: not now: {reasons}"
    return f"retraining: proposed ({reasons}): sashiko run{options}"


def show_window(
    results: Sequence[MonitorResult],
    result: MonitorResult,
    retraining: Retraining,
    *,
    page: Path,
    options: str,
    again: str,
    others: Callable[[MonitorResult], Sequence[str]],
    json_: bool,
) -> None:
    """Writes the report and prints a window's outcome.

    Args:
        results: of all windows, for the report.
        result: of the window.
        retraining: what is to be done about it.
        page: the report to write.
        options: of a printed command, to select the same environment, recipe and home.
        again: likewise, and the same version and window.
        others: returns the commands that judge the other versions that answered in a window.
        json_: whether to print JSON.
    """
    from sashiko_packs.monitoring.report.page import write_monitor_page

    proposal = describe_retraining(retraining, options)
    last = results[-1]
    report = write_monitor_page(
        results,
        page,
        options=again if last == result else options,
        others=others(last),
        retraining=proposal if last == result else "",
    )
    if json_:
        values = result.model_dump(mode="json") | {"retraining": retraining.model_dump(mode="json")}
        typer.echo(json.dumps(values, indent=2))
        return
    typer.echo(describe_monitor(result, options=again, others=others(result)))
    typer.echo(proposal)
    typer.echo(f"report: {report}")


def sheet_file(home: Path, draw: "Draw") -> Path:
    """Returns where a draw's sheet is written if nobody names a file: below the local state."""
    from sashiko_packs.monitoring.times import basic_time

    return home / FOLDER / "audit" / f"audit-{basic_time(draw.period.end)}.csv"


def show_draw(draw: "Draw", sheet: Path, *, contract: "Contract", options: str) -> None:
    """Writes the sheet to fill in, and says how to hand it in."""
    from sashiko_packs.monitoring.labels import write_sheet

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
    if added.duplicated:
        parts.append(
            f"{added.duplicated:,} contradict an earlier one, which counts: --correct replaces it"
        )
    parts += [f"{added.corrected:,} corrected"] if added.corrected else []
    parts += [f"facets of {added.facets:,} rows"] if added.facets is not None else []
    print(f"{file}: {'; '.join(parts)}", file=sys.stderr)
