"""Writes the monitor's page: one self-contained HTML file on the windows of a model over time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sashiko.base.files import write_bytes
from sashiko.report import views
from sashiko.report.html import render
from sashiko.report.svg import shorten
from sashiko.report.views import (
    Cell,
    Figure,
    Mark,
    MarkKind,
    OutcomeKind,
    Row,
    Section,
    Table,
    row,
)
from sashiko_packs.monitoring.checks import (
    COHENS_W,
    TEXT_AUC,
    MonitorCheck,
    Outcome,
    WindowOutcome,
    interval,
    size,
    tolerance,
)
from sashiko_packs.monitoring.report import plots
from sashiko_packs.monitoring.report.plots import History, accuracy, relative, version_rows
from sashiko_packs.monitoring.report.window import data_section, window_section
from sashiko_packs.monitoring.report.words import (
    EFFECTS,
    WORDS,
    commands,
    next_steps,
    of_outcome,
    span,
)
from sashiko_packs.monitoring.result import MonitorResult

_MARKS: dict[Outcome | WindowOutcome, MarkKind] = {
    "ok": "ok",
    "alarm": "alarm",
    "not judged": "unjudged",
    "partly judged": "partly",
}
_ORDER: tuple[Outcome, ...] = ("alarm", "not judged", "ok")
_MOST_ROWS = 20  # of a table that is not folded, and of checks in a figure
_MOST_STRIPS = 12
_LONGEST = 160  # letters of a list of names
_MOST_GROUPS = 8
_ACCURACY = (
    "Only rows drawn at random and labelled judge the model. Labels that arrive on their own are "
    "of the cases that somebody looked at, so their accuracy is shown and not judged. The "
    "estimate without labels stays high when labels change their meaning; it is withdrawn, and "
    "has a gap, where requests drifted or could not be judged."
)


def checks_section(result: MonitorResult) -> Section:
    """Shows every check: alarms first, then those that were not judged."""
    by_outcome = [(outcome, of_outcome(result, outcome)) for outcome in _ORDER]
    is_long = len(result.checks) > _MOST_ROWS
    groups = by_outcome if is_long else [(None, [c for _, checks in by_outcome for c in checks])]
    return Section(
        "checks",
        "Checks",
        statements=(
            "An alarm needs both: a change that is not chance, over all checks of the window "
            "together, and one that is larger than its tolerance. Not judged means that there "
            "were too few rows or labels to say either, or that another version answered. The "
            "checks of the capture count every line, and estimate nothing.",
        ),
        tables=tuple(
            _checks_table(checks, outcome, is_folded=_is_folded(outcome, checks))
            for outcome, checks in groups
            if checks
        ),
        absent="" if result.checks else "The window has no checks.",
    )


def history_section(history: History) -> Section:
    """Shows the windows over time."""
    names = [check.name for check in history.latest.checks]
    shown = _most_alarming(history, names)[:_MOST_ROWS]
    shown = [name for name in names if name in shown]
    figures = [
        Figure("Outcome of every check", plots.outcomes(
            history, shown, [name for name in names if name not in shown]
        ), "DI: disparate impact."),
        Figure("Accuracy", accuracy(history), _ACCURACY),
        *_drift_figures(history),
        *_disparity_figures(history),
        Figure("Rows per window", plots.rows(history)),
    ]  # fmt: skip
    return Section(
        "history",
        "Over time",
        statements=_history_statements(history),
        tables=(_windows_table(history),),
        figures=tuple(figures),
    )


def _checks_table(
    checks: Sequence[MonitorCheck], outcome: Outcome | None, *, is_folded: bool
) -> Table:
    title = "Every check" if outcome is None else f"Checks: {outcome}"
    return Table(
        title=title,
        columns=("what changed", "outcome", "effect", "tolerance", "rows", "reason"),
        rows=tuple(_check_row(check) for check in checks),
        note=_explained(checks),
        folded=is_folded,
    )


def _is_folded(outcome: Outcome | None, checks: Sequence[MonitorCheck]) -> bool:
    """Whether a table of many checks is folded; alarms never are."""
    return outcome == "ok" or (outcome == "not judged" and len(checks) > _MOST_ROWS)


def _check_row(check: MonitorCheck) -> Row:
    return row(
        Cell(check.name, meaning=check.effect),
        Cell("", mark=Mark(_MARKS[check.outcome])),
        Cell(size(check), interval=interval(check), number=True),
        tolerance(check),
        Cell(f"{check.rows:,}", interval=f"{check.rows_needed:,} needed", number=True),
        Cell(_reason(check), meaning="" if check.p_value is None else f"p = {check.p_value:.2g}"),
        style="failed" if check.outcome == "alarm" else "",
    )


def _reason(check: MonitorCheck) -> str:
    if check.since is None:
        return check.reason
    windows = f"{check.windows} windows" if check.windows > 1 else "1 window"
    return f"{check.reason}; in alarm since {check.since:%Y-%m-%d}, {windows}"


def _explained(checks: Sequence[MonitorCheck]) -> str:
    """Explains what a table's figures are."""
    effects = dict.fromkeys(check.effect for check in checks)
    lines = [f"{name}: {EFFECTS[name]}." for name in effects if name in EFFECTS]
    return " ".join([
        *lines,
        "In brackets: 95 % interval.",
        "p: probability of such a result without any change, adjusted for all checks of the "
        "window; the audit's holds at every look.",
    ])  # fmt: skip


