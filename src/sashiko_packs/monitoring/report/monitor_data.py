"""The part of the monitor's page on the data: requests, labels, and what was wrong with them."""

from collections.abc import Iterator

from sashiko.report.views import Cell, Fact, Row, Section, Table, numeric, row
from sashiko.report.words import percent
from sashiko_packs.monitoring.quality import AuditedMeasure, AuditedPeriod
from sashiko_packs.monitoring.report import monitor_words as words
from sashiko_packs.monitoring.result import MonitorResult

_MOST_PERIODS = 10  # of a table that is not folded


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
    ordinary = f"{quality.ordinary_rows:,} rows of the window"
    if quality.ordinary_accuracy is not None:
        ordinary += f", accuracy {quality.ordinary_accuracy:.3f} (not judged)"
    yield Fact("ordinary labels", ordinary)
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
            row(item.kind, item.count, words.PROBLEMS[item.kind], Cell(item.first, code=True))
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
        rows=tuple(_measure_row(item) for item in (quality.since_deploy, *quality.measures)),
        note="Of closed periods, each answer with the same weight. In brackets: 95 % interval. The "
        "last two: the value if all drawn rows without a label were decided wrong, or right.",
    )  # fmt: skip


def _groups_table(result: MonitorResult) -> Table:
    return Table(
        title="Audited by group since the deploy",
        columns=("facet", "group", "measure", "test split", "audited", "labelled rows"),
        rows=tuple(
            row(
                item.facet,
                item.group,
                measure.name,
                numeric(_share(measure.reference)),
                Cell(
                    _share(measure.value),
                    interval=f"[{_share(measure.low)}, {_share(measure.high)}]",
                    number=True,
                ),
                measure.rows,
            )
            for item in result.audited_groups
            for measure in item.measures
        ),
        note="Not judged. A facet is shown when each of its groups, and all other rows, have ten "
        "labelled rows of each label and decision. In brackets: 95 % interval.",
        folded=True,
    )


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _measure_row(item: AuditedMeasure) -> Row:
    value, low, high, worst, best, reference = (
        _share(share)
        for share in (item.value, item.low, item.high, item.worst, item.best, item.reference)
    )
    return row(
        item.name,
        numeric(reference),
        Cell(value or "too few labels", interval=f"[{low}, {high}]" if low else "", number=True),
        item.rows,
        numeric(worst),
        numeric(best),
    )


def _periods_table(result: MonitorResult) -> Table:
    return Table(
        title="Audited periods",
        columns=(
            "period", "state", "rows to draw from", "drawn", "labelled", "of them late",
            "decided right", "if all others were wrong", "and right",
        ),
        rows=tuple(
            row(
                words.span(item.start, item.end),
                _STATES[item.state],
                item.answers,
                item.drawn,
                item.right + item.wrong,
                item.late,
                *(numeric(text) for text in _shares(item)),
            )
            for item in reversed(result.quality.periods)
        ),
        absent="" if result.quality.periods else words.audit_state(result),
        folded=len(result.quality.periods) > _MOST_PERIODS,
    )  # fmt: skip


def _shares(period: AuditedPeriod) -> tuple[str, str, str]:
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
