"""A label that is a number, from its captured answers to the monitor's page."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats

from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import Floats
from sashiko.evaluation.reference import NumberCounts, Reference
from sashiko.evaluation.reference_columns import cells_of, count_reference
from sashiko_packs.monitoring.audited import (
    AuditedMeasure,
    LabelSummary,
    Quality,
    count_held_out,
    measure_quality,
    measures_of,
)
from sashiko_packs.monitoring.capture.reading import read_captures
from sashiko_packs.monitoring.checks import MonitorCheck, describe_alarm
from sashiko_packs.monitoring.deletion import delete_rows
from sashiko_packs.monitoring.e_detector import add_window, start_test
from sashiko_packs.monitoring.result import AuditedGroup, Drift
from sashiko_packs.monitoring.settings import MonitorSection
from sashiko_packs.monitoring.steps import join_labels
from tests.packs.monitoring.captures import COLUMNS, DAY, answer, record, request, write
from tests.packs.monitoring.label_stores import DAY as ONE_DAY
from tests.packs.monitoring.label_stores import Stores, week
from tests.packs.monitoring.report.test_monitor import page_of
from tests.packs.monitoring.report.windows import windows
from tests.packs.monitoring.steps.window_job import MonitorJob, make_reference
from tests.packs.monitoring.test_classes import INPUTS, outcomes_of
from tests.unit.contract.documents import contract_of, number

LABELS = ("at most 4", "above 4")
HALF = 200.0  # of the interval
CAP = 2 * HALF


def reference_of(values: Floats, predicted: Floats) -> Reference:
    """Describes held-out rows as Evaluate does; predicted prices are around 300."""
    errors, positive, column = np.abs(values - predicted), values > 4, pa.chunked_array([predicted])
    scores, right = count_reference("score", column), positive == (predicted > 4)
    cells = np.bincount(cells_of(scores, column)[right], minlength=len(scores.counts))
    return make_reference(
        rows=len(values), positives=int(positive.sum()), labels=LABELS, threshold=4.0,
        true_positives=int((right & positive).sum()), right=tuple(cells.tolist()), scores=scores,
        number=NumberCounts(
            half_width=HALF, covered=int((errors <= HALF).sum()), error_cap=CAP,
            capped_error=float(np.minimum(errors / CAP, 1).sum()),
            metrics={"rmse": 121.0, "mae": 97.0, "median_absolute_error": 82.0, "r2": 0.5},
        ),
    )  # fmt: skip


def draw(rows: int, *, seed: int = 0) -> tuple[Floats, Floats]:
    """Draws observed and predicted prices, whose errors have a standard deviation of 121."""
    generator = np.random.default_rng(seed)
    predicted = generator.normal(300, 250, rows)
    return predicted + generator.normal(0, HALF / 1.645, rows), predicted


QUIET = reference_of(*draw(3000, seed=9))


def outputs(*answers: Any) -> list[Any]:
    body = request([{"product": "Card", "complaint_text": "text"}])
    texts = (item if isinstance(item, str) else json.dumps([item]) for item in answers)
    return [record(str(place), body, text) for place, text in enumerate(texts)]


def test_answers_are_read_with_value_and_outcome_and_those_of_classes_without_value(tmp_path):
    """The bound itself is not above it; a contract may have had classes before a deploy."""
    write(tmp_path, outputs(
        {"value": 4.0, "interval": [-196, 204]}, {"value": 4.25, "interval": [-195.75, 204.25]},
        answer([0.75]), {"value": -1.5e3, "interval": [-1700, -1300]},
    ))  # fmt: skip
    out = tmp_path / "rows.parquet"
    options: dict[str, Any] = {"window": DAY, "now": DAY.end, "columns": COLUMNS, "has_texts": True}
    summary = read_captures(tmp_path, out, above=4.0, **options)
    rows = [(row["decision"], row["score"]) for row in pq.read_table(out).to_pylist()]
    assert rows == [(LABELS[0], 4.0), (LABELS[1], 4.25), ("yes", None), (LABELS[0], -1500.0)]
    assert summary.count("unreadable") == 0
    assert read_captures(tmp_path, out, **options).count("unreadable") == 3


def test_answers_that_cannot_be_a_number_with_its_interval_are_a_problem(tmp_path) -> None:
    bad = (
        {"value": 4.0}, {"value": 4.0, "interval": [1]}, {"value": 4.0, "interval": [5, 6]},
        {"interval": [1, 5]}, {"value": "much", "interval": [1, 5]}, '[{"value": NaN}]',
        '[{"value": 1e999, "interval": [1, 1e999]}]', {"value": None, "interval": [1, 5]},
    )  # fmt: skip
    write(tmp_path, outputs(*bad, {"value": 4.0, "interval": [4.0, 4.0]}))
    summary = read_captures(
        tmp_path, tmp_path / "rows.parquet", window=DAY, now=DAY.end, columns=COLUMNS,
        has_texts=True, above=4.0,
    )  # fmt: skip
    assert (summary.rows, summary.count("unreadable")) == (1, len(bad))


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MonitorJob:
    return MonitorJob(tmp_path, monkeypatch)


def _drift(job: MonitorJob, predicted: Floats) -> tuple[Drift, dict[str, MonitorCheck]]:
    rows = [
        {"input": INPUTS[place % 5], "score": value, "decision": LABELS[int(value > 4)]}
        for place, value in enumerate(predicted.tolist())
    ]
    measured = job.measure_drift(rows, COLUMNS, QUIET)
    return measured, outcomes_of(measured)


def test_a_window_like_the_reference_shows_no_drift_of_values_nor_of_the_outcomes_share(job):
    predicted = draw(1500)[1]
    measured, checks = _drift(job, predicted)
    for name in ("the predicted values", "the predicted outcomes", "product"):
        assert checks[f"drift of {name}"].outcome == "ok"
    counts = QUIET.confusion
    before = counts.true_positives + counts.false_positives
    above = int((predicted > 4).sum())
    table = [[3000 - before, before], [1500 - above, above]]
    (item,) = (m for m in measured.measurements if m.name == "drift of the predicted outcomes")
    assert item.p_unchanged == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue)
    outcome, value = measured.distributions[-2:]
    assert (outcome.name, outcome.window) == ("predicted outcome", (1500 - above, above, 0, 0))
    assert value.name == "predicted value"
    assert value.window[-2:] == (0, 0)  # all in bins of the label's unit


def test_values_that_spread_out_are_a_drift_and_a_shift_moves_the_outcomes_too(job) -> None:
    predicted = draw(1500)[1]
    spread = np.where(predicted > 4, 300 + 1.8 * (predicted - 300), predicted)
    _, checks = _drift(job, np.where(spread > 4, spread, np.abs(predicted)))
    assert checks["drift of the predicted values"].outcome == "alarm"
    _, checks = _drift(job, predicted - 150)
    assert checks["drift of the predicted values"].outcome == "alarm"
    assert checks["drift of the predicted outcomes"].outcome == "alarm"


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    stores = Stores(tmp_path / "stores", number=QUIET.number)
    stores.use(number(minimum=-5000, exclusiveMaximum=9000))
    return stores


def test_labels_that_are_no_numbers_within_the_limits_are_refused_by_row(stores) -> None:
    for text in ("much", "-5001", "9000", "NaN", "nan", "inf"):
        if text == "NaN":
            stores.use(number())  # without limits
        file = stores.file(f"loan_id,price\na,12.5\nb,\nc,{text}\n")
        with pytest.raises(InputError, match=rf"(?s)labels.csv: column `price`, row 3: '{text}'"):
            stores.add(file, now=week(0).end)
    added = stores.add(
        stores.file("loan_id,price\na,12.50\na,12.5\nb,\nc,-5000\n"), now=week(0).end
    )
    assert (added.added, added.unlabelled) == (2, 1)  # 12.50 and 12.5 are one label
    corrected = stores.add(
        stores.file("loan_id,price\na,13\n"), now=week(0).end, corrected_by="Ana"
    )
    assert corrected.corrected == 1


def _judged(summary: LabelSummary) -> dict[str, MonitorCheck]:
    return {check.effect: check for check in _quality(summary).checks}


def _quality(summary: LabelSummary) -> Quality:
    return measure_quality(
        summary, held_out=count_held_out(QUIET), settings=MonitorSection(), classes=LABELS,
        number=QUIET.number,
    )  # fmt: skip


def _joined(
    stores: Stores, *, factor: float = 1.0, weeks: int = 1, labelled: int = 200
) -> LabelSummary:
    """Joins weeks of 200 drawn rows whose errors are so many times those of the test split."""
    for at in range(weeks):
        values, predicted = draw(200, seed=at)
        values = predicted + factor * (values - predicted)
        keys = np.array([f"w{at}-{row:03d}" for row in range(200)])
        for place, name in enumerate(LABELS):
            chosen = (predicted > 4) == place
            stores.answer(keys[chosen], decision=name, number=at, scores=predicted[chosen].tolist())
        stores.draw(at, rows=200)
        lines = [f"{key},{value!r}\n" for key, value in zip(keys, values.tolist(), strict=True)]
        text = "".join(["loan_id,price\n", *lines[:labelled]])
        stores.add(stores.file(text), now=week(at).end)
    return stores.join(weeks - 1, now=week(weeks - 1).end + 30 * ONE_DAY)


def test_errors_of_audited_rows_are_counted_by_period(stores) -> None:
    summary = _joined(stores)
    values, predicted = draw(200)
    (period,) = summary.periods
    assert period.right == int(((values > 4) == (predicted > 4)).sum())
    errors = np.abs(values - predicted)
    assert period.number.covered == int((errors <= HALF).sum())
    assert period.number.capped == pytest.approx(np.minimum(errors, CAP).sum() / CAP)
    rows = pq.read_table(stores.root / "audited.parquet")  # for the bias evaluator
    assert rows["covered"].to_pylist().count(True) == period.number.covered
    assert sorted(rows["predicted"].to_pylist()) == sorted(predicted)


def test_larger_errors_are_an_alarm_of_error_and_coverage(stores) -> None:
    checks = _judged(_joined(stores, factor=1.6, weeks=4))
    error, coverage = checks["capped mean absolute error"], checks["interval coverage"]
    assert (error.outcome, coverage.outcome) == ("alarm", "alarm")
    share = QUIET.number.capped_error / QUIET.rows
    assert error.tolerance == pytest.approx(CAP * (share + 0.02))
    assert error.low < error.value < error.high
    assert "tolerated: at most 10" in describe_alarm(error)
    assert "above 10" in error.reason
    assert sum(one.budget for one in measures_of(LABELS, QUIET.number).values()) == 1.0


def test_quiet_weeks_are_ok(stores) -> None:
    checks = _judged(_joined(stores, weeks=4))
    assert {check.outcome for check in checks.values()} == {"ok"}


@pytest.mark.parametrize("factor", [1.0, 1.6])
def test_missing_labels_neither_pass_nor_raise_an_alarm(stores, factor) -> None:
    summary = _joined(stores, factor=factor, weeks=4, labelled=120)
    check = _judged(summary)["capped mean absolute error"]
    assert check.outcome == "not judged"
    assert "could hide a rise above 10" in check.reason


def test_a_bet_on_shares_of_an_error_gains_nothing_at_the_tolerated_mean() -> None:
    """So a year's false alarms are those of a yes or no of the same mean, or fewer."""
    generator = np.random.default_rng(3)
    heavy = np.minimum(np.abs(generator.standard_t(2, 1500)) / 6, 1)
    for shares in (generator.beta(1, 3, 1500), heavy, (heavy > 0.4).astype(float)):
        test = start_test(tolerated=1 - shares.mean())
        before = np.exp(test.log_stakes)
        gains = [
            np.exp(add_window(test, right=1 - one, wrong=one, days=1e-12).log_stakes) / before
            for one in shares.tolist()
        ]
        assert (np.mean(gains, axis=0) < 1 + 1e-6).all()


