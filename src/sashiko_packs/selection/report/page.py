"""Writes a selection's page; its first table, outcome and headline are the terminal's too."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from markupsafe import Markup

from sashiko.bias.gates.estimates import BiasEstimate
from sashiko.evaluation.gates.quality_checks import LINEAR_OPTION
from sashiko.pipeline.project import command_options
from sashiko.report import svg
from sashiko.report.views import (
    Cell,
    Chapter,
    Fact,
    Figure,
    Mark,
    Outcome,
    OutcomeKind,
    Page,
    Section,
    Table,
    Tile,
    numeric,
    row,
)
from sashiko.report.words import check_table, check_title, check_view, estimate_cell, metric_title
from sashiko.steps.evaluation_notes import METRIC_NAMES
from sashiko_packs.selection.file import LinearCandidate, geographies
from sashiko_packs.selection.record import (
    RULE,
    CandidateRecord,
    SelectionRecord,
    direction,
    margin,
    metric_name,
    undecided,
)
from sashiko_packs.selection.report.sweep_page import text_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def headline(record: SelectionRecord) -> str:
    """Returns the choice with its reason, or that there is none, and what was not judged."""
    text = _choice(record)
    return f"{text} Not judged: {'; '.join(record.unjudged)}." if record.unjudged else text


def _choice(record: SelectionRecord) -> str:
    if record.chosen is None:
        return f"No candidate is chosen: {record.reason}."
    among = " among what was judged" if record.unjudged else ""
    return f"{record.chosen} is chosen{among}: {record.reason}."


def outcome(item: CandidateRecord, record: SelectionRecord) -> str:
    """Returns a candidate's outcome, with why it is out."""
    lead = item.lead_of_best.text if item.lead_of_best else "undefined"
    match item.outcome:
        case "dropped":
            # A metric of a group keeps its name.
            names = (check.name for check in item.failed)
            failed = (name if "=" in name else name.replace("_", " ") for name in names)
            return f"dropped: fails {', '.join(failed)}"
        case "not measured":
            return "not measured: its answers were written by hand"
        case "worse":
            return f"worse than {record.best} by {lead}"
        case "undecided":
            return f"{undecided(item)}: {record.best} leads by {lead}"
    if item.name == record.best:
        return f"{item.outcome}, the best" if item.outcome == "chosen" else "the best"
    return item.outcome


def cost(item: CandidateRecord) -> str:
    """Formats the cost of a million predictions."""
    if not item.measured:
        return "not measured"
    usd = item.cost.usd
    return "unknown" if usd is None else f"${usd:,.2f}"


_WIDTH, _HEIGHT = 640, 400
_ROOM = 3.0  # beyond the lowest and the highest cost, as a factor


def quality_against_cost(record: SelectionRecord) -> Markup:
    """Draws each measured candidate's metric with its interval against its cost per million.

    A candidate whose cost is not known stands at the right, beyond a line.
    """
    from matplotlib.ticker import LogLocator, NullLocator

    metric = record.selection.metric
    name = metric_name(metric)
    items = [item for item in record.candidates if item.measured]
    known = [item.cost.usd for item in items if item.cost.usd]
    low, high = (min(known) / _ROOM, max(known) * _ROOM) if known else (1.0, 10.0)
    unknown = high * math.sqrt(_ROOM)
    with svg.chart(width=_WIDTH, height=_HEIGHT) as axes:
        axes.set_xscale("log")
        beside: Counter[float | None] = Counter()
        for item in items:
            place = beside[item.cost.usd]
            beside[item.cost.usd] += 1
            _point(axes, item, metric, x=item.cost.usd or unknown, place=place)
        right = high
        if any(not item.cost.usd for item in items):
            axes.axvline(high, color=svg.MUTED, linewidth=1, linestyle=(0, (4, 3)))
            axes.annotate("cost unknown", (unknown, 1.0), xycoords=("data", "axes fraction"),
                          ha="center", va="bottom", fontsize=9)  # fmt: skip
            right = high * _ROOM
        axes.set_xlim(low, right)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(lambda value, _: f"${value:,.10g}")
        side = "" if direction(metric)[1] == "higher" else ", lower is better"
        axes.set(xlabel="US dollars for a million predictions", ylabel=f"{name}{side}")
        axes.grid(True)
        summary = "; ".join(
            f"{item.name} {item.metrics[metric].text} at {cost(item)}, {outcome(item, record)}"
            for item in items
        )
        alt = f"{name} against the cost of a million predictions: {summary}."
        return svg.to_svg(axes, name="selection", alt=alt)


