"""Where the model is worse than on all rows: the parts of the test split, the worst first."""

from collections.abc import Sequence

from sashiko.evaluation import Estimates, SliceFigures, Slices
from sashiko.report import words
from sashiko.report.views import Cell, Row, Table

_WORST = 10


def slice_tables(slices: Slices, *, metrics: dict[str, str]) -> tuple[Table, ...]:
    """Shows the worst slices with their support, and all of them folded.

    Args:
        slices: of the test split.
        metrics: metric -> how the page calls it.
    """
    title = "Worst slices"
    word = metrics[slices.metric]
    judged, worse = slices.judged, slices.worse
    if not judged:
        why = f"No slice has {slices.minimum_rows} rows of both labels: too few to judge."
        return (Table(title=title, absent=why),)
    chance = 0.025 * len(judged)
    small = len(slices.figures) - len(judged)
    note = (
        f"By {word}, slice minus all rows; below 0 the slice is worse. {len(worse)} of "
        f"{len(judged)} lie below by their whole interval. Each slice is another look: about "
        f"{chance:.1f} would by chance alone, so take one such slice as a place to look, not as "
        f"found. {small} have too few rows to judge. Sensitive columns are under Fairness."
    )
    named = [name for name in metrics if name in judged[0].metrics]
    return (
        Table(
            title=title,
            columns=_heads((slices.metric,), slices.metric, metrics),
            rows=_rows(judged[:_WORST], (slices.metric,), slices.metric),
            note=note,
        ),
        Table(
            title="All slices",
            columns=_heads(named, slices.metric, metrics),
            rows=_rows(slices.figures, named, slices.metric),
            folded=True,
        ),
    )


def _heads(shown: Sequence[str], metric: str, metrics: dict[str, str]) -> tuple[Cell, ...]:
    numbers = ["rows", "positive", *(metrics[name] for name in shown)]
    numbers.append(f"{metrics[metric]} minus all")
    return (Cell("slice"), *(Cell(word, number=True) for word in numbers))


def _rows(figures: Sequence[SliceFigures], shown: Sequence[str], metric: str) -> tuple[Row, ...]:
    """Writes a row a slice; those that lie below all rows by their whole interval are marked."""
    rows = []
    for item in figures:
        apart = item.differences.get(metric)
        below = apart is not None and apart.high is not None and apart.high < 0
        cells = (
            Cell(f"{item.column} = {item.value}"),
            Cell(f"{item.rows:,}", number=True),
            Cell(words.percent(item.positives / item.rows), number=True),
            *(_cell(item.metrics, name) for name in shown),
            _cell(item.differences, metric),
        )
        rows.append(Row(cells=cells, style="failed" if below else ""))
    return tuple(rows)


def _cell(estimates: Estimates, metric: str) -> Cell:
    found = estimates.get(metric)
    if found is None:
        return Cell("too few to judge", number=True)
    if found.value is None:
        return Cell("undefined", number=True)
    return words.estimate_cell(found.value, found.low, found.high)
