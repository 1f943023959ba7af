"""Writes the monitor's page: one self-contained HTML file on the windows of a model over time."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from sashiko.evaluation.reference import SMALLEST_COUNT
from sashiko.report import views
from sashiko.report.html import write_page
from sashiko.report.svg import shorten
from sashiko.report.views import (
    Cell,
    Chapter,
    Figure,
    Mark,
    MarkKind,
    OutcomeKind,
    Page,
    Row,
    Section,
    Table,
    Tile,
    numeric,
    row,
)
from sashiko.report.words import percent
from sashiko_packs.monitoring.audited import AuditedMeasure, ErrorLimits
from sashiko_packs.monitoring.checks import (
    CAPPED_ERROR,
    CLASS_RECALL,
    COHENS_W,
    DISPARATE_IMPACT,
    INTERVAL_COVERAGE,
    MonitorCheck,
    Outcome,
    WindowOutcome,
    amount,
    interval,
    size,
    tolerance,
)
from sashiko_packs.monitoring.report import plots
from sashiko_packs.monitoring.report.data_section import (
    OF_OUTCOME,
    data_section,
    ends,
    figure_of,
)
from sashiko_packs.monitoring.report.plots import History, accuracy, plain, version_rows
from sashiko_packs.monitoring.report.words import (
    EFFECTS,
    commands,
    headline,
    next_steps,
    of_outcome,
    span,
)
from sashiko_packs.monitoring.result import Distribution, MonitorResult

_MOST_COLUMNS = 8  # of a table that is not folded
_HIDDEN = "hidden"
_MOST_CELLS = 5  # of a column
_NOTE = (
    f"Cells of 1 to {SMALLEST_COUNT - 1} rows could stand for a person: they are hidden, as are "
    "others where a total would give them away."
)


@dataclass(frozen=True)
class Share:
    """A cell's share of the rows; None where it is suppressed, or there are no rows."""

    cell: str
    reference: float | None
    window: float | None

    @property
    def change(self) -> float | None:
        """The window's share minus the reference's; None if either is unknown."""
        if self.reference is None or self.window is None:
            return None
        return self.window - self.reference


@dataclass(frozen=True)
class ColumnShares:
    """The cells of a column, or of the scores, in the distribution's order."""

    name: str
    shares: tuple[Share, ...]

    @property
    def moved(self) -> float:
        """The share of rows that moved to another cell, as far as cells are shown."""
        return sum(abs(share.change or 0.0) for share in self.shares) / 2


def window_section(result: MonitorResult) -> Section:
    """Shows which values of which columns moved, the most changed ones first."""
    if not result.distributions:
        return Section("window", "This window", absent="No distribution was measured.")
    ranked = sorted(columns(result.distributions), key=lambda item: item.moved, reverse=True)
    first, others = ranked[:_MOST_COLUMNS], ranked[_MOST_COLUMNS:]
    tables = [_summary("What moved", first)]
    if others:
        tables.append(replace(_summary("What moved less", others), folded=True))
    return Section(
        "window",
        "This window",
        statements=(
            "The held-out rows that the version was tested on, against the requests of this "
            "window. The most changed come first. Whether a change is more than chance is under "
            "Checks.",
        ),
        tables=tuple(tables),
    )


def columns(distributions: Sequence[Distribution]) -> tuple[ColumnShares, ...]:
    """Returns the shares of each column's cells.

    The total of a column with hidden cells is unknown: it is that of the column with the highest
    one, since each row is in one cell of every column.
    """
    before = max(sum(filter(None, item.reference)) for item in distributions)
    now = max(sum(filter(None, item.window)) for item in distributions)
    shares = (
        (item, _shares(item.reference, before), _shares(item.window, now)) for item in distributions
    )
    return tuple(
        ColumnShares(
            name="scores" if item.name == "score" else item.name,
            shares=tuple(Share(*cell) for cell in zip(item.cells, *both, strict=True)),
        )
        for item, *both in shares
    )


def _shares(counts: Sequence[int | None], highest: int) -> list[float | None]:
    total = highest if None in counts else sum(filter(None, counts))
    return [None if count is None or not total else count / total for count in counts]


def _most_changed(items: Sequence[Share], count: int) -> list[Share]:
    return sorted(items, key=lambda item: -abs(item.change or 0.0))[:count]


def _summary(title: str, items: Sequence[ColumnShares]) -> Table:
    return Table(
        title=title,
        columns=("column", "rows that moved", "largest changes"),
        rows=tuple(
            row(
                item.name,
                numeric(percent(item.moved)),
                "; ".join(_change(share) for share in _most_changed(item.shares, _MOST_CELLS)),
            )
            for item in items
        ),
        note=_NOTE,
    )


def _change(share: Share) -> str:
    if share.change is None:
        return f"{plain(share.cell)}: {_HIDDEN}"
    return f"{plain(share.cell)}: {percent(share.reference or 0)} to {percent(share.window or 0)}"


