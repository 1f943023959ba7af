"""A label of more than two classes, from its captured answers to the monitor's page."""

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
from sashiko.evaluation.metrics.arrays import Floats, Ints
from sashiko.evaluation.reference import ClassCounts, Reference
from sashiko.evaluation.reference_columns import cells_of, count_reference
from sashiko_packs.monitoring.audited import Quality, count_held_out, measure_quality, measures_of
from sashiko_packs.monitoring.capture.reading import read_captures
from sashiko_packs.monitoring.capture.record import CaptureSummary
from sashiko_packs.monitoring.checks import MonitorCheck, judge_measurements
from sashiko_packs.monitoring.clusters import ClusteredCounts
from sashiko_packs.monitoring.result import Drift, MonitorBias
from sashiko_packs.monitoring.settings import MonitorSection
from sashiko_packs.monitoring.steps import drift, join_labels, read_capture
from tests.packs.monitoring.captures import COLUMNS, DAY, event, record, request, write
from tests.packs.monitoring.label_stores import DAY as ONE_DAY
from tests.packs.monitoring.label_stores import Stores, keys_of, week
from tests.packs.monitoring.report.test_monitor import page_of, section
from tests.packs.monitoring.report.windows import windows
from tests.packs.monitoring.steps.window_job import MonitorJob, make_job, make_reference
from tests.unit.contract.documents import column_of, contract_of, custom, document

# The last two are favourable.
CLASSES = ("lost", "late", "wasn't late")
WINDOW = ("--start", "20260309T000000Z", "--end", "20260310T000000Z", "--now", "20260310T010000Z",
          "--version", "7")  # fmt: skip


def three_classes() -> dict[str, Any]:
    """The contract of loans with a third class, and two favourable ones."""
    edited = document()
    column_of(edited, "late")["enum"] = [{"value": name} for name in CLASSES]
    label = {"column": "late", "kind": "classes", "favourable": list(CLASSES[1:])}
    custom(edited, "label")["value"] = label
    return edited


def draw(rows: int, *, mix=(2.0, 1.0, 0.5), seed: int = 0) -> Floats:
    """Draws the scores of rows of a model, shape (rows, 3)."""
    scores: Floats = np.random.default_rng(seed).dirichlet(mix, rows)
    return scores


def reference_of(scores: Floats, labels: Ints, *, below: float = 0.0) -> Reference:
    """Describes held-out rows as Evaluate does; rows that are less sure are not answered."""
    decided, top = scores.argmax(axis=1), pa.chunked_array([scores.max(axis=1)])
    given = scores.max(axis=1) >= below
    right, confidence = decided == labels, count_reference("confidence", top)
    cells = np.bincount(cells_of(confidence, top)[right], minlength=len(confidence.counts))
    return make_reference(
        rows=len(labels), true_positives=None, labels=CLASSES, right=tuple(cells.tolist()),
        scores=count_reference("score", pa.chunked_array([scores[:, 1:].sum(axis=1)])),
        classes=tuple(
            ClassCounts(
                rows=int((given & (labels == place)).sum()),
                predicted=int((given & (decided == place)).sum()),
                right=int((given & right & (labels == place)).sum()),
                scores=count_reference("score", pa.chunked_array([scores[:, place].copy()])),
            )
            for place in range(3)
        ),
        confidence=confidence,
    )  # fmt: skip


QUIET = reference_of(draw(3000, seed=9), draw(3000, seed=9).argmax(axis=1))


def answer(**scores: float) -> str:
    """An answer's body, as the handler writes it for more than two classes."""
    return json.dumps([{"label": max(scores, key=lambda name: scores[name]), "scores": scores}])


WHOLE = answer(**{"wasn't late": 0.25, "late": 0.625, "lost": 0.125})  # in any order


def one_row(name: str, output: str) -> Any:
    return record(name, request([{"product": "Card", "complaint_text": name}]), output)


def read(folder: Path) -> tuple[list[tuple[Any, ...]], CaptureSummary]:
    """Reads captures: decision, score and scores of each row."""
    out = folder / "rows.parquet"
    summary = read_captures(
        folder, out, window=DAY, now=DAY.end, columns=COLUMNS, has_texts=True, classes=CLASSES,
        first_favourable=1,
    )  # fmt: skip
    rows = pq.read_table(out).to_pylist()
    return [(row["decision"], row["score"], row["scores"]) for row in rows], summary


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MonitorJob:
    return MonitorJob(tmp_path, monkeypatch)