def _point(axes: "Axes", item: CandidateRecord, metric: str, *, x: float, place: int) -> None:
    """Draws a candidate: a star if it is chosen, hollow if it is dropped."""
    figure = item.metrics[metric]
    if figure.value is None:
        return
    if figure.low is not None and figure.high is not None:
        axes.vlines(x, figure.low, figure.high, color=svg.INK, linewidth=1.2)
    chosen, dropped = item.outcome == "chosen", item.outcome == "dropped"
    axes.plot(x, figure.value, linestyle="none", marker="*" if chosen else "o",
              markersize=17 if chosen else 9, markeredgecolor=svg.INK, markeredgewidth=1.2,
              markerfacecolor="#ffd24d" if chosen else "none" if dropped else svg.DARK)  # fmt: skip
    height = -14 if place % 2 else 6
    axes.annotate(item.name, (x, figure.value), xytext=(9, height), textcoords="offset points")


_METRICS = {
    "pair": ("accuracy", "balanced_accuracy", "f1", "auc", "expected_calibration_error"),
    "classes": ("macro_f1", "balanced_accuracy", "worst_class_recall", "log_loss",
                "expected_calibration_error"),
    "number": ("rmse", "mae", "median_absolute_error", "r2", "interval_coverage"),
}  # fmt: skip
# Beside the metric that orders the candidates.
_SECOND = {"pair": "auc", "classes": "log_loss", "number": "interval_coverage"}
_PARTS = {"classes": ("recall", "class"), "number": ("mean absolute error", "observed value")}
# Heading -> what a candidate's cell shows.
Columns = Mapping[str, Callable[[CandidateRecord], str | Cell]]


def terminal_rows(record: SelectionRecord) -> list[list[str]]:
    """Returns the rows of the terminal's table, its heading first."""
    return text_rows(_candidates(record, behaviour=True))


def selection_view(record: SelectionRecord) -> Page:
    """Makes the view of a selection's page."""
    warnings = tuple(
        f"The answers of {item.name} were written by hand, to try the command: no model gave them, "
        "so no figure of it is shown."
        for item in record.candidates
        if item.answers and item.answers.hand_made
    )
    metric, pair = record.selection.metric, record.label == "pair"
    highest, higher = direction(metric)
    _, effect = margin(record.selection, record.scale)
    statements = tuple(
        text.format(metric=metric_name(metric), minimum_effect=effect, best=highest, better=higher)
        for text in RULE
    )
    basis: Columns = {
        "US dollars": lambda item: numeric(cost(item)),
        "how it comes about": lambda item: item.cost.basis,
    }
    costs = _table("Cost of a million predictions", record, basis)
    sections = (
        Section("candidates", "Candidates", warnings=warnings,
                tables=(_candidates(record, behaviour=False),), figures=(_figure(record),)),
        Section("quality", "Quality and bias",
                tables=(_quality(record), *_part_tables(record), _bias(record))),
        Section("behaviour", f"Answers, {'injections, ' if pair else ''}time and cost",
                tables=(_behaviour(record), costs)),
        Section("musts", "Musts", tables=tuple(
            check_table(item.name, map(check_view, item.musts)) for item in record.candidates
        )),
        Section("rule", "How it is chosen", statements=statements, facts=_facts(record)),
    )  # fmt: skip
    return Page(
        title="Selection: which model",
        subject=f"selection {record.id}",
        outcome=_outcome(record),
        tiles=tuple(_tiles(record)),
        unjudged=record.unjudged,
        chapters=(Chapter("", sections),),
        source=f"`selection.json` of selection `{record.id}`",
    )


def next_commands(record: SelectionRecord) -> tuple[str, ...]:
    """Returns the command that trains and registers a linear model which is chosen."""
    candidate = record.selection.candidates.get(record.chosen or "")
    if not isinstance(candidate, LinearCandidate):
        return ()
    return (f"sashiko run{command_options(recipe=candidate.recipe)} {LINEAR_OPTION}",)


