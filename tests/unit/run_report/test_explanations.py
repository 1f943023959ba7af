"""The report's section on explanations, as a reader gets it."""

from pathlib import Path

import pytest

from sashiko.explain.explanation_record import (
    ERRORS_FILE,
    SWAPS_FILE,
    write_explanations,
    write_lines,
)
from tests.unit.contract.documents import number
from tests.unit.explain.records import UNDEFINED, explanations, swap, swapped_text
from tests.unit.run_report import runs
from tests.unit.run_report.folders import RunFolder
from tests.unit.run_report.page import Page, page_of, pictures


def run_with(root: Path, explained=None, errors=None, swaps=(), *, contract=None) -> Path:
    """A blocked run with these explanations: a reader wants them most where a gate closed."""
    run = runs.started(root, contract=contract)
    runs.prepared(run)
    runs.judged(run, impact=0.43)
    if explained is not None:
        write_explanations(explained, run.output("Explain", "explanations"))
    if errors is not None:
        write_lines(errors, run.output("Explain", "texts") / ERRORS_FILE)
    if swaps:
        write_lines(swaps, run.output("Explain", "texts") / SWAPS_FILE)
    return finish(run)


def finish(run: RunFolder) -> Path:
    run.step("ModelGate", "blocked", reason="bias")
    return run.write("blocked", reason="bias")


def marks(page: Page) -> list[tuple[str, str]]:
    """Class and title of the marked words."""
    return [(attrs["class"] or "", attrs["title"] or "") for tag, attrs in page.tags
            if tag == "span" and "word" in (attrs.get("class") or "").split()]  # fmt: skip


def test_columns_and_the_deletion_test_are_shown(tmp_path):
    page = page_of(run_with(tmp_path))
    text = page.text("explanations")
    assert "title moves the score most." in text
    assert "40 of 400 test rows, drawn alike from each label and decision: 0 predicted no" in text
    columns, deletion = pictures(page, "explanations")
    assert columns == (
        "Share of the effect by column: title 0.90, interval 0.85 to 0.95; "
        "(template) 0.10, interval 0.05 to 0.15."
    )
    assert "10% removed: 0.30, interval 0.25 to 0.35 for top tokens, 0.06" in deletion


def test_an_error_is_a_readable_text_with_the_words_that_count_marked(tmp_path):
    page = page_of(run_with(tmp_path), with_rows=True)
    text = page.text("explanations")
    assert "Row L7: predicted yes, is no P(positive) 0.97. The model does not read the" in text
    assert ">The <span" in page.html
    assert "book</span> is  here.</p>" in page.html
    assert "handle it as you handle the data" in text
    assert marks(page) == [
        ("word positive level2", "title +1.00"), ("word negative level1", "title -0.30")
    ]  # fmt: skip


def test_a_number_is_explained_as_a_value_and_its_words_speak_for_the_right_outcome(tmp_path):
    record = explanations(
        is_number=True, method="coefficients", rows=512, swaps=(swap(),),
        predicted={"at most 4": 30, "above 4": 482},
    )  # fmt: skip
    folder = run_with(tmp_path, record, swaps=(swapped_text(),), contract=number(above=4))
    page = page_of(folder, with_rows=True)
    text = page.text("explanations")
    assert "Underlined words speak for above 4, dotted ones for at most 4" in text
    assert "Rows whose number is predicted worst, too high or too low." in text
    assert "Row L9: the predicted value 0.300, swapped 0.710." in text
    assert "changes of the predicted value, with 95 % intervals" in text
    assert not {word for word in ("P(positive)", "probability", "(log-odds)") if word in page.html}


def test_swapped_words_are_shown_with_the_rows_that_moved_most(tmp_path):
    record = explanations(swaps=(swap(),))
    page = page_of(run_with(tmp_path, record, swaps=(swapped_text(),)), with_rows=True)
    text = page.text("explanations")
    assert (
        "age group: old, older 120 of 400 100 0.200 [0.150, 0.250] 0.250 [0.200, 0.300] 0.410 "
        "0.100 [0.050, 0.150]"
    ) in text
    assert "Row L9: P(positive) 0.300, swapped 0.710." in text
    assert "The grandson → grandfather is late." in text
    assert ("word positive level2", "age +0.410") in marks(page)


def test_what_cannot_be_swapped_is_shown_as_not_judged(tmp_path):
    none = swap(rows=0, with_words=0, one_sided=0, largest=None, lead=UNDEFINED, size=UNDEFINED,
                flips=UNDEFINED)  # fmt: skip
    folder = run_with(tmp_path / "one", explanations(swaps=(none,)))
    text = page_of(folder, with_rows=True).text("explanations")
    assert "0 of 400 0 not judged not judged not judged not judged" in text
    assert "Moved furthest by swapped words" not in text
    text = page_of(run_with(tmp_path / "two")).text("explanations")
    assert "Not judged: the contract's facets name no words (key words)." in text


@pytest.mark.parametrize(("errors", "sentence"), [((), "The model makes no error"), (None, "L7")])
def test_a_model_without_errors_is_shown_to_have_none(tmp_path, errors, sentence):
    page = page_of(run_with(tmp_path, errors=errors), with_rows=True)
    assert sentence in page.text("explanations")
