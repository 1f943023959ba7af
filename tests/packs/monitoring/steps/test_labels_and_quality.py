import shutil
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sashiko.base.files import sha256_tree, write_json
from sashiko.base.parquet import write_table
from sashiko.errors import InputError
from sashiko.evaluation.reference import REFERENCE_FILE, ColumnCounts
from sashiko_packs.monitoring.audited import Quality
from sashiko_packs.monitoring.capture.record import row_schema
from sashiko_packs.monitoring.ledger import LEDGER_SCHEMA
from sashiko_packs.monitoring.settings import MonitorSection
from sashiko_packs.monitoring.steps import join_labels
from sashiko_packs.monitoring.window import basic_time
from tests.packs.monitoring.label_stores import DAY, Stores, keys_of, week
from tests.packs.monitoring.steps.window_job import make_reference
from tests.unit.contract.documents import document, save

REFERENCE = make_reference(
    rows=200, positives=50, true_positives=40, template="{title}", right=(90, 90, 0, 0),
    columns=(ColumnCounts(column="title", kind="category", counts=(200, 0)),),
    scores=ColumnCounts(column="score", kind="number", edges=(0.5,), counts=(100, 100, 0, 0)),
)  # fmt: skip


class Pipeline:
    """The step over a test's stores."""

    def __init__(self, root, monkeypatch):
        self.root, self.monkeypatch = root, monkeypatch
        self.stores = Stores(root / "stores")
        self.captured = {}  # file -> rows of ReadCapture; the stores have those of older windows

    def folder(self, name):
        return self.root / "JoinLabels" / "processing" / "input" / name

    def run(self, *, number=0, now=None, reference=None, label_days=28):
        reference = reference or REFERENCE.model_dump(mode="json")
        shutil.rmtree(self.root / "JoinLabels", ignore_errors=True)
        config = self.folder("config")
        config.mkdir(parents=True)
        save(document(), config)
        section = MonitorSection(label_days=label_days)
        write_json(config / "monitor.json", section.model_dump(mode="json"))
        write_json(self.folder("reference") / REFERENCE_FILE, reference)
        for name in ("ledger", "labels", "draws"):
            shutil.copytree(self.stores.folder(name), self.folder(name))
        for name, rows in {"rows.parquet": [], "late.parquet": [], **self.captured}.items():
            path = self.folder("rows") / name
            write_table(path, pa.Table.from_pylist(rows, row_schema(("title",))))
        window = {
            "--start": basic_time(week(number).start), "--end": basic_time(week(number).end),
            "--now": basic_time(now or week(number).end + DAY), "--version": "7",
        }  # fmt: skip
        self.monkeypatch.setenv("OPT_ML", str(self.root / "JoinLabels"))
        words = [word for pair in window.items() for word in pair]
        self.monkeypatch.setattr(sys, "argv", ["join_labels", *words])
        join_labels.main()

    def output(self, name):
        return self.root / "JoinLabels" / "processing" / "output" / name

    def quality(self):
        return Quality.read(self.output("quality"))


@pytest.fixture
def pipeline(tmp_path, monkeypatch):
    return Pipeline(tmp_path, monkeypatch)


def test_a_fall_of_the_audited_accuracy_is_an_alarm_whatever_ordinary_labels_say(pipeline) -> None:
    stores = pipeline.stores
    results = []
    for number in range(2):
        keys = [f"w{number}-{row:03d}" for row in range(300)]
        stores.answer(keys, number=number)
        drawn = keys_of(stores.draw(number, rows=120))
        now = week(number).end
        stores.label(drawn[:72], "yes", now=now)
        stores.label(drawn[72:], "no", now=now)
        stores.label(sorted({*keys} - {*drawn}), "yes", now=now)
        pipeline.run(number=number)
        results.append(pipeline.quality())
    last = results[-1]
    assert (last.check.outcome, last.check.rows) == ("alarm", 240)
    assert last.since_deploy.value == pytest.approx(0.6)
    assert last.check.low < 0.6 < last.check.high
    assert last.periods[:1] == results[0].periods