def test_answers_are_read_by_class_and_those_of_other_classes_without_scores(tmp_path) -> None:
    """A contract that got a class leaves such answers in the window of the deploy."""
    two = json.dumps([{"label": "yes", "score": 0.75}])
    unsure = json.dumps([json.loads(WHOLE)[0] | {"label": None}])
    bodies = (WHOLE, two, answer(lost=0.5, late=0.5), unsure)
    write(tmp_path, [one_row(str(place), body) for place, body in enumerate(bodies)])
    rows, summary = read(tmp_path)
    assert rows == [
        ("late", 0.875, [0.125, 0.625, 0.25]), ("yes", 0.75, None), ("lost", None, None),
        (None, 0.875, [0.125, 0.625, 0.25]),
    ]  # fmt: skip
    assert summary.count("unreadable") == 0


def test_answers_whose_scores_cannot_be_read_are_a_problem(tmp_path) -> None:
    items = (
        {"label": "lost", "scores": {"lost": 1.5}}, {"label": "lost", "scores": {"lost": "much"}},
        {"label": "lost", "scores": {}}, {"label": "lost", "scores": [0.5, 0.5]},
        {"label": None, "score": 0.5}, {"value": 3.0, "interval": [1.0, 5.0]},
    )  # fmt: skip
    bodies = [*(json.dumps([item]) for item in items), WHOLE]
    write(tmp_path, [one_row(str(place), body) for place, body in enumerate(bodies)])
    rows, summary = read(tmp_path)
    assert [decision for decision, *_ in rows] == ["late"]
    assert summary.count("unreadable") == len(items)


def test_rows_of_other_versions_keep_their_scores_and_an_old_reference_is_refused(job) -> None:
    job.put_reference(**QUIET.model_dump())
    write(job.input("capture"), [one_row("a", WHOLE)])
    write(job.input("capture"), [one_row("b", WHOLE)], version=8)
    job.run(read_capture, *WINDOW)
    for file, name in (("rows", "a"), ("other_versions", "b")):
        (row,) = pq.read_table(job.output("rows") / f"{file}.parquet").to_pylist()
        assert (row["event_id"], row["scores"]) == (event(name), [0.125, 0.625, 0.25])


INPUTS = [{"product": name, "complaint_text": "late"} for name in (*["Card"] * 3, "Loan", "Loan")]


def _drift(
    job: MonitorJob, scores: Floats, reference: Reference = QUIET, *, below: float = 0.0
) -> Drift:
    """Measures rows with the products of the reference's, and these scores."""
    rows = [
        {"input": INPUTS[place % 5], "score": sum(one[1:]), "scores": one,
         "decision": CLASSES[int(np.argmax(one))] if max(one) >= below else None}
        for place, one in enumerate(scores.tolist())
    ]  # fmt: skip
    return job.measure_drift(rows, COLUMNS, reference)


def outcomes_of(measured: Drift) -> dict[str, MonitorCheck]:
    checks = judge_measurements(measured.measurements, false_alarms=MonitorSection().false_alarms)
    return {check.name: check for check in checks}


def test_a_window_like_the_reference_shows_no_drift_by_pearsons_test(job) -> None:
    scores = draw(1000)
    measured = _drift(job, scores)
    (classes,) = (m for m in measured.measurements if m.name == "drift of the predicted classes")
    window = np.bincount(scores.argmax(axis=1), minlength=3)
    table = [[one.predicted for one in QUIET.classes], window]
    expected = stats.chi2_contingency(table, correction=False).pvalue
    assert classes.p_unchanged == pytest.approx(expected)
    assert measured.distributions[2].cells == (*CLASSES, "other", "none")
    assert measured.distributions[2].window == (*window.tolist(), 0, 0)
    outcomes = outcomes_of(measured)
    for name in ("the predicted classes", "the scores", "product"):
        assert outcomes[f"drift of {name}"].outcome == "ok"
    assert [item.name for item in measured.distributions[2:]] == [
        "predicted class", *(f"score of {name}" for name in CLASSES),
        "score of the favourable classes",
    ]  # fmt: skip


def test_rows_without_an_answer_are_counted_and_a_change_of_their_share_is_a_drift(job) -> None:
    scores, before = draw(1000), draw(3000, seed=9)
    abstaining = reference_of(before, before.argmax(axis=1), below=0.6)
    assert count_held_out(abstaining)["accuracy"] == (int((before.max(axis=1) >= 0.6).sum()), 0)
    name, seen = "drift of the predicted classes", int((scores.max(axis=1) < 0.6).sum())
    measured = _drift(job, scores, abstaining, below=0.6)
    assert measured.distributions[2].window[-1] == seen
    assert measured.distributions[2].reference[-1] == int((before.max(axis=1) < 0.6).sum())
    assert outcomes_of(measured)[name].outcome == "ok"
    assert outcomes_of(_drift(job, scores, abstaining, below=0.8))[name].outcome == "alarm"