def _outcome(record: SelectionRecord) -> Outcome:
    details = tuple(f"{item.name}: {outcome(item, record)}" for item in record.candidates)
    if record.chosen is None:
        return Outcome("blocked", "No candidate is chosen", _choice(record), details=details)
    if record.unjudged:
        word = f"{record.chosen} is chosen - not everything was judged"
        kind: OutcomeKind = "waiting"
    else:
        word, kind = f"{record.chosen} is chosen", "registered"
    return Outcome(kind, word, _choice(record), details=details, commands=next_commands(record))


def _tiles(record: SelectionRecord) -> Iterator[Tile]:
    """Yields the figures of the candidate that is chosen, or else of the best one."""
    name = record.chosen or record.best
    item = next((item for item in record.candidates if item.name == name and item.measured), None)
    if item is None:
        return
    own = Mark("reported")
    for metric in dict.fromkeys((record.selection.metric, _SECOND[record.label])):
        if metric in item.metrics:
            cell = estimate_cell(item.metrics[metric])
            yield Tile(f"{METRIC_NAMES[metric]} of {name}", cell.text, cell.interval)
    for entry in [entry for entry in item.bias if entry.value is not None][:1]:
        cell, checks = estimate_cell(entry), [c for c in item.musts if c.name == _name(entry)]
        mark = check_view(checks[-1]).mark if checks else own
        title = metric_title(entry.metric)
        yield Tile(title, cell.text, cell.interval, entry.subgroup, mark)
    yield Tile("A million predictions", cost(item), note=item.cost.basis)
    yield Tile("Texts are processed", item.travel.where)


def _table(title: str, record: SelectionRecord, columns: Columns, *, note: str = "") -> Table:
    rows = (
        row(
            Cell(item.name, meaning=item.what),
            *(cell(item) for cell in columns.values()),
            style={"chosen": "ours", "dropped": "failed"}.get(item.outcome, ""),  # type: ignore[arg-type]  # of RowStyle
        )
        for item in record.candidates
    )
    return Table(title, ("candidate", *columns), tuple(rows), note=note)


def _metric(name: str) -> Callable[[CandidateRecord], Cell]:
    def cell(item: CandidateRecord) -> Cell:
        if not item.measured:
            return numeric("not measured")
        return estimate_cell(item.metrics[name]) if name in item.metrics else numeric("no scores")

    return cell


def _bias_columns(record: SelectionRecord, *, gated: bool) -> Columns:
    def cell_of(name: str) -> Callable[[CandidateRecord], Cell]:
        return lambda item: estimate_cell(
            next((entry for entry in item.bias if _name(entry) == name), None), "not measured"
        )

    names = dict.fromkeys(_name(entry) for item in record.candidates for entry in item.bias)
    checks = {check.name for item in record.candidates for check in item.musts}
    if gated:
        return {name: cell_of(name) for name in names if name in checks}
    return {check_title(name): cell_of(name) for name in names}


def _name(entry: BiasEstimate) -> str:
    return f"{entry.metric} {entry.subgroup}"


def _candidates(record: SelectionRecord, *, behaviour: bool) -> Table:
    """Makes the first table; with bias, injections and time, which have their own on the page."""
    metric, second = record.selection.metric, _SECOND[record.label]
    of = f"of {record.favourable}" if record.label == "classes" else record.favourable
    more: Columns = {
        **_bias_columns(record, gated=True),
        **({"injections turn": _injections_above} if record.label == "pair" else {}),
        "p50": lambda item: _milliseconds(item, "p50"),
    }
    return _table(
        "On the same test rows",
        record,
        {
            metric_name(metric): _metric(metric),
            METRIC_NAMES[second]: _metric(second),
            **(more if behaviour else {}),
            "$ per million": lambda item: numeric(cost(item)),
            "texts are processed": lambda item: item.travel.where,
            "licence": lambda item: item.licence or "none needed",
            "outcome": lambda item: outcome(item, record),
        },
        note=f"{record.rows:,} rows, {record.positives:,} {of or 'positive'}. In brackets: 95 % "
        f"bootstrap intervals, {record.bootstrap_replicates:,} resamples, the same for all "
        "candidates.",
    )


def _injections_above(item: CandidateRecord) -> Cell:
    return _injections(item, "above_control")


