"""Section Data of the monitor's page: what was read, and the audit of drawn rows in tables."""

from collections.abc import Iterator
from typing import Final

from sashiko.bias.metrics.number_bias import NUMBER_METRICS
from sashiko.report.views import Cell, Fact, Section, Table, numeric, row
from sashiko.report.words import percent
from sashiko_packs.monitoring.audited import (
    GROUP_ERRORS,
    AuditedMeasure,
    AuditedPeriod,
)
from sashiko_packs.monitoring.checks import CAPPED_ERROR, amount
from sashiko_packs.monitoring.report.words import PROBLEMS, audit_state, span
from sashiko_packs.monitoring.result import MonitorResult

_MOST_PERIODS = 10  # of a table that is not folded
OF_OUTCOME = (
    " Accuracy, recall, specificity and precision of a number are of its outcome: whether it is "
    "above the bound."
)


def data_section(result: MonitorResult) -> Section:
    """Shows what was read: requests, labels, and what was wrong with them."""
    return Section(
        "data",
        "Data",
        facts=tuple(_facts(result)),
        tables=(
            _versions_table(result),
            _problems_table(result),
            _measures_table(result),
            *([_groups_table(result)] if result.audited_groups else []),
            _periods_table(result),
        ),
    )


def _facts(result: MonitorResult) -> Iterator[Fact]:
    capture, quality, labels = result.capture, result.quality, result.quality.labels
    yield Fact("captured", f"{capture.requests:,} requests with {capture.rows:,} rows")
    yield Fact("read", f"{capture.lines:,} lines of {capture.files:,} files")
    drawn = sum(period.drawn for period in quality.periods)
    labelled = sum(period.right + period.wrong for period in quality.periods)
    yield Fact("audited since the deploy", f"{drawn:,} rows drawn, {labelled:,} labelled")
    yield Fact("without a label yet", f"{labels.waiting:,} rows of the window")
    yield Fact("labels left out: another one for the same row", f"{labels.duplicated:,}")
    yield Fact("labels that were corrected", f"{labels.corrected:,}")
    yield Fact("labels left out: of keys that were never answered", f"{labels.unknown:,}")
    if result.without_facets is not None:
        yield Fact("decisions whose facets are unknown", f"{result.without_facets:,}")
    yield Fact("sha256 of the reference", result.reference_sha256, code=True)


def _versions_table(result: MonitorResult) -> Table:
    return Table(
        title="Versions that answered",
        columns=("version", "requests", "rows", "share of rows", "from", "to"),
        rows=tuple(
            row(
                "no version in the folder" if item.version is None else str(item.version),
                item.requests,
                item.rows,
                numeric(percent(item.rows / max(result.capture.rows, 1))),
                f"{item.first:%Y-%m-%d %H:%M}",
                f"{item.last:%Y-%m-%d %H:%M}",
                style="ours" if item.version == result.version else "",
            )
            for item in result.capture.versions
        ),
        note=f"Version {result.version} is judged. Times are UTC.",
        absent="" if result.capture.versions else "No version answered in this window.",
    )


def _problems_table(result: MonitorResult) -> Table:
    return Table(
        title="Problems",
        columns=("problem", "count", "what it is", "first place"),
        rows=tuple(
            row(item.kind, item.count, PROBLEMS[item.kind], Cell(item.first, code=True))
            for item in result.capture.problems
        ),
        absent="" if result.capture.problems else "Nothing was wrong with what was read.",
    )


def _measures_table(result: MonitorResult) -> Table:
    quality = result.quality
    return Table(
        title="Audited since the deploy",
        columns=(
            "measure", "test split", "audited", "labelled rows", "if all others were wrong",
            "and right",
        ),
        rows=tuple(
            row(
                item.name,
                numeric(figure_of(item, item.reference)),
                _audited_cell(item),
                item.rows,
                numeric(figure_of(item, item.worst)),
                numeric(figure_of(item, item.best)),
            )
            for item in (quality.since_deploy, *quality.measures)
        ),
        note="Of closed periods, each answer with the same weight. In brackets: 95 % interval. The "
        "last two: the value if all drawn rows without a label were decided wrong, or right."
        + (OF_OUTCOME if quality.labels.number else ""),
    )  # fmt: skip


def _groups_table(result: MonitorResult) -> Table:
    return Table(
        title="Audited by group since the deploy",
        columns=("facet", "group", "measure", "test split", "audited", "labelled rows"),
        rows=tuple(
            row(
                item.facet,
                item.group,
                NUMBER_METRICS[measure.name].description
                if measure.name in GROUP_ERRORS
                else measure.name,
                numeric(figure_of(measure, measure.reference)),
                _audited_cell(measure),
                measure.rows,
            )
            for item in result.audited_groups
            for measure in item.measures
        ),
        note="Not judged. A facet is shown when each of its groups, and all other rows, have ten "
        "labelled rows of each label and decision. In brackets: 95 % interval."
        + (" Positive is a favourable class." if result.quality.by_class else "")
        + (" Positive is the favourable outcome." if result.quality.labels.number else ""),
        folded=True,
    )


_IN_UNIT: Final = (CAPPED_ERROR, "mae", "mean_error", "mean_prediction_difference")


def figure_of(item: AuditedMeasure, value: float | None) -> str:
    """Formats a measure's value: an error in the label's unit, others as a share."""
    if value is None:
        return ""
    return amount(value) if item.name in _IN_UNIT else f"{value:.3f}"


def ends(item: AuditedMeasure) -> str:
    """Formats a measure's interval; empty without one."""
    if item.low is None:
        return ""
    return f"[{figure_of(item, item.low)}, {figure_of(item, item.high)}]"


def _audited_cell(item: AuditedMeasure) -> Cell:
    text = figure_of(item, item.value) or "too few labels"
    return Cell(text, interval=ends(item), number=True)


def _periods_table(result: MonitorResult) -> Table:
    return Table(
        title="Audited periods",
        columns=(
            "period", "state", "rows to draw from", "drawn", "labelled", "of them late",
            "decided right", "if all others were wrong", "and right",
        ),
        rows=tuple(
            row(
                span(item.start, item.end),
                _STATES[item.state],
                item.answers,
                item.drawn,
                item.right + item.wrong,
                item.late,
                *(numeric(text) for text in _bounds(item)),
            )
            for item in reversed(result.quality.periods)
        ),
        absent="" if result.quality.periods else audit_state(result),
        folded=len(result.quality.periods) > _MOST_PERIODS,
    )  # fmt: skip


def _bounds(period: AuditedPeriod) -> tuple[str, str, str]:
    """Formats the share decided right of a closed period, and its bounds."""
    labelled = period.right + period.wrong
    if period.state == "open" or not labelled:
        return "", "", ""
    return (
        percent(period.right / labelled),
        percent(period.right / period.drawn),
        percent((period.right + period.unlabelled) / period.drawn),
    )


_STATES = {
    "complete": "complete",
    "open": "open: waits for labels",
    "overdue": "closed without all labels: late ones still count",
}