def test_classes_that_change_places_and_surer_scores_are_a_drift(job) -> None:
    """The score of the favourable ones together stays as it was."""
    outcomes = outcomes_of(_drift(job, draw(1000)[:, [0, 2, 1]]))
    assert outcomes["drift of the predicted classes"].outcome == "alarm"
    assert outcomes["drift of the scores"].outcome == "alarm"
    assert outcomes["drift of the scores"].reason.endswith("late moved most")

    scores = draw(2000)
    surer = scores**2 / (scores**2).sum(axis=1, keepdims=True)
    outcomes = outcomes_of(_drift(job, surer))
    assert outcomes["drift of the scores"].outcome == "alarm"
    assert outcomes["drift of the predicted classes"].outcome == "ok"


def test_quiet_scores_of_many_classes_raise_few_alarms() -> None:
    """The smallest of five p-values alone would be below 0.05 in a fifth of the windows."""
    generator, shares, alarms = np.random.default_rng(2), np.full(8, 1 / 8), 0
    for _ in range(300):
        each = {
            str(place): drift.measure_drift(
                "drift", generator.multinomial(3000, shares),
                ClusteredCounts(generator.multinomial(500, shares)), ordered=True, tolerance=0.1,
            )
            for place in range(5)
        }  # fmt: skip
        alarms += drift.measure_scores(each).p_unchanged < 0.05
    assert alarms < 24


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    stores = Stores(tmp_path / "stores")
    stores.use(three_classes())
    return stores


def test_labelled_rows_are_counted_by_class(stores) -> None:
    """A `late` that is decided as `wasn't late` is wrong, though both are favourable."""
    for decision, keys in zip(CLASSES, ("af", "bcd", "eg"), strict=True):
        stores.answer(keys, decision=decision)
    stores.answer("xyz", decision=None)
    assert keys_of(stores.draw(0)) == [*"abcdefg"], "a row without an answer is not audited"
    for label, keys in zip(CLASSES, ("adx", "b", "c"), strict=True):
        stores.label(keys, label, now=week(0).end)
    (period,) = stores.join(0, now=week(0).end + ONE_DAY).periods
    assert [(one.right, one.missed, one.unlabelled) for one in period.classes] == [
        (1, 1, 1), (1, 0, 0), (0, 1, 2),
    ]  # fmt: skip
    assert (period.right, period.wrong, period.unlabelled, period.drawn) == (2, 2, 3, 7)
    accuracy, *recalls = measures_of(CLASSES).values()
    assert [period.count(accuracy, right=right) for right in (True, False)] == [(5, 2), (2, 5)]
    # Of `lost`, one more is right if all others are; if none is, the two rows decided `wasn't late`
    # may be lost ones, and the row decided `lost` is not.
    assert [period.count(recalls[0], right=right) for right in (True, False)] == [(2, 1), (1, 3)]
    audited = pq.read_table(stores.root / "audited.parquet").to_pylist()
    assert [(row["key"], row["label"], row["decision"]) for row in audited] == [
        ("a", False, False), ("b", True, True), ("c", True, True), ("d", False, True),
    ]  # fmt: skip
    positive = pq.read_table(stores.root / "decisions.parquet").to_pylist()
    assert [row["positive"] for row in positive] == [False, True, True, True, True, False, True]


def _audit(stores: Stores, rates: tuple[float, float, float], *, weeks: int) -> Quality:
    """Audits weeks of 200 rows; of each class a share is found, of the test split 0.9."""
    generator = np.random.default_rng(7)
    for at in range(weeks):
        truth = generator.choice(3, 200, p=(0.45, 0.45, 0.1))
        found = generator.random(200) < np.array(rates)[truth]
        decided = np.where(found, truth, (truth + 1) % 3)
        keys = np.array([f"w{at}-{row:03d}" for row in range(200)])
        for place, name in enumerate(CLASSES):
            stores.answer(keys[decided == place], decision=name, number=at)
        stores.draw(at, rows=200)
        for place, name in enumerate(CLASSES):
            stores.label(keys[truth == place], name, now=week(at).end)
    classes = tuple(one.model_copy(update={"rows": 1000, "right": 900}) for one in QUIET.classes)
    reference = QUIET.model_copy(update={"classes": classes, "right": (2700,), "rows": 3000})
    return measure_quality(
        stores.join(weeks - 1, now=week(weeks).end), held_out=count_held_out(reference),
        settings=MonitorSection(), classes=CLASSES,
    )  # fmt: skip


