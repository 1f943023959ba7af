"""Writes a selection's page: one self-contained HTML file."""

from collections.abc import Iterator
from pathlib import Path

from sashiko.core.files import write_bytes
from sashiko.evaluation.metrics.uncertainty import Estimate
from sashiko.report.html import REPORT_FILE, render
from sashiko.report.views import (
    Cell,
    ChoicePage,
    Fact,
    Figure,
    Outcome,
    Row,
    RowStyle,
    Section,
    Table,
    numeric,
    row,
)
from sashiko.report.words import check_view, estimate_cell
from sashiko.selection import words
from sashiko.selection.geography import geographies
from sashiko.selection.plot import quality_against_cost
from sashiko.selection.record import CandidateRecord, SelectionRecord
from sashiko.selection.rule import RULE

_QUALITY = ("accuracy", "balanced_accuracy", "f1", "auc", "expected_calibration_error")
_NAMES = ("accuracy", "balanced accuracy", "F1", "AUC", "calibration error")
_PLOT = (
    "Vertical lines: 95 % intervals over the same test rows and resamples. Star: chosen; hollow: "
    "dropped, as it fails a must. Candidates of the same cost stand side by side."
)


def write_selection_page(record: SelectionRecord, folder: Path) -> Path:
    """Writes `report.html` into a selection's folder and returns its path.

    Raises:
        InputError: if it cannot be written.
    """
    path = folder / REPORT_FILE
    write_bytes(path, render(_page(record), template="choice.html.j2").encode())
    return path


def _page(record: SelectionRecord) -> ChoicePage:
    chosen = record.chosen is not None
    return ChoicePage(
        title="Selection: which model",
        source=f"`selection.json` of selection `{record.id}`",
        outcome=Outcome(
            kind="registered" if chosen else "blocked",
            word="✓ A CANDIDATE IS CHOSEN" if chosen else "✕ NO CANDIDATE IS CHOSEN",
            headline=words.headline(record),
            details=tuple(
                f"{item.name}: {words.outcome(item, record)}" for item in record.candidates
            ),
        ),
        sections=(
            Section(
                "candidates",
                "Candidates",
                warnings=tuple(_warnings(record)),
                tables=(_candidates(record),),
                figures=(_figure(record),),
            ),
            Section("quality", "Quality and bias", tables=(_quality(record), _bias(record))),
            Section(
                "behaviour", "Answers, injections, time and cost",
                tables=(_behaviour(record), _costs(record)),
            ),
            Section("musts", "Musts", tables=(_musts(record),)),
            Section("rule", "How it is chosen", statements=_rule(record), facts=_facts(record)),
        ),
    )  # fmt: skip


def _warnings(record: SelectionRecord) -> Iterator[str]:
    for item in record.candidates:
        if item.answers and item.answers.hand_made:
            yield (
                f"The answers of {item.name} were written by hand, to try the command: no model "
                "gave them, so no figure of it is shown."
            )


def _figure(record: SelectionRecord) -> Figure:
    title = f"{record.selection.metric.replace('_', ' ').capitalize()} against cost"
    if not any(item.measured for item in record.candidates):
        return Figure(title, absent="No picture: no candidate was measured.")
    return Figure(title, svg=quality_against_cost(record), caption=_PLOT)


def _candidates(record: SelectionRecord) -> Table:
    metric = record.selection.metric
    return Table(
        title="On the same test rows",
        columns=("candidate", metric.replace("_", " "), "AUC", "$ per million", "texts are "
                 "processed", "licence", "outcome"),
        rows=tuple(
            row(
                Cell(item.name, meaning=item.what),
                _cell(words.score_metric(item, metric)),
                _cell(words.score_metric(item, "auc")),
                numeric(words.cost(item)),
                words.travels(item),
                words.licence(item),
                words.outcome(item, record),
                style=_style(item),
            )
            for item in record.candidates
        ),
        note=f"{record.rows:,} rows, {record.positives:,} positive. In brackets: 95 % bootstrap "
        f"intervals, {record.bootstrap_replicates:,} resamples, the same for all candidates.",
    )  # fmt: skip


def _quality(record: SelectionRecord) -> Table:
    return Table(
        title="Quality",
        columns=("candidate", "threshold", *_NAMES, "by chance", "lead of the best"),
        rows=tuple(
            row(
                item.name,
                numeric("" if item.threshold is None else f"{item.threshold:.3g}"),
                *(_cell(words.score_metric(item, metric)) for metric in _QUALITY),
                estimate_cell(item.error_by_chance, ""),
                estimate_cell(item.lead_of_best, ""),
                style=_style(item),
            )
            for item in record.candidates
        ),
        note="By chance: the calibration error of a perfectly calibrated model on these rows. The "
        f"lead is in {record.selection.metric.replace('_', ' ')}, paired by rows.",
    )