def _injections(item: CandidateRecord, figure: str, absent: str = "-") -> Cell:
    return estimate_cell(getattr(item.injection and item.injection.overall, figure, None), absent)


def _milliseconds(item: CandidateRecord, quantile: str) -> Cell:
    seconds = getattr(item.latency, quantile, None)
    return numeric("-" if seconds is None else f"{1000 * seconds:.3g} ms")


def _figure(record: SelectionRecord) -> Figure:
    name = metric_name(record.selection.metric)
    title = f"{name[:1].upper()}{name[1:]} against cost"
    if not any(item.measured for item in record.candidates):
        return Figure(title, absent="No picture: no candidate was measured.")
    caption = (
        "Vertical lines: 95 % intervals over the same test rows and resamples. Star: chosen; "
        "hollow: dropped, as it fails a must."
    )
    return Figure(title, svg=quality_against_cost(record), caption=caption)


def _part_tables(record: SelectionRecord) -> Iterator[Table]:
    items = [item for item in record.candidates if item.parts]
    if items:
        what, parts = _PARTS[record.label]
        rows = (
            row(of_part[0].name, of_part[0].rows, *(estimate_cell(one.figure) for one in of_part))
            for of_part in zip(*(item.parts for item in items), strict=True)
        )
        heads = (parts, "rows", *(item.name for item in items))
        yield Table(f"{what.capitalize()} by {parts}", heads, tuple(rows))


def _threshold(item: CandidateRecord) -> Cell:
    return numeric("" if item.threshold is None else f"{item.threshold:.3g}")


def _by_chance(item: CandidateRecord) -> Cell:
    return estimate_cell(item.error_by_chance, "")


def _quality(record: SelectionRecord) -> Table:
    pair, number = record.label == "pair", record.label == "number"
    by_chance = "By chance: the calibration error of a perfectly calibrated model on these rows."
    return _table(
        "Quality",
        record,
        {
            **({"threshold": _threshold} if pair else {}),
            **{METRIC_NAMES[name]: _metric(name) for name in _METRICS[record.label]},
            **({} if number else {"by chance": _by_chance}),
            "lead of the best": lambda item: estimate_cell(item.lead_of_best, ""),
        },
        note=f"{'Errors are in the unit of the label.' if number else by_chance} The "
        f"lead is in {metric_name(record.selection.metric)}, paired by rows.",
    )


def _bias(record: SelectionRecord) -> Table:
    title, columns = "Bias of the decisions", _bias_columns(record, gated=False)
    if not columns:
        why = "The selection's recipe does not judge bias, or nothing was measured."
        return Table(title, absent=why)
    what = f"Disparate impact: predicted {record.favourable}" if record.favourable else ""
    note = f"{what or 'Predicted positive'}, group ÷ others; 1 is no difference."
    return _table(title, record, columns, note=note)


def _behaviour(record: SelectionRecord) -> Table:
    def answers(field: str, *, each: int = 1, places: int = 0) -> Callable[[CandidateRecord], Cell]:
        def cell(item: CandidateRecord) -> Cell:
            shown = item.answers is not None and item.measured
            return numeric(f"{getattr(item.answers, field) / each:,.{places}f}" if shown else "")

        return cell

    def injections(field: str) -> Callable[[CandidateRecord], Cell]:
        return lambda item: numeric(f"{getattr(item.injection, field)}" if item.injection else "")

    latencies = (f"{item.name}: {item.latency.how}." for item in record.candidates if item.latency)
    pair = record.label == "pair"
    under_injection: Columns = {
        "injections turn": lambda item: _injections(item, "rate", ""),
        "above a neutral sentence": _injections_above,
        "not answered under injection": injections("refused"),
        "cut off under injection": injections("cut_off"),
    }
    return _table(
        f"Answers{', injections' if pair else ''} and time",
        record,
        {
            "invalid": answers("invalid"),
            "refused": answers("refused"),
            **(under_injection if pair else {}),
            "p50": lambda item: _milliseconds(item, "p50"),
            "p99": lambda item: _milliseconds(item, "p99"),
            "tokens in, a row": answers("input_tokens", each=record.rows),
            "tokens out, a row": answers("output_tokens", each=record.rows, places=1),
        },
        note=" ".join(dict.fromkeys(latencies)),
    )


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
