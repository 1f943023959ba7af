from itertools import cycle, islice
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from sashiko.base.files import sha256_tree
from sashiko.base.parquet import write_table
from sashiko.errors import InputError
from sashiko_packs.monitoring.checks import judge_measurements
from sashiko_packs.monitoring.result import Drift
from sashiko_packs.monitoring.settings import MonitorSection
from sashiko_packs.monitoring.steps import drift
from tests.packs.monitoring.steps.monitor_job import PRODUCT, MonitorJob

COLUMNS = ("product", "complaint_text")
NAMES = (
    "drift of product",
    "drift of complaint_text",
    "drift of the scores",
    "drift of the texts",
    "texts of damaged letters or unknown words",
)
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
    assert capsys.readouterr().err == "400 rows: 4 of 5 measurements have enough rows\n"


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
    assert measured.scores == (90, 5, 0, 25, 0, 0)
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


def test_rows_of_a_request_that_are_alike_count_once(job) -> None:
    """In each request all rows have one product, one score and one text."""
    rows = [row for row in _rows(150) for _ in range(20)]
    measured = _run(job, _in_requests(rows, 20))
    product, _, scores, texts, _ = measured.measurements
    assert product.rows == pytest.approx(150, rel=0.05)
    assert scores.rows == pytest.approx(150, rel=0.05)
    assert texts.rows == 150
    assert _outcomes(measured) == _others("ok")


def test_a_few_large_requests_are_not_judged(job) -> None:
    measured = _run(job, _in_requests(_rows(400, products=("Loan",)), 100))
    assert set(_outcomes(measured).values()) == {"not judged"}
    product = measured.measurements[0]
    assert product.reason == (
        "nearly all rows are of fewer than 5 clients or requests, which cannot tell how much those "
        "differ"
    )


def test_a_bulk_request_leaves_the_other_rows_judged(job) -> None:
    """300 rows of one request, all alike, beside 300 requests of a row."""
    bulk = {"event_id": "bulk", "cluster": 300, "dominates": True}
    rows = [*_rows(300), *[row | bulk for row in _rows(1, products=("Loan",)) * 300]]
    measured = _run(job, rows)
    assert _outcomes(measured) == _others("ok")
    assert {item.rows for item in measured.measurements if item.is_judged} == {300}
    check = judge_measurements(measured.measurements, false_alarms=0.01)[0]
    assert check.reason == "no change is shown; without 300 rows of clusters that dominate"


def test_equal_rows_give_equal_bytes_and_no_text_is_in_them(job, capsys) -> None:
    rows = [*_rows(300), *_plain(_rows(100, products=("Boat",)))]
    rows[0] |= {"event_id": "event", "key": "customer"}
    _run(job, rows)
    first = sha256_tree(job.output("drift"))
    _run(job, rows)
    assert sha256_tree(job.output("drift")) == first
    written = (job.output("drift") / "drift.json").read_text() + capsys.readouterr().err
    assert not any(word in written for word in ("Boat", "branch", "clerk", "event", "customer"))


def test_the_test_split_of_another_run_is_refused(job) -> None:
    with pytest.raises(InputError) as caught:
        _run(job, _rows(10), test_sha256="f" * 64)
    assert sha256_tree(job.input("test")) in str(caught.value)
    assert "f" * 64 in str(caught.value)
    assert not (job.output("drift") / "drift.json").exists()


def test_rows_of_another_reference_are_refused(job) -> None:
    columns = "columns product, complaint_text, the reference product:"
    with pytest.raises(InputError, match=columns):
        _run(job, _rows(10), columns=(PRODUCT,))
