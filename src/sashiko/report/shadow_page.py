"""A candidate beside the champion on captured requests, in words and as one HTML file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from markupsafe import Markup

from sashiko.core.files import write_bytes
from sashiko.evaluation.metrics.uncertainty import Estimate
from sashiko.monitoring.shadow import QUANTILES, Comparison, Difference, Shadow
from sashiko.report import svg
from sashiko.report.html import render
from sashiko.report.monitor_words import span
from sashiko.report.views import ChoicePage, Figure, Outcome, Section

_SHOWN: Final = tuple(QUANTILES.index(share) for share in (0.05, 0.5, 0.95))
_ENDS: Final = ("low", "value", "high")


def describe(shadow: Shadow) -> Iterator[str]:
    """Yields what came out, a line each; the first one says how decisions differ, and when."""
    compared = shadow.comparison
    yield (
        f"{_decisions(compared)}; version {shadow.version} beside version {shadow.champion} on "
        f"{compared.rows:,} rows in {compared.requests:,} requests, "
        f"{span(shadow.start, shadow.end)}"
    )
    if compared.score_differences:
        yield f"score differences by quantile: {_quantiles(compared.score_differences)}"
    for name, lead in (("accuracy", compared.accuracy), ("AUC", compared.auc)):
        yield f"{name} on {compared.audited_rows:,} audited rows: {_outcome(lead)}"
    if compared.refused:
        yield f"version {shadow.version} refuses requests with {compared.refused:,} rows"
    if shadow.note:
        yield shadow.note


def write_shadow_page(shadow: Shadow, path: Path, *, command: str) -> None:
    """Writes the page.

    Args:
        shadow: what came out.
        path: of the HTML file.
        command: the next one.

    Raises:
        InputError: if it cannot be written.
    """
    differences = shadow.comparison.score_differences
    headline, *details = describe(shadow)
    page = ChoicePage(
        title=f"Shadow: {shadow.group}, version {shadow.version}",
        source="`shadow.json`",
        outcome=Outcome(
            kind="interrupted",  # neither good nor bad: a person judges
            word=f"VERSION {shadow.version} BESIDE {shadow.champion}",
            headline=headline,
            details=tuple(details),
            commands=(command,),
        ),
        sections=(Section("scores", "Scores", figures=(_figure(differences),)),),
    )
    write_bytes(path, render(page, template="choice.html.j2").encode())


def _decisions(compared: Comparison) -> str:
    text = _outcome(compared.positive_rate)
    if compared.positive_rate.estimate is None:
        return text
    _, more, fewer, _ = compared.decisions
    return f"{text}: {more:,} decisions became positive, {fewer:,} negative"


def _outcome(difference: Difference) -> str:
    estimate = difference.estimate
    size = difference.reason if estimate is None else _signed(estimate)
    return f"{difference.outcome}{f' ({size})' if size else ''}"


def _quantiles(differences: tuple[Estimate, ...]) -> str:
    return ", ".join(f"{QUANTILES[place]:.0%} {_signed(differences[place])}" for place in _SHOWN)


def _signed(estimate: Estimate) -> str:
    value, *ends = (
        "undefined" if number is None else f"{round(number, 3) + 0.0:+.3f}"
        for number in (estimate.value, estimate.low, estimate.high)
    )
    return value if estimate.low is None else f"{value} [{', '.join(ends)}]"


def _figure(differences: tuple[Estimate, ...]) -> Figure:
    title = "Candidate's score minus the champion's"
    if not differences:
        return Figure(title, absent="Too few rows.")
    caption = "By quantile over rows, with paired 95 % intervals."
    return Figure(title, svg=_plot(differences), caption=caption)


def _plot(differences: tuple[Estimate, ...]) -> Markup:
    shares = [100 * share for share in QUANTILES]
    low, middle, high = ([getattr(each, end) for each in differences] for end in _ENDS)
    with svg.chart() as axes:
        axes.axhline(0, color=svg.MUTED, linewidth=1)
        axes.vlines(shares, low, high, color=svg.DARK, linewidth=1.4)
        axes.plot(shares, middle, color=svg.DARK, marker="o", markersize=4)
        axes.set(xlabel="% of the rows that lie below", ylabel="difference of the scores")
        axes.grid(True)
        alt = f"Candidate's score minus the champion's, by quantile: {_quantiles(differences)}."
        return svg.to_svg(axes, name="scores", alt=alt)
