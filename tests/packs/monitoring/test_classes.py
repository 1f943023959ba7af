"""A label of more than two classes, from its captured answers to the monitor's page."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from scipy import stats

from sashiko.base.files import sha256_tree
from sashiko.base.parquet import write_table
from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import Floats, Ints, favourable_scores
from sashiko.evaluation.reference import ClassCounts, Reference
from sashiko.evaluation.reference_columns import cells_of, count_reference
from sashiko_packs.monitoring.audited import Quality, count_held_out, measure_quality, measures_of
from sashiko_packs.monitoring.capture.reading import read_captures
from sashiko_packs.monitoring.capture.record import row_schema
from sashiko_packs.monitoring.checks import MonitorCheck, judge_measurements
from sashiko_packs.monitoring.result import Drift, MonitorBias
from sashiko_packs.monitoring.settings import MonitorSection, check_label
from sashiko_packs.monitoring.steps import drift, join_labels, read_capture
from sashiko_packs.monitoring.steps.judge import label_free_accuracy
from tests.e2e.tiny import copy_repository
from tests.packs.monitoring.captures import COLUMNS, DAY, event, record, request, write
from tests.packs.monitoring.label_stores import DAY as ONE_DAY
from tests.packs.monitoring.label_stores import Stores, keys_of, week
from tests.packs.monitoring.report.test_monitor import page_of, section
from tests.packs.monitoring.report.windows import windows
from tests.packs.monitoring.steps.window_job import (
    FOUR_FIFTHS,
    MonitorJob,
    WindowJob,
    make_job,
    make_reference,
)
from tests.unit.contract.documents import column_of, contract_of, custom, document, number

# The last two are favourable.
CLASSES = ("lost", "late", 'on time, "early"')
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


def describe(scores: Floats, labels: Ints, **changes: Any) -> Reference:
    """Describes held-out rows as Evaluate does."""
    decided, top = scores.argmax(axis=1), pa.chunked_array([scores.max(axis=1)])
    confidence = count_reference("confidence", top)
    right = np.bincount(
        cells_of(confidence, top)[decided == labels], minlength=len(confidence.counts)
    )
    return make_reference(**{
        "rows": len(labels), "positives": int((labels > 0).sum()), "true_positives": None,
        "labels": CLASSES, "threshold": 0.0, "right": tuple(right.tolist()),
        "scores": count_reference("score", pa.chunked_array([favourable_scores(scores, first=1)])),
        "classes": tuple(
            ClassCounts(
                rows=int((labels == place).sum()), predicted=int((decided == place).sum()),
                right=int(((labels == place) & (decided == place)).sum()),
                scores=count_reference("score", pa.chunked_array([scores[:, place].copy()])),
            )
            for place in range(3)
        ),
        "confidence": confidence,
    } | changes)  # fmt: skip


def reference_of(rows: int = 3000) -> Reference:
    scores = draw(rows, seed=9)
    return describe(scores, scores.argmax(axis=1))


def answers(*scores: dict[str, float], labels: list[str] | None = None) -> str:
    """An answer's body, as the handler writes it for more than two classes."""
    chosen = labels or [max(one, key=lambda name: one[name]) for one in scores]
    return json.dumps(
        [{"label": label, "scores": one} for label, one in zip(chosen, scores, strict=True)]
    )


def one_row(name: str, output: str) -> Any:
    return record(name, request([{"product": "Card", "complaint_text": name}]), output)


def read(folder: Path) -> tuple[list[dict[str, Any]], Any]:
    out = folder / "rows.parquet"
    summary = read_captures(
        folder, out, window=DAY, now=DAY.end, columns=COLUMNS, has_texts=True, classes=CLASSES,
        first_favourable=1,
    )  # fmt: skip
    table = pq.read_table(out)
    assert table.schema == row_schema(COLUMNS, has_classes=True)
    return table.to_pylist(), summary


def test_an_answer_keeps_the_score_of_each_class_and_that_of_the_favourable_ones(tmp_path) -> None:
    late = {CLASSES[2]: 0.25, CLASSES[1]: 0.625, CLASSES[0]: 0.125}  # in any order
    lost = {CLASSES[0]: 0.75, CLASSES[1]: 0.125, CLASSES[2]: 0.125}
    body = request([{"product": "Card", "complaint_text": "a"}, "b"])
    write(tmp_path, [record("two", body, answers(late, lost))])
    rows, summary = read(tmp_path)
    assert [(row["decision"], row["score"], row["scores"]) for row in rows] == [
        ("late", 0.875, [0.125, 0.625, 0.25]),
        ("lost", 0.25, [0.75, 0.125, 0.125]),
    ]
    assert {problem.kind for problem in summary.problems} <= {"without-key", "missing-column"}


