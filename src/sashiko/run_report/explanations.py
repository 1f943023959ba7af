"""The importance of columns and words, its reliability, and the worst errors."""

from collections.abc import Iterator, Sequence

from sashiko.explain.record import (
    ERRORS_FILE,
    FEWEST_ROWS,
    WORDS_FILE,
    ExplainedError,
    Explanations,
    FeatureAttributions,
    read_errors,
    read_words,
)
from sashiko.report.evidence import Evidence, Missing
from sashiko.report.views import Fact, Figure, Part, Passage, Section, Table, numeric, row
from sashiko.report.words import estimate_cell
from sashiko.run_report.explanation_checks import (
    cross_check,
    cross_check_fact,
    most_moved,
    swapped_words,
)
from sashiko.run_report.explanation_plots import column_bars, deletion_curve

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