def test_a_version_of_an_earlier_engine_is_judged_by_its_accuracy_alone(pipeline) -> None:
    pipeline.stores.answer([f"{row:03d}" for row in range(300)])
    drawn = keys_of(pipeline.stores.draw(0, rows=120))
    pipeline.stores.label(drawn, "yes", now=week(0).end)
    pipeline.run()
    expected = pipeline.quality()
    earlier = REFERENCE.model_dump(mode="json")
    del earlier["true_positives"]
    pipeline.run(reference=earlier)
    result = pipeline.quality()
    assert result.check.outcome == "ok"
    assert (result.check, result.since_deploy) == (expected.check, expected.since_deploy)
    recall, *others = result.checks[1:]
    assert {check.outcome for check in (recall, *others)} == {"not judged"}
    assert recall.value == pytest.approx(1.0)
    assert recall.reason == (
        "the version was registered by an earlier engine, whose reference has no recall: run the "
        "pipeline again and approve the new version"
    )
    assert [measure.reference for measure in result.measures] == [None] * 4


def test_the_bias_evaluator_gets_the_labelled_drawn_rows_and_no_others(pipeline) -> None:
    stores = pipeline.stores
    stores.answer(["a", "b", "c", "d"])
    drawn = keys_of(stores.draw(0, rows=3))
    (other,) = {"a", "b", "c", "d"} - {*drawn}
    stores.label([drawn[0], other], "yes", now=week(0).end)
    stores.label(drawn[1:2], "no", now=week(0).end)
    pipeline.run()
    audited = pipeline.output("decisions") / "audited.parquet"
    assert [tuple(row.values()) for row in pq.read_table(audited).to_pylist()] == [
        (drawn[0], True, True),
        (drawn[1], False, True),
    ]


def test_the_recipe_says_how_long_a_period_waits_for_its_labels(pipeline) -> None:
    pipeline.stores.answer(["a"])
    pipeline.stores.draw(0)
    for days, state in ((2, "open"), (1, "overdue")):
        pipeline.run(now=week(0).end + DAY, label_days=days)
        assert pipeline.quality().periods[0].state == state


def test_the_ledger_gets_the_answers_of_all_versions_once(pipeline, capsys) -> None:
    answer = {"version": 7, "score": 0.5, "decision": "yes", "time": week(0).start + DAY}
    pipeline.stores.answer(["old"])
    pipeline.captured = {
        "rows.parquet": [answer | {"key": "a", "text": "private"}],
        "other_versions.parquet": [answer | {"key": "b", "version": 8}],
    }
    pipeline.run()
    assert "added 2 rows to the ledger" in capsys.readouterr().err
    ledger = pipeline.output("ledger")
    table = pq.read_table(ledger / "2026-03-03.parquet")
    assert table.schema == LEDGER_SCHEMA
    assert table.select(["key", "version"]).to_pylist() == [
        {"key": "a", "version": 7},
        {"key": "b", "version": 8},
        {"key": "old", "version": 7},
    ]
    decisions = pipeline.output("decisions") / "decisions.parquet"
    assert pq.read_table(decisions)["key"].to_pylist() == ["a", "old"]
    first = sha256_tree(ledger)
    shutil.copytree(ledger, pipeline.stores.folder("ledger"), dirs_exist_ok=True)
    pipeline.run()
    assert "added 0 rows to the ledger" in capsys.readouterr().err
    assert sha256_tree(ledger) == first


def test_a_contract_of_other_labels_is_refused_before_it_judges(pipeline) -> None:
    other = REFERENCE.model_copy(update={"labels": ("no", "late")})
    with pytest.raises(
        InputError, match="`no` and `yes`, those of the version are `no` and `late`"
    ):
        pipeline.run(reference=other.model_dump(mode="json"))
    assert not (pipeline.output("quality") / "quality.json").exists()
