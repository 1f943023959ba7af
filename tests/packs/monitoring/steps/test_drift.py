import math
from itertools import cycle, islice, pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sashiko.base.files import sha256_tree
from sashiko.base.parquet import write_table
from sashiko.errors import InputError
from sashiko.evaluation.reference import ColumnCounts
from sashiko_packs.monitoring.checks import judge_measurements
from sashiko_packs.monitoring.clusters import ClusteredCounts
from sashiko_packs.monitoring.result import Drift
from sashiko_packs.monitoring.settings import MonitorSection
from sashiko_packs.monitoring.steps import drift
from sashiko_packs.monitoring.steps.drift import cell_names, measure_drift
from tests.packs.monitoring.steps.window_job import PRODUCT, MonitorJob


def _ordered(kind: str, *edges: float) -> ColumnCounts:
    return ColumnCounts(column="c", kind=kind, edges=edges, counts=(0,) * (len(edges) + 3))


@pytest.mark.parametrize(
    ("counts", "names"),
    [
        (_ordered("number", 12, 20.5), ("up to 12", "12 to 20.5", "above 20.5")),
        (_ordered("number", -1, 0, 1234567), ("up to -1", "-1 to 0", "0 to 1,234,567",
                                              "above 1,234,567")),
        (_ordered("number", 0.123456, 0.5), ("up to 0.123", "0.123 to 0.5", "above 0.5")),
        (_ordered("number", 0.99991, 0.99993), ("up to 0.99991", "0.99991 to 0.99993",
                                                "above 0.99993")),
        (_ordered("number", 12345.6, 2e300), ("up to 12300", "12300 to 2" + "0" * 300,
                                              "above 2" + "0" * 300)),
        (_ordered("text", 12, 20), ("up to 12 letters", "12 to 20 letters", "above 20 letters")),
        (_ordered("text"), ("all letters",)),
        (_ordered("number"), ("all",)),
    ],
    ids=["mixed", "whole", "digits", "close", "large", "text", "one text bin", "one bin"],
)  # fmt: skip
def test_ranges_are_read_by_people(counts, names) -> None:
    assert cell_names(counts) == (*names, "other", "none")


def test_a_value_that_is_called_other_or_none_is_distinguished_from_the_rest() -> None:
    values = ("none", "other")
    counts = ColumnCounts(column="c", kind="category", values=values, counts=(0,) * 4)
    assert cell_names(counts) == ("none", "other", "all other values", "no value")


EQUAL = np.full(6, 1 / 6)
REFERENCE = np.full(6, 600)


def _measure(reference, window, *, ordered=False, tolerance=0.1, **clustering):
    return measure_drift(
        "drift of product", np.array(reference), ClusteredCounts(np.array(window), **clustering),
        ordered=ordered, tolerance=tolerance,
    )  # fmt: skip


def _shifted(w: float) -> np.ndarray:
    """Returns shares of six values, moved from equal ones to the last by Cohen's w."""
    moved = w / math.sqrt(7.2)
    return EQUAL + np.array([-moved / 5] * 5 + [moved])


def test_p_value_and_effect_are_pearsons_and_cohens() -> None:
    window = [90, 80, 70, 85, 75, 100]
    expected = stats.chi2_contingency([REFERENCE, window], correction=False).pvalue
    assert _measure(REFERENCE, window).p_unchanged == pytest.approx(expected)

    for rows in (10**4, 10**6):
        measured = _measure(EQUAL * 10**9, np.rint(_shifted(0.25) * rows))
        assert measured.value == pytest.approx(0.25, abs=0.02)
    assert _measure(REFERENCE, REFERENCE).value == 0
    values = [item.value for item in _draws(_shifted(0.25), rows=200)]
    assert 0.2 < np.mean(values) < 0.26


def _draws(shares, *, rows: int, windows: int = 400, reference_rows: int = 3500):
    generator = np.random.default_rng(1)
    for _ in range(windows):
        yield _measure(
            generator.multinomial(reference_rows, EQUAL), generator.multinomial(rows, shares)
        )