def _bias(record: SelectionRecord) -> Table:
    names = list(dict.fromkeys(f"{entry.metric} {entry.subgroup}" for item in record.candidates
                               for entry in item.bias))  # fmt: skip
    rows = []
    for item in record.candidates:
        by_name = {f"{entry.metric} {entry.subgroup}": entry for entry in item.bias}
        cells = (estimate_cell(by_name.get(name), words.NOT_MEASURED) for name in names)
        rows.append(row(item.name, *cells, style=_style(item)))
    return Table(
        title="Bias of the decisions",
        columns=("candidate", *names),
        rows=tuple(rows),
        note="DI: predicted positive, group ÷ others; 1 is no difference.",
        absent=""
        if names
        else "The recipe of the rows does not judge bias, or nothing was measured.",
    )


def _behaviour(record: SelectionRecord) -> Table:
    return Table(
        title="Answers, injections and time",
        columns=("candidate", "invalid", "refused", "injections turn", "not answered under "
                 "injection", "p50", "p99", "tokens in, a row", "tokens out, a row"),
        rows=tuple(_behaviour_row(item, rows=record.rows) for item in record.candidates),
        note=" ".join(dict.fromkeys(f"{item.name}: {item.latency.how}." for item in
                                    record.candidates if item.latency)),
    )  # fmt: skip


def _behaviour_row(item: CandidateRecord, *, rows: int) -> Row:
    answers, injection, latency = item.answers, item.injection, item.latency
    shown = answers if item.measured else None
    return row(
        item.name,
        numeric(f"{shown.invalid:,}" if shown else ""),
        numeric(f"{shown.refused:,}" if shown else ""),
        estimate_cell(injection.overall.above_control if injection else None, ""),
        numeric(f"{injection.refused:,}" if injection else ""),
        numeric(words.milliseconds(latency.p50) if latency else ""),
        numeric(words.milliseconds(latency.p99) if latency else ""),
        numeric(f"{shown.input_tokens / rows:.0f}" if shown else ""),
        numeric(f"{shown.output_tokens / rows:.1f}" if shown else ""),
        style=_style(item),
    )


def _costs(record: SelectionRecord) -> Table:
    return Table(
        title="Cost of a million predictions",
        columns=("candidate", "US dollars", "how it comes about"),
        rows=tuple(
            row(item.name, numeric(words.cost(item)), item.cost.basis, style=_style(item))
            for item in record.candidates
        ),
    )


def _musts(record: SelectionRecord) -> Table:
    rows = []
    for item in record.candidates:
        for check in item.musts:
            view = check_view(check, gate="musts")
            rows.append(
                row(
                    item.name,
                    Cell(view.name, meaning=view.meaning),
                    Cell(view.value, interval=view.interval, number=True),
                    view.required,
                    Cell("", mark=view.mark),
                    view.reason,
                    style="" if check.passed else "failed",
                )
            )
    columns = ("candidate", "must", "number [95 %]", "required", "outcome", "why")
    return Table("Each candidate's musts", columns, tuple(rows))


def _rule(record: SelectionRecord) -> tuple[str, ...]:
    metric = record.selection.metric.replace("_", " ")
    effect = record.selection.minimum_effect
    return tuple(text.format(metric=metric, minimum_effect=effect) for text in RULE)


def _facts(record: SelectionRecord) -> tuple[Fact, ...]:
    privacy, table = record.selection.privacy, geographies()
    sent = any(item.kind == "bedrock" for item in record.candidates)
    return (
        Fact("day", str(record.day)),
        Fact("command", record.command, code=True),
        *(Fact(f"{name}, sha256", digest, code=True) for name, digest in record.inputs.items()),
        *(Fact(f"run of {item.name}", item.run) for item in record.candidates if item.run),
        *([Fact("rows may leave the account because", privacy.reason)] if privacy and sent else []),
        *([Fact("geographies", f"read {table.read}: {', '.join(table.sources)}")] if sent else []),
    )


def _cell(figure: Estimate | str) -> Cell:
    return numeric(figure) if isinstance(figure, str) else estimate_cell(figure)


def _style(item: CandidateRecord) -> RowStyle:
    return "ours" if item.outcome == "chosen" else "failed" if item.outcome == "dropped" else ""
