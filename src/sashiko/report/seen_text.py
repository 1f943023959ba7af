"""The lead over the linear baseline on text whose words train has, and on other text."""

from sashiko.evaluation import Estimates, Evaluation, SeenTextFigures
from sashiko.report import words
from sashiko.report.views import Cell, Row, Table

_NOTE = (
    "Seen: each word and each pair of adjacent words of the text, as the linear baseline counts "
    "them, occurs in a train text. A linear model learns nothing of what it has not seen; a "
    "pre-trained one may understand it. How much of what a model will meet is unseen depends on "
    "the data, and these rows say it of the test split alone."
)


def seen_text_tables(found: Evaluation) -> tuple[Table, ...]:
    """Shows model and linear baseline on seen and unseen text; nothing of a run without it."""
    if not found.seen_text:
        return ()
    numbers = ("rows", "positive", "AUC of this model", "AUC of linear", "this model minus linear")
    return (
        Table(
            title="Seen and unseen text, on the test split",
            columns=(Cell("text"), *(Cell(number, number=True) for number in numbers)),
            rows=tuple(_row(item) for item in found.seen_text),
            note=_NOTE,
        ),
    )


def _row(item: SeenTextFigures) -> Row:
    share = words.percent(item.positives / item.rows) if item.rows else "none"
    return Row(
        cells=(
            Cell("seen: all words in train" if item.seen else "unseen: some words are new"),
            Cell(f"{item.rows:,}", number=True),
            Cell(share, number=True),
            *(_auc(estimates) for estimates in (item.candidate, item.linear, item.lead)),
        )
    )


def _auc(estimates: Estimates) -> Cell:
    auc = estimates.get("auc")
    if auc is None or auc.value is None:
        return Cell("too few to judge", number=True)
    return words.estimate_cell(auc.value, auc.low, auc.high)
