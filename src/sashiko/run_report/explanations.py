"""The importance of columns and words, its reliability, and the worst errors."""

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from sashiko.evaluation.metrics.uncertainty import Estimate
from sashiko.explain.explanation_record import (
    ERRORS_FILE,
    FEWEST_ROWS,
    SWAPS_FILE,
    TOP,
    WORDS_FILE,
    ColumnImportance,
    DeletionTest,
    ExplainedError,
    Explanations,
    FeatureAttributions,
    SwappedText,
    read_errors,
    read_swaps,
    read_words,
)
from sashiko.report import svg
from sashiko.report.evidence import Evidence, Missing
from sashiko.report.views import Cell, Fact, Figure, Part, Passage, Section, Table, numeric, row
from sashiko.report.words import estimate, estimate_cell

_SHAPLEY = (
    "The same words of the same texts, each there or not in many orders, beside the attributions "
    "above. Means over the texts with their 95 % intervals. No two methods can agree better than "
    "the Shapley values do with themselves; by chance are attributions shuffled within each text. "
    "What decides is the strongest words: of the others most move nothing, and in no order."
)
_SWAPS = (
    "The same texts with each word of the contract's pairs in its partner's place: changes of "
    "P(positive), with 95 % intervals over the rows. Above 0, the group's words lower the score. "
    "Texts with words of both groups have no such direction and count in the other figures alone. "
    "Other words that reveal a group are not covered."
)
_MOVED = (
    "Rows of the test split: handle them as you handle the data. Each arrow is a word and what was "
    "put in its place."
)
_METHODS = {
    "integrated_gradients": "Integrated gradients on the word embeddings: each token gets a part "
    "of the difference between the score of the text and that of a baseline that says nothing.",
    "shapley_sampling": "Shapley values of the words, which are removed from the prompt in random "
    "orders: each word gets a part of the difference between the score of the text and that of "
    "the prompt without one.",
}
_MEANING = (
    " A column's effect is the sum of its tokens'; its share is the size of that among all "
    "columns, mean over the rows. They say what moves this model, not what causes the label."
)
_LEVELS = (0.15, 0.4)  # of the strongest word in a row


def cross_check_fact(explanations: Explanations) -> Fact:
    """Returns how much was cross-checked, or how to enable the check."""
    shapley, name = explanations.shapley, "cross-check"
    if shapley is None:
        return Fact(name, "none by Shapley values: explain.depth: full makes it")
    return Fact(
        name,
        f"Shapley values of {shapley.rows:,} texts, {shapley.pairs} orders of the words and their "
        f"reverses; they miss the score by {shapley.largest_delta:.3f} at most (log-odds)",
    )


def cross_check(explanations: Explanations) -> Iterator[Table]:
    """Shows the agreement of attributions and Shapley values, if both exist."""
    if explanations.shapley is None or not explanations.shapley.rows:
        return
    check = explanations.shapley
    results = check.agreement, check.itself, check.chance
    heads = ("", "attributions and Shapley values", "Shapley values, two halves", "by chance")
    rows = (
        ("rank correlation of the words", [item.rank for item in results]),
        ("strongest word the same", [item.strongest for item in results]),
        (f"in common of the {TOP} strongest", [item.top for item in results]),
    )
    yield Table(
        "Cross-check by Shapley values",
        heads,
        tuple(row(name, *map(estimate_cell, items)) for name, items in rows),
        note=_SHAPLEY,
    )


def swapped_words(explanations: Explanations) -> Table:
    """Shows how far the score moves when words of a facet are swapped."""
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
    return Table(title, ("facet", "rows with words", "scored", *moves), tuple(rows), note=_SWAPS)


def most_moved(evidence: Evidence) -> tuple[Passage, ...]:
    """Shows the texts with the largest score changes, if words were swapped."""
    swaps = evidence.read("Explain", "texts", SWAPS_FILE, read_swaps)
    if isinstance(swaps, Missing) or not swaps:
        return ()
    return (Passage("Moved furthest by swapped words", note=_MOVED), *map(_moved, swaps))