def test_answers_of_a_version_with_other_classes_are_read_without_scores(tmp_path) -> None:
    """A contract that got a class leaves such answers in the window of the deploy."""
    two = json.dumps([{"label": "yes", "score": 0.75}])
    fewer = answers({"lost": 0.5, "late": 0.5})
    write(tmp_path, [one_row("a", two), one_row("b", fewer)])
    rows, summary = read(tmp_path)
    assert [(row["decision"], row["score"], row["scores"]) for row in rows] == [
        ("yes", 0.75, None),
        ("lost", None, None),
    ]
    assert summary.count("unreadable") == 0


@pytest.mark.parametrize(
    "output",
    [
        answers({"lost": 1.5, "late": 0.0, CLASSES[2]: 0.0}),
        json.dumps([{"label": "lost", "scores": {"lost": "much"}}]),
        json.dumps([{"label": "lost", "scores": {}}]),
        json.dumps([{"label": "lost", "scores": [0.5, 0.5]}]),
        json.dumps([{"scores": {"lost": 1.0}}]),
        json.dumps([{"value": 3.0, "interval": [1.0, 5.0]}]),
    ],
    ids=["above 1", "a text", "none", "a list", "no label", "a number"],
)
def test_an_answer_whose_scores_cannot_be_read_is_a_problem(tmp_path, output) -> None:
    whole = answers(dict.fromkeys(CLASSES, 1 / 3))
    write(tmp_path, [one_row("a", output), one_row("b", whole)])
    rows, summary = read(tmp_path)
    assert [row["event_id"] for row in rows] == [event("b")]
    assert summary.count("unreadable") == 1


def test_the_rows_of_other_versions_keep_their_scores_apart(tmp_path, monkeypatch) -> None:
    job = MonitorJob(tmp_path, monkeypatch)
    job.put_reference(**reference_of().model_dump())
    whole = answers(dict(zip(CLASSES, (0.125, 0.625, 0.25), strict=True)))
    write(job.input("capture"), [one_row("a", whole)])
    write(job.input("capture"), [one_row("b", whole)], version=8)
    job.run(read_capture, *WINDOW)
    for file, name in (("rows", "a"), ("other_versions", "b")):
        (row,) = pq.read_table(job.output("rows") / f"{file}.parquet").to_pylist()
        assert (row["event_id"], row["scores"]) == (event(name), [0.125, 0.625, 0.25])


def test_a_reference_without_counts_by_class_is_refused_before_a_line_is_read(
    tmp_path, monkeypatch
) -> None:
    job = MonitorJob(tmp_path, monkeypatch)
    job.put_reference(labels=CLASSES, true_positives=None)
    write(job.input("capture"), [b"{"])
    with pytest.raises(InputError, match="no counts by class: run the pipeline again"):
        job.run(read_capture, *WINDOW)
    assert not job.output("rows").exists()


