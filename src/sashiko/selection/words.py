"""A selection's outcome as text, for the terminal and the page."""

from collections.abc import Iterator

from sashiko.evaluation.metrics.uncertainty import Estimate
from sashiko.selection.record import CandidateRecord, SelectionRecord

NOT_MEASURED = "not measured"
NO_SCORES = "no scores"


def headline(record: SelectionRecord) -> str:
    """Returns a sentence with the choice, or that there is none."""
    if record.chosen is None:
        return f"No candidate is chosen: {record.reason}."
    return f"{record.chosen} is chosen: {record.reason}."


def outcome(item: CandidateRecord, record: SelectionRecord) -> str:
    """Returns a candidate's outcome, with why it is out."""
    if item.outcome == "dropped":
        return f"dropped: fails {', '.join(_must(check.name) for check in item.failed)}"
    if item.outcome == "not measured":
        return "not measured: its answers were written by hand"
    if item.outcome == "worse":
        lead = item.lead_of_best
        return f"worse than {record.best} by {lead.text if lead else 'undefined'}"
    if item.name == record.best:
        return f"{item.outcome}, the best" if item.outcome == "chosen" else "the best"
    return item.outcome


def _must(name: str) -> str:
    """Formats a must: a metric, or a metric of a group, whose names stay as they are."""
    return name if "=" in name else name.replace("_", " ")


def score_metric(item: CandidateRecord, name: str) -> Estimate | str:
    """Returns a metric of scores, or why there is none."""
    if not item.measured:
        return NOT_MEASURED
    return item.metrics.get(name, NO_SCORES)


def milliseconds(seconds: float) -> str:
    """Formats a latency."""
    return f"{1000 * seconds:.3g} ms"


def cost(item: CandidateRecord) -> str:
    """Formats the cost of a million predictions."""
    if not item.measured:
        return NOT_MEASURED
    usd = item.cost.usd
    return "unknown" if usd is None else f"${usd:,.2f}"


def licence(item: CandidateRecord) -> str:
    """Formats the licence."""
    return item.licence or "none needed"


def travels(item: CandidateRecord) -> str:
    """Says where texts may be processed."""
    name = item.travel.geography
    return f"{name}: {item.travel.where}" if name else item.travel.where


def table(record: SelectionRecord) -> Iterator[tuple[str, ...]]:
    """Yields the rows of the terminal's table, its heading first."""
    metric = record.selection.metric
    gated = _gated_bias(record)
    yield ("candidate", metric.replace("_", " "), "AUC", *gated, "injections turn", "p50", "p99",
           "$ per million", "texts are processed", "licence", "outcome")  # fmt: skip
    for item in record.candidates:
        by_name = {f"{entry.metric} {entry.subgroup}": entry for entry in item.bias}
        flips = item.injection.overall.above_control if item.injection else None
        latency = item.latency
        yield (
            item.name,
            _text(score_metric(item, metric)),
            _text(score_metric(item, "auc")),
            *(
                Estimate(by_name[name].value, by_name[name].low, by_name[name].high).text
                if name in by_name
                else NOT_MEASURED
                for name in gated
            ),
            "-" if flips is None else flips.text,
            "-" if latency is None else milliseconds(latency.p50),
            "-" if latency is None else milliseconds(latency.p99),
            cost(item),
            travels(item),
            licence(item),
            outcome(item, record),
        )


def _gated_bias(record: SelectionRecord) -> tuple[str, ...]:
    """Returns the names of the bias gates' checks, as the first measured candidate has them."""
    for item in record.candidates:
        names = {f"{entry.metric} {entry.subgroup}" for entry in item.bias}
        if names:
            return tuple(check.name for check in item.musts if check.name in names)
    return ()


def _text(figure: Estimate | str) -> str:
    return figure if isinstance(figure, str) else figure.text
