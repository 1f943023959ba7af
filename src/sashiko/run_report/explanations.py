"""The importance of columns, its reliability, and the worst errors."""

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from sashiko.evaluation.metrics.uncertainty import Estimate
from sashiko.explain import explanation_record as record
from sashiko.report import svg, views
from sashiko.report.evidence import Evidence, Missing
from sashiko.report.views import Cell, Fact, Figure, Part, Passage, Section, Table, numeric, row
from sashiko.report.words import estimate, estimate_cell

_SWAPS = (
    "The same texts with each word of the contract's pairs replaced by its partner: changes of "
    "{score}, with 95 % intervals over the rows. Above 0, the group's words lower the score. "
    "Texts with words of both groups have no direction and count only in the other figures. "
    "Other words that reveal a group are not tested."
)
_MOVED = (
    "Rows of the test split: handle them as you handle the data. Each arrow leads from a word to "
    "its replacement."
)
_METHODS = {
    "integrated_gradients": "Integrated gradients on the word embeddings: each token gets a part "
    "of the difference between the score of the text and that of a baseline that says nothing.",
    "shapley_sampling": "Shapley values of the words, which are removed from the prompt in random "
    "orders: each word gets a part of the difference between the score of the text and that of "
    "the prompt without one.",
    "coefficients": "The model's own coefficients, each times its value: with the intercepts they "
    "sum to the log-odds, or to the predicted number. Of more than two classes each logit counts "
    "by its integrated gradient.",
}
_MEANING = (
    " A column's effect is the sum of its tokens' effects. Its share is its part of the effects "
    "of all columns, regardless of sign: the mean over the rows, with a 95 % interval. Effects "
    "say what moves this model, not what causes the label."
)
_WITHOUT_ROWS = (
    "This page shows no text and no key of a row. To see the surest errors and the swapped "
    "words: sashiko runs report {run} --with-rows."
)
_LEVELS = (0.15, 0.4)  # of the strongest word in a row


def _swapped_words(explanations: record.Explanations, score: str) -> Table:
    title = "Words of a facet swapped"
    if not explanations.swaps:
        return Table(title, absent="Not judged: the contract's facets name no words (key words).")
    moves = ("others' words minus the group's", "moved by", "at most", "decisions changed")
    rows = [
        row(
            Cell(item.facet, meaning=f"group: {', '.join(item.group)}"),
            numeric(f"{item.with_words:,} of {item.sample_size:,}"),
            item.rows,
            *(estimate_cell(each, "not judged") for each in (item.lead, item.size)),
            numeric("not judged" if item.largest is None else estimate(item.largest)),
            estimate_cell(item.flips, "not judged"),
        )
        for item in explanations.swaps
    ]
    heads = ("facet", "rows with words", "scored", *moves)
    return Table(title, heads, tuple(rows), note=_SWAPS.format(score=score))


def _most_moved(evidence: Evidence, score: str) -> Iterator[Passage]:
    swaps = evidence.read("Explain", "texts", record.SWAPS_FILE, record.read_swaps)
    if isinstance(swaps, Missing) or not swaps:
        return
    yield Passage("Moved furthest by swapped words", note=_MOVED)
    for item in swaps:
        move = item.swapped_score - item.score
        side: views.Side = "positive" if move > 0 else "negative"
        yield Passage(
            title=f"Words of {item.facet}",
            note=f"Row {item.key}: {score} {item.score:.3f}, swapped {item.swapped_score:.3f}.",
            parts=tuple(
                Part(text, item.facet) if instead is None
                else Part(f"{text} → {instead}", item.facet, side, level=2, effect=f"{move:+.3f}")
                for text, instead in item.parts
            ),
        )  # fmt: skip


def _column_bars(columns: Sequence[record.ColumnImportance]) -> Markup:
    with svg.row_chart([item.name for item in columns]) as axes:
        for index, column in enumerate(reversed(columns)):
            value, (low, high) = column.share.value or 0.0, _ends(column.share)
            axes.barh(index, value, height=0.62, color=svg.LIGHT)
            axes.hlines(index, low, high, color=svg.DARK, linewidth=1.8)
            svg.row_figure(axes, index, f"{value:.0%}")
        axes.set(xlim=(0, 1), xlabel="share of the effect, mean")
        axes.grid(True, axis="x")
        alt = "; ".join(f"{item.name} {_format(item.share)}" for item in columns)
        return svg.to_svg(axes, name="columns", alt=f"Share of the effect by column: {alt}.")


def _deletion_curve(test: record.DeletionTest, move: str) -> Markup:
    """Draws how far the score falls by the share of tokens removed; `move` names that."""
    removed = [point.removed for point in test.points]
    with svg.chart() as axes:
        styles = (("top", svg.DARK, "o", "-"), ("random", svg.INK, "s", "--"))
        for kind, colour, marker, line in styles:
            estimates: list[Estimate] = [getattr(point, kind) for point in test.points]
            ends = [_ends(item) for item in estimates]
            axes.vlines(removed, *zip(*ends, strict=True), color=colour, linewidth=1.4)
            axes.plot(removed, [item.value or 0.0 for item in estimates], color=colour,
                      marker=marker, linestyle=line, markersize=6, label=f"{kind} tokens",
                      markerfacecolor=colour if kind == "top" else "white")  # fmt: skip
        axes.axhline(0, color=svg.MUTED, linewidth=0.8)
        axes.set_xticks(removed, [f"{share:.0%}" for share in removed])
        axes.set(xlabel="tokens removed", ylabel=move)
        axes.grid(True, axis="y")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
        alt = "; ".join(
            f"{point.removed:.0%} removed: {_format(point.top)} for top tokens, "
            f"{_format(point.random)} for random ones"
            for point in test.points
        )
        return svg.to_svg(axes, name="deletion", alt=f"{move.capitalize()}. {alt}.")