def _rows(scores: Floats) -> list[dict[str, Any]]:
    """Rows with the products and texts of the reference's, and these scores."""
    words = ("branch", "queue", "fee", "form", "letter", "clerk", "office", "delay")
    products = ("Card", "Card", "Card", "Loan", "Loan")
    return [
        {
            "input": {
                "product": products[place % 5],
                "complaint_text": " ".join(words[place // 8**at % 8] for at in range(3)),
            },
            "score": float(one[1:].sum()), "scores": one.tolist(),
            "decision": CLASSES[int(one.argmax())],
        }
        for place, one in enumerate(scores)
    ]  # fmt: skip


def _drift(job: MonitorJob, scores: Floats, reference: Reference | None = None) -> Drift:
    texts = [f"{row['input']['product']}: {row['input']['complaint_text']}"
             for row in _rows(np.ones((500, 3)))]  # fmt: skip
    table = pa.table({"key": [f"t{n}" for n in range(500)], "text": texts, "label": [0] * 500})
    write_table(job.input("test") / "data.parquet", table)
    described = (reference or reference_of()).model_dump() | {
        "test_sha256": sha256_tree(job.input("test"))
    }
    job.put_reference(**described)
    job.put_section("monitor", {})
    job.put_rows(_rows(scores), COLUMNS)
    job.run(drift)
    return Drift.read(job.output("drift"))


def _outcomes(measured: Drift) -> dict[str, MonitorCheck]:
    checks = judge_measurements(measured.measurements, false_alarms=MonitorSection().false_alarms)
    return {check.name: check for check in checks}


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MonitorJob:
    return MonitorJob(tmp_path, monkeypatch)


def test_a_window_like_the_reference_shows_no_drift(job) -> None:
    measured = _drift(job, draw(1000))
    outcomes = _outcomes(measured)
    for name in ("the predicted classes", "the scores", "product"):
        assert outcomes[f"drift of {name}"].outcome == "ok"
    assert [item.name for item in measured.distributions[2:]] == [
        "predicted class", *(f"score of {name}" for name in CLASSES),
        "score of the favourable classes",
    ]  # fmt: skip


def test_the_predicted_classes_are_compared_by_pearsons_test(job) -> None:
    """Favourable ones that change places leave the favourable score as it was."""
    reference, scores = reference_of(), draw(1000)[:, [0, 2, 1]]
    measured = _drift(job, scores, reference)
    (classes,) = (m for m in measured.measurements if m.name == "drift of the predicted classes")
    window = np.bincount(scores.argmax(axis=1), minlength=3)
    predicted = [one.predicted for one in reference.classes]
    expected = stats.chi2_contingency([predicted, window], correction=False).pvalue
    assert classes.p_unchanged == pytest.approx(expected)
    outcomes = _outcomes(measured)
    assert outcomes["drift of the predicted classes"].outcome == "alarm"
    assert measured.distributions[2].cells == (*CLASSES, "other", "none")
    assert measured.distributions[2].window == (*window.tolist(), 0, 0)
    assert "score of the favourable classes" not in outcomes["drift of the scores"].reason


def test_surer_scores_of_the_same_decisions_are_a_drift_of_the_scores(job) -> None:
    scores = draw(2000)
    surer = scores**2 / (scores**2).sum(axis=1, keepdims=True)
    outcomes = _outcomes(_drift(job, surer))
    assert outcomes["drift of the scores"].outcome == "alarm"
    assert "score of" in outcomes["drift of the scores"].reason
    assert outcomes["drift of the predicted classes"].outcome == "ok"


def test_quiet_scores_of_many_classes_raise_few_alarms() -> None:
    """The smallest of the p-values alone would be below 0.05 in a fifth of the windows."""
    generator, shares = np.random.default_rng(2), np.full(8, 1 / 8)
    small = []
    for _ in range(300):
        each = {
            str(place): drift.measure_drift(
                "drift of the scores", generator.multinomial(3000, shares),
                drift.ClusteredCounts(generator.multinomial(500, shares)), ordered=True,
                tolerance=0.1,
            )
            for place in range(5)
        }  # fmt: skip
        assert min(item.p_unchanged for item in each.values()) <= 1
        small.append(drift.measure_scores(each).p_unchanged < 0.05)
    assert np.mean(small) < 0.08


def test_scores_of_few_rows_are_not_judged(job) -> None:
    check = _outcomes(_drift(job, draw(60)))["drift of the scores"]
    assert (check.outcome, check.reason) == ("not judged", "60 rows, 100 are needed")


def test_the_estimate_without_labels_goes_by_the_score_of_the_decision(job) -> None:
    """Where rows are right as often as their score says, surer ones are right more often."""
    held_out, generator = draw(20_000, seed=4), np.random.default_rng(5)
    labels = np.array([generator.choice(3, p=one) for one in held_out])
    reference = describe(held_out, labels)
    surer = draw(5000, mix=(1.0, 0.5, 0.25), seed=6)
    measured = _drift(job, surer, reference)
    estimate = label_free_accuracy(
        rows=np.array(reference.confidence.counts), right=np.array(reference.right),
        window=np.array(measured.scores),
        input_checks=[_outcomes(measured)["drift of product"]],
    )  # fmt: skip
    assert sum(measured.scores) == 5000
    assert estimate.value == pytest.approx(surer.max(axis=1).mean(), abs=0.015)
    assert estimate.value > reference.accuracy + 0.05


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    stores = Stores(tmp_path / "stores")
    stores.use(three_classes())
    return stores


def _answered(stores: Stores, decisions: dict[str, str], *, number_of_week: int = 0) -> None:
    for decision in CLASSES:
        keys = [key for key, decided in decisions.items() if decided == decision]
        if keys:
            stores.answer(keys, decision=decision, number=number_of_week)


def test_labelled_rows_are_counted_by_class(stores) -> None:
    """`late` for `on time` is wrong, though both are favourable."""
    decisions = {"a": "lost", "b": "late", "c": "late", "d": "late", "e": CLASSES[2], "f": "lost"}
    labels = {"a": "lost", "b": "late", "c": CLASSES[2], "d": "lost"}
    _answered(stores, decisions)
    assert len(keys_of(stores.draw(0))) == 6
    quoted = "".join(
        f'{key},"{name.replace(chr(34), chr(34) * 2)}"\n' for key, name in labels.items()
    )
    stores.add(stores.file(f"loan_id,late\n{quoted}"), now=week(0).end)
    (period,) = stores.join(0, now=week(0).end + ONE_DAY).periods
    assert [(one.right, one.missed, one.unlabelled) for one in period.classes] == [
        (1, 1, 1), (1, 0, 0), (0, 1, 1),
    ]  # fmt: skip
    assert (period.right, period.wrong, period.unlabelled, period.drawn) == (2, 2, 2, 6)
    accuracy, *recalls = measures_of(CLASSES).values()
    assert [period.count(accuracy, right=right) for right in (True, False)] == [(4, 2), (2, 4)]
    # Of `lost`, one more is right if all others are; if none is, the row decided `on time` may be
    # a lost one, and the row decided `lost` is not.
    assert [period.count(recalls[0], right=right) for right in (True, False)] == [(2, 1), (1, 2)]
    audited = pq.read_table(stores.root / "audited.parquet").to_pylist()
    assert [(row["key"], row["label"], row["decision"]) for row in audited] == [
        ("a", False, False), ("b", True, True), ("c", True, True), ("d", False, True),
    ]  # fmt: skip
    positive = pq.read_table(stores.root / "decisions.parquet").to_pylist()
    assert [row["positive"] for row in positive] == [False, True, True, True, True, False]


def _weeks(stores: Stores, rates: tuple[float, float, float], *, weeks: int) -> Quality:
    """Audits weeks of 200 rows, of which a third is of each class, found at these rates."""
    generator = np.random.default_rng(7)
    for at in range(weeks):
        keys = [f"w{at}-{row:03d}" for row in range(200)]
        truth = generator.choice(3, 200, p=(0.45, 0.45, 0.1))
        found = generator.random(200) < np.array(rates)[truth]
        decided = np.where(found, truth, (truth + 1) % 3)
        _answered(
            stores, {key: CLASSES[one] for key, one in zip(keys, decided, strict=True)},
            number_of_week=at,
        )  # fmt: skip
        stores.draw(at, rows=200)
        rows = "".join(
            f'{key},"{CLASSES[one].replace(chr(34), chr(34) * 2)}"\n'
            for key, one in zip(keys, truth, strict=True)
        )
        stores.add(stores.file(f"loan_id,late\n{rows}"), now=week(at).end)
    scores = draw(4000, seed=8)
    reference = describe(scores, scores.argmax(axis=1))
    held_out = {
        name: (round(0.9 * sum(counts)), sum(counts) - round(0.9 * sum(counts)))
        for name, counts in count_held_out(reference).items()
    }
    return measure_quality(
        stores.join(weeks - 1, now=week(weeks - 1).end + ONE_DAY), held_out=held_out,
        settings=MonitorSection(), classes=CLASSES,
    )  # fmt: skip


def test_accuracy_and_the_recall_of_each_class_are_judged_by_right_and_wrong(stores) -> None:
    quality = _weeks(stores, (0.9, 0.6, 0.9), weeks=4)
    outcomes = {check.name: check.outcome for check in quality.checks}
    assert outcomes == {
        "accuracy of audited rows": "alarm",
        "recall of lost of audited rows": "ok",
        "recall of late of audited rows": "alarm",
        f"recall of {CLASSES[2]} of audited rows": "ok",
    }
    assert quality.worst_class.name == "recall of late"
    assert quality.worst_class.value == pytest.approx(0.6, abs=0.06)
    assert quality.worst_class.low < 0.6 < quality.worst_class.high
    assert quality.worst_class.reference == pytest.approx(0.9, abs=0.001)
    assert quality.since_deploy.value == pytest.approx(0.45 * 0.9 + 0.45 * 0.6 + 0.09, abs=0.05)


def test_a_class_of_fewer_than_30_audited_rows_is_not_judged_and_not_the_worst(stores) -> None:
    quality = _weeks(stores, (0.9, 0.9, 0.2), weeks=1)
    check = quality.checks[3]
    assert check.outcome == "not judged"
    assert check.reason == f"{check.rows} audited rows labelled {CLASSES[2]}, 30 are needed"
    assert 10 <= check.rows < 30
    assert quality.worst_class.name in ("recall of lost", "recall of late")
    assert quality.measures[2].value is None


def test_the_recalls_share_the_false_alarms_of_the_audit() -> None:
    measures = measures_of(CLASSES).values()
    assert sum(measure.budget for measure in measures) == pytest.approx(1)
    assert [measure.rows_needed for measure in measures] == [100, 30, 30, 30]


def test_a_contract_with_other_favourable_classes_is_refused(tmp_path) -> None:
    """The classes and their order are the same."""
    contract = three_classes()
    custom(contract, "label")["value"]["favourable"] = [CLASSES[2]]
    with pytest.raises(InputError, match="its favourable classes are `on time, "):
        join_labels.check_labels(contract_of(contract, tmp_path), reference_of())
    join_labels.check_labels(contract_of(three_classes(), tmp_path), reference_of())


def test_bias_is_that_of_the_favourable_classes(tmp_path, monkeypatch) -> None:
    job: WindowJob = make_job(tmp_path, monkeypatch)
    job.contract(three_classes())
    quoted = ("lost", "late", '"on time, ""early"""')
    # 60 % of the old are decided favourably, and half of the young.
    lines = [f"{quoted[n % 3]},{quoted[n % (5 if age == 'old' else 4) % 3]},{age}"
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
    gate = bias.measurements[1]
    assert gate.name == "disparate impact of age, 0.8 to 1.25 by its gate"
    assert gate.p_unchanged < 0.001
    assert gate.tolerance == FOUR_FIFTHS["minimum"]
    names = [measure.name for measure in bias.audited[0].measures]
    assert names == ["recall", "specificity", "precision", "balanced accuracy"]
    # Held-out rows of the old that are labelled favourably: those decided so.
    favourable = [n for n in range(600) if n % 3]
    expected = sum(n % 5 % 3 > 0 for n in favourable) / len(favourable)
    assert bias.audited[0].measures[0].reference == pytest.approx(expected)


def test_the_page_names_the_worst_class_and_the_class_that_moved(stores, job) -> None:
    quality = _weeks(stores, (0.9, 0.6, 0.9), weeks=4)
    measured = _drift(job, draw(1000)[:, [0, 2, 1]])
    checks = (*_outcomes(measured).values(), *quality.checks)
    (result,) = windows(
        1, quality=quality, distributions=measured.distributions, checks=checks
    )  # fmt: skip
    page = page_of([result])
    worst = quality.worst_class
    said = f"Of the classes, the recall of late is the lowest: {worst.value:.3f} of {worst.rows:,}"
    assert said in page.html
    assert "Recall of the worst class" in page.html
    assert "decided as a favourable class" in page.html
    assert "predicted class" in section(page, "window")
    data = section(page, "data")
    assert all(f"recall of {name}" in data for name in ("lost", "late", "on time, "))
    assert "labelled with the class that were decided as it" in section(page, "checks")


def test_a_label_that_is_a_number_is_refused_before_a_row_is_captured(tmp_path) -> None:
    project = copy_repository(tmp_path / "project")
    path = project.root / "contracts/complaints.odcs.yaml"
    contract = yaml.safe_load(path.read_text())
    column = next(c for c in contract["schema"][0]["properties"] if c["name"] == "escalate")
    del column["enum"]
    column["logicalType"] = "number"
    custom(contract, "label")["value"] = {
        "column": "escalate", "kind": "number", "favourable": {"above": 0},
    }  # fmt: skip
    path.write_text(yaml.safe_dump(contract))

    replay = project.call("model", "replay", "rows.csv", "--recipe", "complaints")

    assert replay.returncode == 1
    assert "label `escalate` is a number, and the pack `monitoring`" in replay.stderr
    assert not (project.home / "capture").exists()
    with pytest.raises(InputError, match="label `price` is a number, and the pack `monitoring`"):
        check_label(contract_of(number(), tmp_path))