_MARKS: dict[Outcome | WindowOutcome, MarkKind] = {
    "ok": "ok",
    "alarm": "alarm",
    "not judged": "unjudged",
    "partly judged": "partly",
    "no requests": "unjudged",
}
_ORDER: tuple[Outcome, ...] = ("alarm", "not judged", "ok")
_MOST_ROWS = 20  # of a table that is not folded, and of checks in a figure
_LONGEST = 160  # letters of a list of names
_ACCURACY = (
    "Only rows drawn at random and labelled judge the model: labels that arrive on their own are "
    "of the cases that somebody looked at."
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
            "An alarm needs two things: a change that is not chance, over all checks of the "
            "window together, and one that is larger than its tolerance. Not judged: there were "
            "too few rows or labels to say either, or another version answered. The checks of "
            "the capture count every line, and estimate nothing.",
        ),
        tables=tuple(_checks_table(checks, outcome) for outcome, checks in groups if checks),
        absent="" if result.checks else "The window has no checks.",
    )


def history_section(history: History) -> Section:
    """Shows the windows over time."""
    names = [check.name for check in history.latest.checks]
    # Those with an alarm now first, then by the number of windows with one.
    counts = {
        name: [check.outcome == "alarm" for _, check in history.checks(name)] for name in names
    }
    ranked = sorted(names, key=lambda name: (not counts[name][-1], -sum(counts[name])))
    shown = [name for name in names if name in ranked[:_MOST_ROWS]]
    caption = "DI: disparate impact."
    if len(names) > len(shown):
        caption += f" The {len(shown)} of {len(names)} checks with an alarm now, or most often."
    figures = [
        Figure("Outcome of every check", plots.outcomes(history, shown), caption),
        Figure(
            "Accuracy", accuracy(history),
            _ACCURACY + (OF_OUTCOME if history.latest.quality.labels.number else ""),
        ),
    ]  # fmt: skip
    sentences = []
    if len(history.results) == 1:
        sentences.append("This is the first window: there is nothing to compare it with yet.")
    if history.deploys:
        sentences.append("After a deploy the reference is the new version's own test rows.")
    if history.latest.disparities is None:
        sentences.append("The recipe does not judge bias, so no group's decisions are compared.")
    return Section(
        "history",
        "Over time",
        statements=tuple(sentences),
        tables=(_windows_table(history),),
        figures=tuple(figures),
    )


def _checks_table(checks: Sequence[MonitorCheck], outcome: Outcome | None) -> Table:
    """Shows checks of an outcome, or all; a table of many is folded, but never alarms."""
    title = "Every check" if outcome is None else f"Checks: {outcome}"
    is_long = outcome == "not judged" and len(checks) > _MOST_ROWS
    return Table(
        title=title,
        columns=("what changed", "outcome", "effect", "tolerance", "rows", "reason"),
        rows=tuple(_check_row(check) for check in checks),
        note=_explained(checks),
        folded=outcome == "ok" or is_long,
    )


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
    effects = dict.fromkeys(check.effect for check in checks)
    lines = [f"{name}: {EFFECTS[name]}." for name in effects if name in EFFECTS]
    return " ".join([
        *lines,
        "In brackets: 95 % interval.",
        "p: probability of such a result without any change, adjusted for all checks of the "
        "window; the audit's holds at every look.",
    ])  # fmt: skip


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
    return row(
        span(result.start, result.end),
        result.version,
        Cell("", mark=Mark(_MARKS[result.outcome])),
        shorten("; ".join(check.name for check in of_outcome(result, "alarm")), _LONGEST),
        len(of_outcome(result, "not judged")),
        version_rows(result),
        Cell(figure_of(audit, audit.value), interval=ends(audit), number=True),
    )


_MOST_REASONS: Final = 4  # on the first screen
_LONGEST_HEADLINE: Final = 400  # letters of the headline, which may list every alarm
_KINDS: Final[dict[WindowOutcome, OutcomeKind]] = {
    "ok": "registered",
    "alarm": "blocked",
    "partly judged": "interrupted",
    "no requests": "interrupted",
}