def test_a_deleted_key_takes_nothing_from_the_verdict_and_leaves_no_number(stores) -> None:
    before = _joined(stores, factor=1.6)
    folders = {name: stores.folder(name) for name in ("ledger", "labels", "draws")}
    deleted = delete_rows(
        ["w0-007"], **folders, now=week(1).end, retention=ONE_DAY, above=stores.contract.label.above
    )
    assert (deleted.answers, deleted.labels, deleted.draws) == (1, 1, 1)
    after = stores.join(0, now=week(0).end + 30 * ONE_DAY)
    assert after.periods == before.periods
    kept = pq.read_table(next(stores.folder("draws").glob("*v7.parquet"))).to_pylist()
    (nameless,) = (row for row in kept if row["key"] is None)
    values, predicted = draw(200)
    assert nameless["label"] in LABELS
    assert nameless["error"] == pytest.approx(1.6 * abs(values[7] - predicted[7]))


def test_another_bound_is_refused(tmp_path) -> None:
    contract = contract_of(number(), tmp_path)
    join_labels.check_labels(contract, QUIET)
    with pytest.raises(InputError, match="those of the version are `at most 4` and `above 4`"):
        join_labels.check_labels(contract_of(number(above=5.0), tmp_path), QUIET)


def test_the_table_of_captured_rows_has_the_columns_of_classes(tmp_path) -> None:
    """A table that was deployed before stays readable."""
    from sashiko_packs.monitoring.constructs.access import captured_table

    columns = {one.name: one for one in captured_table(contract_of(number(), tmp_path)).columns}
    assert columns["score"].comment == "The predicted value of `price`."
    assert columns["decision"].comment == "`at most 4` or `above 4`."
    assert "scores" not in columns


def test_the_page_shows_errors_and_says_what_is_tested(stores, job) -> None:
    quality = _quality(_joined(stores, factor=1.6, weeks=4))
    measured, checks = _drift(job, draw(1000)[1] - 150)
    page = page_of(windows(
        1, quality=quality, distributions=measured.distributions,
        checks=(*checks.values(), *quality.checks),
        audited_groups=(AuditedGroup(facet="age", group="old", measures=(
            AuditedMeasure(name="mean_error", rows=90, value=-140.5, low=-150.2, high=-130.8,
                           reference=3.5),
        )),),
    ))  # fmt: skip
    (error,) = (item for item in quality.measures if item.name == "capped mean absolute error")
    tile = re.search(r"Mean absolute error(.*?)Interval coverage", page.html, re.DOTALL)
    assert f"{error.value:.4g}" in tile[1]
    assert " on the test split; 800 labelled rows; each error counts as 400 at most" in tile[1]
    assert "Mean Signed Error of the Group 3.5 -140.5 [-150.2, -130.8] 90" in page.text("data")
    assert "predicted value" in page.text("window")
    assert "of a number are of its outcome" in page.html