@pytest.mark.parametrize("rows", [200, 2000])
def test_p_values_of_quiet_windows_are_even(rows: int) -> None:
    p_values = [item.p_unchanged for item in _draws(EQUAL, rows=rows)]
    assert np.mean(np.array(p_values) < 0.05) == pytest.approx(0.05, abs=0.03)


@pytest.mark.parametrize(("rows", "reference"), [(500, 3500), (20_000, 3500), (20_000, 200)])
def test_a_change_at_the_tolerance_is_taken_for_a_larger_one_in_a_twentieth_at_most(
    rows: int, reference: int
) -> None:
    drawn = _draws(_shifted(0.1), rows=rows, reference_rows=reference)
    p_values = [item.p_tolerated for item in drawn]
    assert np.mean(np.array(p_values) < 0.05) < 0.08


def test_a_moderate_change_is_detected_in_500_rows() -> None:
    for item in _draws(_shifted(0.35), rows=500, windows=50):
        assert item.p_unchanged < 0.001
        assert item.p_tolerated < 0.05


def test_new_values_are_a_change_and_rare_ones_or_one_value_are_none() -> None:
    measured = _measure([500, 500, 0, 0], [200, 200, 50, 50])
    assert measured.p_unchanged < 1e-6
    assert measured.value > 0.3
    reference = [2000, 1500, *[1] * 40]
    assert _measure(reference, [280, 214, *[1] * 6, *[0] * 34]).p_unchanged > 0.01
    assert "one value" in _measure([1000, 0, 0], [500, 0, 0]).reason