def write_monitor_page(
    results: Sequence[MonitorResult],
    path: Path,
    *,
    options: str = "",
    retraining: str = "",
) -> Path:
    """Writes the page and returns its path.

    Results are of one model package group by the end of their windows; the last was just judged.
    Options select environment, recipe and home in the commands of the next steps; the recipe alone
    if empty.

    Raises:
        InputError: if it cannot be written.
    """
    history = History(tuple(results))
    result = history.latest
    window, word = span(result.start, result.end), headline(result)
    is_said = result.summary.rstrip(".") in word
    sections = (
        history_section(history),
        checks_section(result),
        window_section(result),
        data_section(result),
    )
    page = Page(
        title=f"Monitor: {result.recipe}",
        subject=f"{result.group}, version {result.version}: {window}",
        outcome=views.Outcome(
            kind=_KINDS[result.outcome],
            word=word,
            headline="" if is_said else shorten(result.summary, _LONGEST_HEADLINE),
            details=(*next_steps(result), *filter(None, [retraining])),
            commands=commands(result, options=options),
        ),
        tiles=tuple(_tiles(result)),
        harms=tuple(_widest(result)),
        unjudged=tuple(_unjudged(result)),
        chapters=(Chapter("", sections),),
        source="each window's `monitor.json`; nothing on this page is of a single row",
    )
    return write_page(page, path)


def _tiles(result: MonitorResult) -> Iterator[Tile]:
    """Yields what the window's checks came to, and its key figures."""
    alarms, left = of_outcome(result, "alarm"), of_outcome(result, "not judged")
    count = len(result.checks)
    note = f"of {count} checks, of which {len(left)} were not judged"
    alarm = Mark(_MARKS[result.outcome])
    yield Tile("Alarms", str(len(alarms)), note=note, mark=alarm)
    audit, check = result.quality.since_deploy, result.quality.check
    yield _measure_tile("Accuracy of audited rows", audit, check.outcome)
    if result.quality.by_class:
        yield _worst_class_tile(result)
    if limits := result.quality.labels.number:
        yield from _number_tiles(result, limits)
    for effect, name in ((COHENS_W, "Largest drift"), (DISPARATE_IMPACT, "Disparate impact (DI)")):
        if checks := [item for item in result.checks if item.effect == effect]:
            judged = [item for item in checks if item.value is not None]
            order = max if effect == COHENS_W else min
            worst = order(judged or checks, key=lambda item: (item.value or 0.0, item.name))
            note = f"{worst.name}; tolerated {tolerance(worst)}"
            shown = "" if worst.value is None else size(worst)
            yield _tile(name, shown, interval(worst), note, plots.worst(checks))
    rows = f"{version_rows(result):,}"
    yield Tile("Rows answered", rows, note=f"by version {result.version} in this window")


def _number_tiles(result: MonitorResult, limits: ErrorLimits) -> Iterator[Tile]:
    capped = f"; each error counts as {amount(limits.cap)} at most"
    for name, title, more in (
        (CAPPED_ERROR, "Mean absolute error", capped),
        (INTERVAL_COVERAGE, "Interval coverage", ""),
    ):
        (item,) = (item for item in result.quality.measures if item.name == name)
        (check,) = (check for check in result.checks if check.effect == name)
        yield _measure_tile(title, item, check.outcome, more=more)


def _worst_class_tile(result: MonitorResult) -> Tile:
    recalls = [check for check in result.checks if check.effect == CLASS_RECALL]
    worst, title = result.quality.worst_class, "Recall of the worst class"
    if worst is None:
        needed = f"no class has {recalls[0].rows_needed} audited rows yet"
        return _tile(title, "", "", needed, plots.worst(recalls))
    return _measure_tile(title, worst, plots.worst(recalls), name=f"{worst.name}; ")


def _measure_tile(
    title: str, item: AuditedMeasure, outcome: Outcome, *, name: str = "", more: str = ""
) -> Tile:
    known = figure_of(item, item.reference)
    note = f"{name}{known} on the test split; {item.rows:,} labelled rows{more}"
    return _tile(title, figure_of(item, item.value), ends(item), note, outcome)


def _tile(name: str, value: str, ends: str, note: str, outcome: Outcome) -> Tile:
    return Tile(name, value or "not known", ends, note, Mark(_MARKS[outcome]))


def _widest(result: MonitorResult) -> Iterator[str]:
    """Says in words in which group decisions differ most, judged or not."""
    known = [item for item in result.disparities or () if item.window is not None]
    if not known:
        return
    item = max(known, key=lambda item: abs(math.log(max(item.window or 0.0, 0.001))))
    before = "" if item.reference is None else f"; {item.reference:.2f} on the test split"
    positive = "as a favourable class" if result.quality.by_class else "positive"
    yield (
        f"{item.facet} {item.group} is decided {positive} {item.window:.2f} times as often as all "
        f"others (disparate impact, DI{before})."
    )


def _unjudged(result: MonitorResult) -> Iterator[str]:
    """Yields why checks were not judged, each reason once."""
    reasons: dict[str, list[str]] = {}
    for check in of_outcome(result, "not judged"):
        reasons.setdefault(check.reason, []).append(check.name)
    for reason, names in [*reasons.items()][:_MOST_REASONS]:
        listed = shorten(", ".join(names), _LONGEST)
        yield f"{listed}: {reason}"
    if (rest := len(reasons) - _MOST_REASONS) > 0:
        yield f"{rest} more, under Checks."