def _moved(item: SwappedText) -> Passage:
    up = item.swapped_score > item.score
    return Passage(
        title=f"Words of {item.facet}",
        note=f"Row {item.key}: P(positive) {item.score:.3f}, swapped {item.swapped_score:.3f}.",
        parts=tuple(
            Part(text, column=item.facet)
            if instead is None
            else Part(
                f"{text} → {instead}",
                column=item.facet,
                side="positive" if up else "negative",
                level=2,
                effect=f"{item.swapped_score - item.score:+.3f}",
            )
            for text, instead in item.parts
        ),
    )


def column_bars(columns: Sequence[ColumnImportance]) -> Markup:
    """Draws each column's share of the attributions, with its interval."""
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


def deletion_curve(test: DeletionTest) -> Markup:
    """Draws how far the predicted label's probability falls by the share of tokens removed."""
    removed = [point.removed for point in test.points]
    with svg.chart() as axes:
        for kind, colour, marker, line in (
            ("top", svg.DARK, "o", "-"),
            ("random", svg.INK, "s", "--"),
        ):
            estimates: list[Estimate] = [getattr(point, kind) for point in test.points]
            ends = [_ends(item) for item in estimates]
            axes.vlines(removed, *zip(*ends, strict=True), color=colour, linewidth=1.4)
            axes.plot(removed, [item.value or 0.0 for item in estimates], color=colour,
                      marker=marker, linestyle=line, markersize=6, label=f"{kind} tokens",
                      markerfacecolor=colour if kind == "top" else "white")  # fmt: skip
        axes.axhline(0, color=svg.MUTED, linewidth=0.8)
        axes.set_xticks(removed, [f"{share:.0%}" for share in removed])
        axes.set(xlabel="tokens removed", ylabel="fall of the probability")
        axes.grid(True, axis="y")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
        alt = "; ".join(
            f"{point.removed:.0%} removed: {_format(point.top)} for top tokens, "
            f"{_format(point.random)} for random ones"
            for point in test.points
        )
        return svg.to_svg(axes, name="deletion", alt=f"Fall of the probability. {alt}.")


def _ends(estimate: Estimate) -> tuple[float, float]:
    value = estimate.value or 0.0
    low, high = estimate.low, estimate.high
    return (value if low is None else low), (value if high is None else high)


def _format(estimate: Estimate) -> str:
    low, high = _ends(estimate)
    return f"{estimate.value or 0.0:.2f}, interval {low:.2f} to {high:.2f}"


def explanations_section(evidence: Evidence) -> Section:
    """Shows the importance of columns and words, the deletion test, and the worst errors."""
    title = "Explanations"
    explanations = evidence.explanations
    if isinstance(explanations, Missing):
        return Section("explanations", title, absent=f"No explanations. {explanations.why}")
    return Section(
        anchor="explanations",
        title=title,
        warnings=explanations.warnings,
        statements=explanations.notes,
        facts=_facts(explanations),
        tables=(
            _columns(explanations),
            *cross_check(explanations),
            swapped_words(explanations),
            *_words(evidence, tuple(explanations.predicted)),
        ),
        figures=(
            Figure("What moves the score, by column", column_bars(explanations.columns),
                   "The line is the 95 % interval over the rows."),
            _deletion(explanations),
        ),
        passages=(*_errors(evidence, tuple(explanations.predicted)), *most_moved(evidence)),
    )  # fmt: skip


def _facts(explanations: Explanations) -> tuple[Fact, ...]:
    split = ", ".join(
        f"{rows:,} predicted {label}" for label, rows in explanations.predicted.items()
    )
    exact = explanations.convergence
    return (
        Fact(
            "explained",
            f"{explanations.rows:,} of {explanations.test_rows:,} test rows, "
            f"drawn alike from each label and decision: {split}",
        ),
        Fact("method", _method(explanations)),
        Fact(
            "convergence",
            f"off by {exact.median:.3f} in the median and {exact.largest:.3f} at most, where "
            f"{exact.explained:.2f} is explained (log-odds)",
        ),
        Fact("cut by the model", f"{explanations.rows_cut:,} of these rows"),
        cross_check_fact(explanations),
    )