# A part ends where its share of all rows is reached: 41 and 39 rows in a cell of a half, if the
# window has 500 rows, 47 and 43 if it has 1,000.
@pytest.mark.parametrize(
    ("rows", "ends"), [(500, [0, 33, 67, 100]), (1000, [0, 20, 40, 60, 81, 100])]
)
def test_scores_are_compared_in_parts_of_equal_mass_in_few_of_few_rows(rows, ends) -> None:
    reference, window = np.full(100, 35), np.full(100, rows // 100)
    window[:50] += rows // 500
    window[50:] -= rows // 500
    merged = [[counts[low:high].sum() for low, high in pairwise(ends)]
              for counts in (reference, window)]  # fmt: skip
    expected = stats.chi2_contingency(merged, correction=False).pvalue
    assert _measure(reference, window, ordered=True).p_unchanged == pytest.approx(expected)


counts = st.lists(st.integers(0, 400), min_size=2, max_size=12)


@settings(deadline=None)
@given(st.data(), counts, st.booleans())
def test_any_counts_give_probabilities_or_a_reason(data, reference, ordered) -> None:
    window = data.draw(
        st.lists(st.integers(0, 400), min_size=len(reference), max_size=len(reference))
    )
    measured = _measure(reference, window, ordered=ordered)
    if measured.p_unchanged is None:
        assert measured.reason or measured.rows < measured.rows_needed
    else:
        assert 0 <= measured.p_unchanged <= 1
        assert measured.p_unchanged <= measured.p_tolerated + 1e-12 <= 1 + 1e-9


def test_clustered_rows_and_few_clusters_make_a_change_less_certain() -> None:
    window = np.array([105, 95, 65, 95, 70, 70])
    assert _measure(REFERENCE, window).p_unchanged < 0.02
    clustered = _measure(REFERENCE, window, design_effect=4.0, freedom=100)
    assert clustered.p_unchanged > 0.3
    assert clustered.rows == 125

    window = np.rint(_shifted(0.4) * 500)
    many = _measure(REFERENCE, window, design_effect=2.0, freedom=1000)
    few = _measure(REFERENCE, window, design_effect=2.0, freedom=5)
    assert 50 * many.p_unchanged < few.p_unchanged
    assert 10 * many.p_tolerated < few.p_tolerated


def test_a_large_change_against_a_small_reference_is_shown_whatever_the_rows_of_the_window():
    """The smaller side decides what is certain."""
    for rows in (2000, 100_000):
        measured = _measure(EQUAL * 400, np.rint(_shifted(0.4) * rows))
        assert measured.p_tolerated < 0.001


COLUMNS = ("product", "complaint_text")
NAMES = (
    "drift of product", "drift of complaint_text", "drift of the scores", "drift of the texts",
    "texts of damaged letters or unknown words",
)  # fmt: skip
PRODUCTS = ("Card", "Card", "Card", "Loan", "Loan")
WORDS = ("branch", "queue", "fee", "form", "letter", "clerk", "office", "delay")


def _text(number: int) -> str:
    """A text of three words; the texts of 512 numbers differ."""
    return " ".join(WORDS[number // 8**place % 8] for place in range(3))


def _rows(number: int, *, products=PRODUCTS, text=_text, scores=None) -> list[dict[str, Any]]:
    """Rows as likely as the reference's by default."""
    drawn = np.random.default_rng(3).choice((0.1, 0.3, 0.6, 0.9), number, p=(0.4, 0.3, 0.2, 0.1))
    return [
        {"input": {"product": product, "complaint_text": text(7 * place)}, "score": score}
        for place, (product, score) in enumerate(
            zip(islice(cycle(products), number), scores or drawn.tolist(), strict=True)
        )
    ]


def _plain(rows) -> list[dict[str, Any]]:
    return [row | {"input": None, "text": "{product}: {complaint_text}".format(**row["input"])}
            for row in rows]  # fmt: skip


def _in_requests(rows, size: int) -> list[dict[str, Any]]:
    return [row | {"event_id": f"r{place // size}"} for place, row in enumerate(rows)]


def _run(job: MonitorJob, rows, **reference: Any) -> Drift:
    texts = [f"{PRODUCTS[n % 5]}: {_text(n)}" for n in range(500)]
    table = pa.table({"key": [f"t{n}" for n in range(500)], "text": texts, "label": [0] * 500})
    write_table(job.input("test") / "data.parquet", table)
    job.put_reference(**({"test_sha256": sha256_tree(job.input("test"))} | reference))
    job.put_section("monitor", {})
    job.put_rows(rows, COLUMNS)
    job.run(drift)
    measured = Drift.read(job.output("drift"))
    assert tuple(item.name for item in measured.measurements) == NAMES
    return measured


def _outcomes(measured: Drift) -> dict[str, str]:
    checks = judge_measurements(measured.measurements, false_alarms=MonitorSection().false_alarms)
    return {check.name.removeprefix("drift of "): check.outcome for check in checks}


def _others(outcome: str, **changed: str) -> dict[str, str]:
    names = (name.removeprefix("drift of ") for name in NAMES)
    return {name: changed.get(name.removeprefix("the "), outcome) for name in names} | {
        "complaint_text": "not judged"  # all texts of the reference are of one bin
    }


def test_a_window_like_the_reference_is_ok(job, capsys) -> None:
    measured = _run(job, _rows(400))
    assert _outcomes(measured) == _others("ok")
    assert capsys.readouterr().err == "4 of 5 measurements have enough rows\n"


def test_other_products_scores_and_texts_are_alarms_of_their_own(job) -> None:
    assert _outcomes(_run(job, _rows(400, scores=[0.9] * 400))) == _others("ok", scores="alarm")
    loans = _outcomes(_run(job, _rows(400, products=("Loan", "Loan", "Loan", "Card"))))
    assert (loans["product"], loans["the scores"]) == ("alarm", "ok")
    new = _outcomes(_run(job, _rows(400, text=lambda n: f"app crashed {_text(n)}")))
    assert new == _others("ok", texts="alarm")


def test_distributions_name_their_cells_and_hide_small_counts(job) -> None:
    rows = [*_rows(400), *_rows(9, products=("Boat",)), *_rows(12, products=(None,))]
    product, text, score = _run(job, rows).distributions
    assert (product.name, text.name, score.name) == ("product", "complaint_text", "score")
    assert product.cells == ("Card", "Loan", "other", "none")
    assert product.reference == (600, 400, 0, 0)
    assert product.window == (240, 160, None, None)
    assert score.cells[:4] == ("up to 0.25", "0.25 to 0.5", "0.5 to 0.75", "above 0.75")


def test_scores_are_counted_by_the_references_cells(job) -> None:
    scores = [0.1] * 60 + [0.25] * 30 + [0.3] * 5 + [0.9] * 25
    measured = _run(job, _rows(120, scores=scores))
    assert measured.distributions[-1].window == (90, None, 0, None, 0, 0)


def test_a_window_of_plain_texts_has_no_columns_to_judge(job) -> None:
    measured = _run(job, _plain(_rows(400)))
    assert _outcomes(measured) == _others("ok", product="not judged")
    product = measured.measurements[0]
    assert (product.rows, product.value) == (0, None)
    assert product.reason == "all 400 rows came as plain texts, which have no columns"
    assert measured.distributions[0].window == (0, 0, 0, 0)


def test_a_client_that_begins_to_send_texts_changes_no_column(job) -> None:
    rows = _rows(600)
    measured = _run(job, [*rows[:200], *_plain(rows[200:])])
    assert _outcomes(measured) == _others("ok")
    assert measured.measurements[0].rows == 200
    assert measured.distributions[0].window == (120, 80, 0, 0)
    few = _run(job, [*rows[:50], *_plain(rows[50:])]).measurements[0]
    assert few.reason == (
        "50 rows, 100 are needed; 550 rows came as plain texts, which have no columns"
    )


def test_rows_of_a_request_count_as_they_are_alike_large_or_of_a_bulk(job) -> None:
    """In each request all rows have one product, one score and one text."""
    rows = [row for row in _rows(150) for _ in range(20)]
    measured = _run(job, _in_requests(rows, 20))
    product, _, scores, texts, _ = measured.measurements
    assert product.rows == pytest.approx(150, rel=0.05)
    assert scores.rows == pytest.approx(150, rel=0.05)
    assert texts.rows == 150
    assert _outcomes(measured) == _others("ok")

    # 300 rows of one request, all alike, beside 300 requests of a row.
    bulk = {"event_id": "bulk", "cluster": 300, "dominates": True}
    rows = [*_rows(300), *[row | bulk for row in _rows(1, products=("Loan",)) * 300]]
    measured = _run(job, rows)
    assert _outcomes(measured) == _others("ok")
    assert {item.rows for item in measured.measurements if item.is_judged} == {300}
    check = judge_measurements(measured.measurements, false_alarms=0.01)[0]
    assert check.reason == "no change is shown; without 300 rows of clusters that dominate"

    measured = _run(job, _in_requests(_rows(400, products=("Loan",)), 100))
    assert set(_outcomes(measured).values()) == {"not judged"}
    product = measured.measurements[0]
    assert product.reason == (
        "nearly all rows are of fewer than 5 clients or requests, which cannot tell how much those "
        "differ"
    )


def test_equal_rows_give_equal_bytes_and_no_text_is_in_them(job, capsys) -> None:
    rows = [*_rows(300), *_plain(_rows(100, products=("Boat",)))]
    rows[0] |= {"event_id": "event", "key": "customer"}
    _run(job, rows)
    first = sha256_tree(job.output("drift"))
    _run(job, rows)
    assert sha256_tree(job.output("drift")) == first
    written = (job.output("drift") / "drift.json").read_text() + capsys.readouterr().err
    assert not any(word in written for word in ("Boat", "branch", "clerk", "event", "customer"))


def test_another_test_split_or_reference_is_refused(job) -> None:
    with pytest.raises(InputError) as caught:
        _run(job, _rows(10), test_sha256="f" * 64)
    assert sha256_tree(job.input("test")) in str(caught.value)
    assert "f" * 64 in str(caught.value)
    assert not (job.output("drift") / "drift.json").exists()
    columns = "columns product, complaint_text, the reference product:"
    with pytest.raises(InputError, match=columns):
        _run(job, _rows(10), columns=(PRODUCT,))