def _ends(estimate: Estimate) -> tuple[float, float]:
    value = estimate.value or 0.0
    low, high = estimate.low, estimate.high
    return (value if low is None else low), (value if high is None else high)


def _format(estimate: Estimate) -> str:
    low, high = _ends(estimate)
    return f"{estimate.value or 0.0:.2f}, interval {low:.2f} to {high:.2f}"


def explanations_section(evidence: Evidence, *, with_rows: bool) -> Section:
    """Shows the importance of columns and the deletion test; rows' texts only `with_rows`."""
    title = "Explanations"
    explanations = evidence.explanations
    if isinstance(explanations, Missing):
        return Section("explanations", title, absent=f"No explanations. {explanations.why}")
    # The record's file sorts them by name.
    contract, is_number = evidence.contract, explanations.is_number
    labels = tuple(explanations.predicted)
    if not isinstance(contract, Missing):
        labels = contract.outcomes
    score = "the predicted value" if is_number else "P(positive)"
    deletion = Figure("Deletion test", absent="No row has two tokens: there is nothing to remove.")
    if explanations.deletion.rows:
        falls = "probability of the predicted label falls"
        if is_number:
            falls = "predicted value moves towards the other outcome"
        caption = (
            f"How far the {falls} when tokens are cut out: those that speak most for it, and as "
            f"many random ones ({explanations.deletion.draws} draws a row). Bars: 95 % intervals."
        )
        move = "move of the value" if is_number else "fall of the probability"
        deletion = Figure(deletion.title, _deletion_curve(explanations.deletion, move), caption)
    passages: tuple[Passage, ...] = (
        Passage("Texts of rows", note=_WITHOUT_ROWS.format(run=evidence.run.id)),
    )
    if with_rows:
        passages = (
            *_errors(evidence, labels, is_number=is_number),
            *_most_moved(evidence, score),
        )
    return Section(
        anchor="explanations",
        title=title,
        warnings=explanations.warnings,
        statements=explanations.notes,
        facts=tuple(_facts(explanations)),
        tables=(
            _swapped_words(explanations, score),
        ),
        figures=(
            Figure("What moves the score, by column", _column_bars(explanations.columns),
                   _METHODS[explanations.method] + _MEANING),
            deletion,
        ),
        passages=passages,
    )  # fmt: skip


def _facts(explanations: record.Explanations) -> Iterator[Fact]:
    predicted = explanations.predicted.items()
    split = ", ".join(f"{rows:,} predicted {label}" for label, rows in predicted)
    rows, exact = explanations.rows, explanations.convergence
    unit = "in the label's unit" if explanations.is_number else "log-odds"
    drawn = f"{rows:,} of {explanations.test_rows:,} test rows, drawn alike from each label"
    yield Fact("explained", f"{drawn} and decision: {split}")
    steps = explanations.steps
    method = f"integrated gradients, {steps} steps, baseline {explanations.baseline}"
    if explanations.method == "shapley_sampling":
        method = f"Shapley values, {steps} orders of the words, which are removed"
    if explanations.method == "coefficients":
        method = "coefficient times value, summed to the score of the row"
    yield Fact("method", method)
    off = f"misses the score by {exact.median:.3f} in the median, {exact.largest:.3f} at most"
    yield Fact("convergence", f"{off}, of {exact.explained:.2f} to be explained ({unit})")
    yield Fact("cut by the model", f"{explanations.rows_cut:,} of these rows")


def _errors(evidence: Evidence, labels: Sequence[str], *, is_number: bool) -> Iterator[Passage]:
    title = "The largest errors" if is_number else "The surest errors"
    errors = evidence.read("Explain", "texts", record.ERRORS_FILE, record.read_errors)
    if isinstance(errors, Missing) or not errors:
        none = "The model makes no error on the test split."
        yield Passage(title, note=errors.why if isinstance(errors, Missing) else none)
        return
    which = "Rows that the model is sure of and wrong about."
    if is_number:
        which = "Rows whose number is predicted worst, too high or too low."
    legend = (
        f"{which} Underlined words speak for {labels[1]}, "
        f"dotted ones for {labels[0]}; those that count most are bold. This part shows text of "
        "test rows: handle it as you handle the data."
    )
    yield Passage(title, note=legend)
    for item in errors:
        note = "" if is_number else f"P(positive) {item.score:.2f}."
        if item.cut:
            note = f"{note} The model does not read the text to its end.".strip()
        heading = f"Row {item.key}: predicted {item.predicted}, is {item.label}"
        yield Passage(heading, note, parts=tuple(_parts(item)))


def _parts(item: record.ExplainedError) -> Iterator[Part]:
    sizes = [abs(part.attribution[0]) for each in item.explanations for part in each.attributions]
    strongest = max(sizes, default=0.0)
    for feature, text in zip(item.explanations, item.texts, strict=True):
        column, end = feature.feature_name, 0
        for part in feature.attributions:
            start, word = part.description.start_idx, part.description.partial_text
            value = part.attribution[0]
            size = abs(value) / strongest if strongest else 0.0
            level = sum(size >= bound for bound in _LEVELS)
            side: views.Side = "positive" if value > 0 else "negative"
            yield Part(text[end:start], column)
            yield Part(word, column, side, level, effect=f"{value:+.2f}")
            end = start + len(word)
        yield Part(text[end:], column)