def _method(explanations: Explanations) -> str:
    if explanations.method == "shapley_sampling":
        return f"Shapley values, {explanations.steps} orders of the words, which are removed"
    return f"integrated gradients, {explanations.steps} steps, baseline {explanations.baseline}"


def _columns(explanations: Explanations) -> Table:
    labels = tuple(explanations.predicted)
    where = (f"where predicted {label}" for label in labels)
    heads = ("column", "share", *where, "effect (log-odds)", "rows cut")
    rows = []
    for item in explanations.columns:
        shares = (item.share, *(item.by_predicted[label] for label in labels))
        cells = [estimate_cell(share, "no such row") for share in shares]
        rows.append(row(item.name, *cells, numeric(f"{item.mean_absolute:.3f}"), item.rows_cut))
    return Table("Importance of the columns", heads, tuple(rows),
                 note=_METHODS[explanations.method] + _MEANING)  # fmt: skip


def _words(evidence: Evidence, labels: Sequence[str]) -> Iterator[Table]:
    influences = evidence.read("Explain", "texts", WORDS_FILE, read_words)
    for index, label in reversed(list(enumerate(labels))):
        title = f"Words that speak for {label}"
        if isinstance(influences, Missing):
            yield Table(title, absent=influences.why)
            continue
        words = influences.towards_positive if index else influences.towards_negative
        if not words:
            yield Table(title, absent=f"No word of {FEWEST_ROWS} rows or more does.")
            continue
        note = f"Mean effect on the log-odds; words of fewer than {FEWEST_ROWS} rows are left out."
        heads = ("word", "column", "rows", "effect")
        rows = tuple(
            row(item.word, item.column, item.rows, numeric(f"{item.attribution:+.3f}"))
            for item in words
        )
        yield Table(title, heads, rows, note=note, folded=True)


def _deletion(explanations: Explanations) -> Figure:
    title, test = "Deletion test", explanations.deletion
    if not test.rows:
        return Figure(title, absent="No row has two tokens: there is nothing to remove.")
    return Figure(
        title,
        deletion_curve(test),
        "How far the probability of the predicted label falls when tokens are cut out: those that "
        f"speak most for it, and as many random ones ({test.draws} draws a row). Bars: 95 % "
        "intervals.",
    )


def _errors(evidence: Evidence, labels: Sequence[str]) -> tuple[Passage, ...]:
    title = "The surest errors"
    errors = evidence.read("Explain", "texts", ERRORS_FILE, read_errors)
    if isinstance(errors, Missing):
        return (Passage(title, note=errors.why),)
    if not errors:
        return (Passage(title, note="The model makes no error on the test split."),)
    legend = (
        f"Rows that the model is sure of and wrong about. Underlined words speak for {labels[1]}, "
        f"dotted ones for {labels[0]}; those that count most are bold. This part of the page holds "
        "what stands in rows of the test split: handle it as you handle the data."
    )
    return (Passage(title, note=legend), *map(_passage, errors))


def _passage(item: ExplainedError) -> Passage:
    sizes = [
        abs(part.attribution[0]) for feature in item.explanations for part in feature.attributions
    ]
    strongest = max(sizes, default=0.0)
    note = f"Row {item.key}: P(positive) {item.score:.2f}."
    if item.cut:
        note += " The model does not read the text to its end."
    pieces = zip(item.explanations, item.texts, strict=True)
    return Passage(
        title=f"Predicted {item.predicted}, is {item.label}",
        note=note,
        parts=tuple(part for feature, text in pieces for part in _parts(feature, text, strongest)),
    )


def _parts(feature: FeatureAttributions, text: str, strongest: float) -> Iterator[Part]:
    """Yields a feature's words, and the text between them."""
    end = 0
    for item in feature.attributions:
        description, value = item.description, item.attribution[0]
        size = abs(value) / strongest if strongest else 0.0
        yield Part(text[end : description.start_idx], column=feature.feature_name)
        yield Part(
            text=description.partial_text,
            column=feature.feature_name,
            side="positive" if value > 0 else "negative",
            level=sum(size >= bound for bound in _LEVELS),
            effect=f"{value:+.2f}",
        )
        end = description.start_idx + len(description.partial_text)
    yield Part(text[end:], column=feature.feature_name)
