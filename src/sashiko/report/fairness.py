"""How the model treats the groups of each facet."""

from collections.abc import Mapping, Sequence

from sashiko.gates.estimates import INTERVALS_FILE, BiasEstimate, read_estimates
from sashiko.gates.verdict import Check, read_verdict
from sashiko.report import words
from sashiko.report.bar import allowed_range, range_bar
from sashiko.report.evidence import Evidence, Missing
from sashiko.report.facet_figures import score_figures
from sashiko.report.forest import ForestRow, forest
from sashiko.report.gates import bias_not_judged
from sashiko.report.group_rates import GroupRates, read_group_rates
from sashiko.report.views import Cell, Figure, Mark, Row, Section, Table

_ORDER = ("DI", "DPPL", "RD", "AD", "DPL", "CI")
_STAGES = {"pre_training": "labels", "post_training": "predictions"}
_HOW_TO_READ = (
    "Each group is compared with all other rows. A difference above 0, or a DI below 1, means that "
    "the group is worse off. Training never saw these columns: they were joined to the predictions "
    "by key, afterwards. Metrics of the labels are of the whole snapshot and have no interval."
)


def fairness_section(evidence: Evidence) -> Section:
    """Shows the bias metrics with bounds and intervals, and what each group gets."""
    title = "Fairness"
    if unjudged := bias_not_judged(evidence):
        return Section("fairness", title, absent=unjudged)
    estimates = evidence.read("JudgeBias", "intervals", INTERVALS_FILE, read_estimates)
    if isinstance(estimates, Missing):
        return Section("fairness", title, absent=f"No figures. {estimates.why}")
    verdict = evidence.read("JudgeBias", "verdict", "verdict.json", read_verdict)
    checks = {} if isinstance(verdict, Missing) else {check.name: check for check in verdict.checks}
    ordered = sorted(
        estimates, key=lambda e: (_rank(e.metric), _check(e, checks) is None, e.facet, e.group)
    )
    return Section(
        anchor="fairness",
        title=title,
        statements=(_HOW_TO_READ,),
        tables=(_metrics_table(ordered, checks), _groups_table(evidence)),
        figures=(*_forests(ordered, checks), *score_figures(evidence)),
    )


def _rank(metric: str) -> int:
    return _ORDER.index(metric) if metric in _ORDER else len(_ORDER)


def _name(estimate: BiasEstimate) -> str:
    """Returns the name that the bias gate gives the check of an estimate."""
    return f"{estimate.metric} {estimate.facet}={estimate.group}"


def _check(estimate: BiasEstimate, checks: Mapping[str, Check]) -> Check | None:
    return checks.get(_name(estimate)) if estimate.stage == "post_training" else None


def _metrics_table(estimates: Sequence[BiasEstimate], checks: Mapping[str, Check]) -> Table:
    heads = (
        Cell("metric"), Cell("group"), Cell("of the"), Cell("what is compared"),
        Cell("number [95 %]", number=True), Cell("required"), Cell("against its bounds"),
        Cell("outcome"),
    )  # fmt: skip
    return Table(
        title="Bias metrics",
        columns=heads,
        rows=tuple(
            _metric_row(estimate, _check(estimate, checks))
            for estimate in sorted(estimates, key=lambda e: _check(e, checks) is None)
        ),
        absent="" if estimates else "The contract names no facet to judge.",
    )


def _metric_row(estimate: BiasEstimate, check: Check | None) -> Row:
    value = Cell(f"undefined: {estimate.error}")
    if estimate.value is not None:
        value = words.estimate_cell(estimate.value, estimate.low, estimate.high)
    return Row(
        cells=(
            Cell(estimate.metric),
            Cell(f"{estimate.facet}={estimate.group}"),
            Cell(_STAGES[estimate.stage]),
            Cell(words.MEANINGS.get(estimate.metric, "")),
            value,
            Cell(words.required(check) if check else ""),
            Cell("", bar=range_bar(check) if check else None),
            Cell("", mark=words.mark(check) if check else Mark("reported")),
        ),
        style="failed" if check and not check.passed else "",
    )


def _groups_table(evidence: Evidence) -> Table:
    title = "What each group gets, on the test split"
    rates = evidence.read("BiasInput", "data", "data.csv", read_group_rates)
    if isinstance(rates, Missing):
        return Table(title=title, absent=f"No table. {rates.why}")
    words = ("rows", "labelled positive", "predicted positive", "positives found")
    return Table(
        title=title,
        columns=(Cell("facet"), Cell("group"), *(Cell(word, number=True) for word in words)),
        rows=tuple(_rates_row(rate) for rate in rates),
        note="Positives found: of the rows labelled positive, the share predicted so (recall).",
    )


def _rates_row(rate: GroupRates) -> Row:
    recall = words.percent(rate.found / rate.positives) if rate.positives else "no positives"
    return Row(
        cells=(
            Cell(rate.facet),
            Cell(rate.group),
            Cell(f"{rate.rows:,}", number=True),
            Cell(words.percent(rate.positives / rate.rows), number=True),
            Cell(words.percent(rate.predicted / rate.rows), number=True),
            Cell(recall, number=True),
        )
    )


def _forests(estimates: Sequence[BiasEstimate], checks: Mapping[str, Check]) -> tuple[Figure, ...]:
    """Draws one picture per metric of the predictions that is defined for a group."""
    figures = []
    shown = [e for e in estimates if e.stage == "post_training" and e.value is not None]
    for metric in dict.fromkeys(estimate.metric for estimate in shown):
        rows = [
            _forest_row(estimate, estimate.value, _check(estimate, checks))
            for estimate in shown
            if estimate.metric == metric and estimate.value is not None
        ]
        meaning = words.MEANINGS.get(metric, "")
        caption = "Hollow: reported, not gated."
        if any(row.passed is not None for row in rows):
            caption = "Filled: gated; the allowed range is shaded; a cross lies outside. " + caption
        figures.append(Figure(f"{metric}: {meaning}", forest(metric, rows), caption))
    return tuple(figures)


def _forest_row(estimate: BiasEstimate, value: float, check: Check | None) -> ForestRow:
    allowed = allowed_range(check) if check else None
    return ForestRow(
        group=f"{estimate.facet}={estimate.group}",
        value=value,
        low=estimate.low,
        high=estimate.high,
        allowed=allowed,
        passed=check.passed if check else None,
    )
