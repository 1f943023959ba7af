"""Which columns and words move the score, whether that can be relied on, and the worst errors."""

from collections.abc import Iterator, Sequence

from sashiko.clarify.explain.record import (
    ERRORS_FILE,
    FEWEST_ROWS,
    WORDS_FILE,
    ExplainedError,
    Explanations,
    FeatureAttributions,
    Word,
    read_errors,
    read_words,
)
from sashiko.report.evidence import Evidence, Missing
from sashiko.report.explanation_checks import (
    cross_check,
    cross_check_fact,
    most_moved,
    swapped_words,
)
from sashiko.report.explanation_plots import column_bars, deletion_curve
from sashiko.report.views import Cell, Fact, Figure, Part, Passage, Row, Section, Table
from sashiko.report.words import estimate_cell

_MEANING = (
    "Integrated gradients on the word embeddings: each token gets a part of the difference between "
    "the score of the text and that of a baseline that says nothing. A column's effect is the sum "
    "of its tokens'; its share is the size of that among all columns, mean over the rows. They say "
    "what moves this model, not what causes the label."
)
_LEVELS = (0.15, 0.4)  # of the strongest word in a row


def explanations_section(evidence: Evidence) -> Section:
    """Shows the importance of columns and words, the deletion test, and the surest errors."""
    title = "Explanations"
    found = evidence.explanations
    if isinstance(found, Missing):
        return Section("explanations", title, absent=f"No explanations. {found.why}")
    return Section(
        anchor="explanations",
        title=title,
        warnings=found.warnings,
        statements=found.notes,
        facts=_facts(found),
        tables=(
            _columns(found),
            *cross_check(found),
            swapped_words(found),
            *_words(evidence, tuple(found.predicted)),
        ),
        figures=(
            Figure("What moves the score, by column", column_bars(found.columns),
                   "The line is the 95 % interval over the rows."),
            _deletion(found),
        ),
        passages=(*_errors(evidence, tuple(found.predicted)), *most_moved(evidence)),
    )  # fmt: skip


def _facts(found: Explanations) -> tuple[Fact, ...]:
    split = ", ".join(f"{rows:,} predicted {label}" for label, rows in found.predicted.items())
    exact = found.convergence
    return (
        Fact("explained", f"{found.rows:,} of {found.test_rows:,} test rows: {split}"),
        Fact("method", f"integrated gradients, {found.steps} steps, baseline {found.baseline}"),
        Fact(
            "convergence",
            f"off by {exact.median:.3f} in the median and {exact.largest:.3f} at most, where "
            f"{exact.explained:.2f} is explained (log-odds)",
        ),
        Fact("cut by the model", f"{found.rows_cut:,} of these rows"),
        cross_check_fact(found),
    )


def _columns(found: Explanations) -> Table:
    labels = tuple(found.predicted)
    heads = [Cell("column"), Cell("share", number=True)]
    heads += [Cell(f"where predicted {label}", number=True) for label in labels]
    heads += [Cell("effect (log-odds)", number=True), Cell("rows cut", number=True)]
    rows = []
    for item in found.columns:
        shares = (item.share, *(item.by_predicted[label] for label in labels))
        cells = [estimate_cell(share, "no such row") for share in shares]
        effect = Cell(f"{item.mean_absolute:.3f}", number=True)
        rows.append(Row((Cell(item.name), *cells, effect, Cell(f"{item.rows_cut:,}", number=True))))
    return Table("Importance of the columns", tuple(heads), tuple(rows), note=_MEANING)


def _words(evidence: Evidence, labels: Sequence[str]) -> Iterator[Table]:
    found = evidence.read("Explain", "texts", WORDS_FILE, read_words)
    heads = (Cell("word"), Cell("column"), Cell("rows", number=True), Cell("effect", number=True))
    for at, label in reversed(list(enumerate(labels))):
        title = f"Words that speak for {label}"
        if isinstance(found, Missing):
            yield Table(title, absent=found.why)
            continue
        words = found.towards_positive if at else found.towards_negative
        if not words:
            yield Table(title, absent=f"No word of {FEWEST_ROWS} rows or more does.")
            continue
        note = f"Mean effect on the log-odds; words of fewer than {FEWEST_ROWS} rows are left out."
        yield Table(title, heads, tuple(map(_word, words)), note=note, folded=True)


def _word(item: Word) -> Row:
    return Row((Cell(item.word), Cell(item.column), Cell(f"{item.rows:,}", number=True),
                Cell(f"{item.attribution:+.3f}", number=True)))  # fmt: skip


def _deletion(found: Explanations) -> Figure:
    title, test = "Deletion test", found.deletion
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
    found = evidence.read("Explain", "texts", ERRORS_FILE, read_errors)
    if isinstance(found, Missing):
        return (Passage(title, note=found.why),)
    if not found:
        return (Passage(title, note="The model makes no error on the test split."),)
    legend = (
        f"Rows that the model is sure of and wrong about. Underlined words speak for {labels[1]}, "
        f"dotted ones for {labels[0]}; those that count most are bold. This part of the page holds "
        "what stands in rows of the test split: handle it as you handle the data."
    )
    return (Passage(title, note=legend), *map(_passage, found))


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
    """Yields a feature's words, and what stands between them."""
    end = 0
    for item in feature.attributions:
        described, value = item.description, item.attribution[0]
        size = abs(value) / strongest if strongest else 0.0
        yield Part(text[end : described.start_idx], column=feature.feature_name)
        yield Part(
            text=described.partial_text,
            column=feature.feature_name,
            side="positive" if value > 0 else "negative",
            level=sum(size >= bound for bound in _LEVELS),
            effect=f"{value:+.2f}",
        )
        end = described.start_idx + len(described.partial_text)
    yield Part(text[end:], column=feature.feature_name)