def _most_alarming(history: History, names: Sequence[str]) -> list[str]:
    """Orders checks: those with an alarm now first, then by the number of windows with one."""
    counts = {
        name: [check.outcome == "alarm" for _, check in history.checks(name)] for name in names
    }
    return sorted(names, key=lambda name: (not counts[name][-1], -sum(counts[name])))


def _drift_figures(history: History) -> Iterator[Figure]:
    checks = [c for c in history.latest.checks if c.effect in (COHENS_W, TEXT_AUC)]
    if not checks:
        return
    ranked = sorted(checks, key=lambda check: -(relative(check) or 0.0))[:_MOST_STRIPS]
    caption = (
        "Size of the change as a multiple of its tolerance, cut off at 2. Above the dashed line "
        "it is larger than the tolerance; an alarm is one that is so beyond doubt."
    )
    if len(checks) > len(ranked):
        caption += f" The {len(ranked)} largest of {len(checks)}."
    yield Figure("Drift", plots.drift(history, [check.name for check in ranked]), caption)


def _disparity_figures(history: History) -> Iterator[Figure]:
    # Unknown ones are last.
    groups = sorted(
        history.latest.disparities or (),
        key=lambda item: -1.0 if item.window is None else abs(item.window - 1),
        reverse=True,
    )
    for item in groups[:_MOST_GROUPS]:
        yield Figure(
            f"Disparate impact of {item.facet}: {item.group}",
            plots.disparity(history, item.facet, item.group),
            "Share of the group decided positive, by that of all others: 1 is no difference. "
            "With 95 % intervals.",
        )


def _history_statements(history: History) -> tuple[str, ...]:
    sentences = []
    if len(history.results) == 1:
        sentences.append("This is the first window: there is nothing to compare it with yet.")
    if history.deploys:
        sentences.append("At each deploy the reference is that of the new version's own test rows.")
    latest = history.latest.label_free
    if latest.value is None:
        sentences.append(
            f"No estimate without labels for this window: {shorten(latest.withdrawn, _LONGEST)}."
        )
    else:
        sentences.append(f"Estimate without labels: {latest.value:.3f}, {latest.condition}.")
    if history.latest.disparities is None:
        sentences.append("The recipe does not judge bias, so no group's decisions are compared.")
    elif len(history.latest.disparities) > _MOST_GROUPS:
        sentences.append(
            f"Of {len(history.latest.disparities)} groups, the {_MOST_GROUPS} that are farthest "
            "from no difference are drawn; all are under Checks."
        )
    return tuple(sentences)


def _windows_table(history: History) -> Table:
    return Table(
        title="Every window",
        columns=(
            "window",
            "version",
            "outcome",
            "alarms",
            "not judged",
            "rows",
            "audited accuracy",
        ),
        rows=tuple(_window_row(result) for result in reversed(history.results)),
        note="Audited accuracy: of all closed periods since the deploy, as known then.",
        folded=True,
    )


def _window_row(result: MonitorResult) -> Row:
    audit = result.quality.since_deploy
    value = "" if audit.value is None else f"{audit.value:.3f}"
    ends = "" if audit.low is None or audit.high is None else f"[{audit.low:.3f}, {audit.high:.3f}]"
    return row(
        span(result.start, result.end),
        result.version,
        Cell("", mark=Mark(_MARKS[result.outcome])),
        shorten("; ".join(check.name for check in of_outcome(result, "alarm")), _LONGEST),
        len(of_outcome(result, "not judged")),
        version_rows(result),
        Cell(value, interval=ends, number=True),
    )


_LONGEST_HEADLINE: Final = 400  # letters of the headline, which may list every alarm
_KINDS: Final[dict[WindowOutcome, OutcomeKind]] = {
    "ok": "registered",
    "alarm": "blocked",
    "partly judged": "interrupted",
}


@dataclass(frozen=True)
class MonitorPage:
    """The view of the page."""

    title: str
    window: str
    outcome: views.Outcome
    sections: tuple[Section, ...]


def write_monitor_page(
    results: Sequence[MonitorResult],
    path: Path,
    *,
    options: str = "",
    others: Sequence[str] = (),
    retraining: str = "",
) -> Path:
    """Writes the page and returns its path.

    Args:
        results: of one model package group by the end of their windows; the last is the one that
            was just judged. There is one at least.
        path: of the HTML file.
        options: of the commands of the next steps, which select environment, recipe and home; the
            recipe alone if empty.
        others: the commands that judge the other versions that answered in the last window.
        retraining: whether a run is proposed, in words; empty if nobody has decided.

    Raises:
        InputError: if it cannot be written.
    """
    page = _page(History(tuple(results)), options, others, retraining)
    write_bytes(
        path, render(page, template="sashiko_packs.monitoring.report/page.html.j2").encode()
    )
    return path


def _page(history: History, options: str, others: Sequence[str], retraining: str) -> MonitorPage:
    result = history.latest
    window = span(result.start, result.end)
    return MonitorPage(
        title=f"Monitor: {result.recipe}",
        window=f"{result.group}, version {result.version}: {window}",
        outcome=views.Outcome(
            kind=_KINDS[result.outcome],
            word=WORDS[result.outcome],
            headline=shorten(result.summary, _LONGEST_HEADLINE),
            details=(*next_steps(result), *filter(None, [retraining])),
            commands=commands(result, options=options, others=others),
        ),
        sections=(
            checks_section(result),
            history_section(history),
            window_section(result),
            data_section(result),
        ),
    )