def test_accuracy_and_the_recall_of_each_class_are_judged_by_right_and_wrong(stores) -> None:
    quality = _audit(stores, (0.9, 0.6, 0.9), weeks=4)
    assert [(check.name, check.outcome) for check in quality.checks] == [
        ("accuracy of audited rows", "alarm"),
        ("recall of lost of audited rows", "ok"),
        ("recall of late of audited rows", "alarm"),
        ("recall of wasn't late of audited rows", "ok"),
    ]
    worst = quality.worst_class
    assert (worst.name, worst.reference) == ("recall of late", 0.9)
    assert worst.value == pytest.approx(0.6, abs=0.06)
    assert worst.low < 0.6 < worst.high
    assert quality.since_deploy.value == pytest.approx(0.45 * 0.9 + 0.45 * 0.6 + 0.09, abs=0.05)
    assert sum(measure.budget for measure in measures_of(CLASSES).values()) == pytest.approx(1)


def test_a_class_of_fewer_than_30_audited_rows_is_not_judged_and_not_the_worst(stores) -> None:
    quality = _audit(stores, (0.9, 0.9, 0.2), weeks=1)
    check = quality.checks[3]
    assert check.outcome == "not judged"
    assert check.reason == f"{check.rows} audited rows labelled with the class, 30 are needed"
    assert 10 <= check.rows < 30
    assert quality.worst_class.name in ("recall of lost", "recall of late")
    assert quality.measures[2].value is None


def test_a_contract_with_other_favourable_classes_is_refused(tmp_path) -> None:
    """The classes and their order are the same."""
    contract = three_classes()
    custom(contract, "label")["value"]["favourable"] = [CLASSES[2]]
    with pytest.raises(InputError, match="its favourable classes are `wasn't late`"):
        join_labels.check_labels(contract_of(contract, tmp_path), QUIET)
    join_labels.check_labels(contract_of(three_classes(), tmp_path), QUIET)


def test_bias_is_that_of_the_favourable_classes(tmp_path, monkeypatch) -> None:
    job = make_job(tmp_path, monkeypatch)
    job.contract(three_classes())
    # 60 % of the old are decided favourably, and half of the young.
    lines = [f"{CLASSES[n % 3]},{CLASSES[n % (5 if age == 'old' else 4) % 3]},{age}"
             for age in ("old", "young") for n in range(600)]  # fmt: skip
    job.text("bias-rows", "\n".join(["label,predicted_label,age", *lines, ""]))
    job.groups(old=(480, 1000), young=(800, 1000))
    keys = [f"L{n}" for n in range(2000)]
    job.audited(keys, [n % 2 == 0 for n in range(2000)], [n % 4 < 2 for n in range(2000)])
    job.measure_bias()
    bias = MonitorBias.read(job.output("bias"))
    (disparity,) = bias.disparities
    assert disparity.reference == pytest.approx(0.6 / 0.5)
    assert disparity.window == pytest.approx(0.6)
    assert bias.measurements[1].p_unchanged < 0.001  # of the gate from 0.8 to 1.25
    names = [measure.name for measure in bias.audited[0].measures]
    assert names == ["recall", "specificity", "precision", "balanced accuracy"]
    favourable = [n for n in range(600) if n % 3]
    expected = sum(n % 5 % 3 > 0 for n in favourable) / len(favourable)
    assert bias.audited[0].measures[0].reference == pytest.approx(expected)


def test_the_page_names_the_worst_class_and_the_class_that_moved(stores, job) -> None:
    quality = _audit(stores, (0.9, 0.6, 0.9), weeks=4)
    measured = _drift(job, draw(1000)[:, [0, 2, 1]])
    checks = (*outcomes_of(measured).values(), *quality.checks)
    page = page_of(windows(1, quality=quality, distributions=measured.distributions, checks=checks))
    tile = re.search(r"Recall of the worst class(.*?)Largest drift", page.html, re.DOTALL)
    assert f"{quality.worst_class.value:.3f}" in tile[1]
    assert (
        f"recall of late; 0.900 on the test split; {quality.worst_class.rows} labelled rows"
        in tile[1]
    )
    assert "decided as a favourable class" in page.html
    assert "predicted class" in section(page, "window")
    assert "recall of lost" in section(page, "data")
    assert "labelled with the class that were decided as it" in section(page, "checks")
