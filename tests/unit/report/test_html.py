"""The page as a reader gets it."""

import datetime as dt
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from sashiko.contract.model import SplitDates
from sashiko.core.files import read_json, write_json
from sashiko.errors import InputError
from sashiko.report import write_report
from tests.unit.contract.documents import custom, document
from tests.unit.report import runs
from tests.unit.report.folders import RUN_ID, RunFolder

VOID = {"meta", "link", "br", "hr", "img", "input"}
HOSTILE = '<script>alert("x")</script>&{{ 7*7 }}'


class Page(HTMLParser):
    """What a browser would see: texts by section, ids, references, open tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.section = "top"
        self.texts: dict[str, list[str]] = {}
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "section":
            self.section = dict(attrs).get("id") or "decision"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.texts.setdefault(self.section, []).append(data)

    def text(self, section: str) -> str:
        return " ".join(" ".join(self.texts[section]).split())


def page_of(folder: Path) -> Page:
    path = write_report(folder, folder.parent.parent)
    assert path == folder / "report.html"
    return Page(path.read_text())


def pictures(page: Page, section: str) -> list[str]:
    """The text alternatives of a section's pictures."""
    part = page.html.split(f'<section id="{section}"')[1].split("</section>")[0]
    return re.findall(r'role="img" aria-label="([^"]*)"', part)


@pytest.fixture(scope="module")
def registered(tmp_path_factory):
    return page_of(runs.registered(tmp_path_factory.mktemp("registered")))


@pytest.fixture(scope="module")
def failed(tmp_path_factory):
    return page_of(runs.failed(tmp_path_factory.mktemp("failed")))


def test_a_registered_run_says_what_was_registered_and_how_to_approve_it(registered):
    decision = registered.text("decision")
    assert "REGISTERED" in decision
    assert "late-loans version 3" in decision
    assert "All 4 gates passed, with 4 checks" in decision
    assert "sashiko model approve 3 --recipe loans" in decision


def test_the_page_shows_each_figure_of_the_run(registered):
    page = registered
    assert "1,234" in page.text("data")
    assert runs.DIGEST in page.text("data")
    assert "age string sensitive facet; for measuring bias" in page.text("data")
    assert "reader string pii personal data; no step reads it" in page.text("data")
    assert "56 training rows are over the recipe's limit" in page.text("data")
    assert "400 held-out rows, 160 positive" in page.text("quality")
    fairness = page.text("fairness")
    assert "DI age=old predicted positive, group ÷ others" in fairness
    assert "0.950 [0.900, 1.000] 200 / 200 0.8 to 1.25 ✓ passed" in fairness
    assert fairness.index("Gated bias metrics") < fairness.index("not gated (")
    assert "0.123 [0.100, 0.150] 200 / 200 above 0 – reported" in fairness
    assert "undefined: no row of the group has the positive label" in page.text("fairness")
    assert "s3://bucket/runs" in page.text("lineage")
    assert "strength" in page.text("settings")
    assert [alt.split(" ")[0] for alt in pictures(page, "quality")] == [
        "Comparison:", "Calibration:", "Scores", "Confusion", "Learning",
    ]  # fmt: skip
    assert [alt.split(" ")[0] for alt in pictures(page, "fairness")] == [
        "DI:", "Bias", "Calibration", "Scores",
    ]  # fmt: skip


def test_a_group_of_few_rows_reads_as_too_few_to_judge(registered):
    row = "DPPL age=oldest predicted positive, others minus group 0.020 7 / 393 above 0 too few to"
    assert f"{row} judge" in registered.text("fairness")


def test_calibration_slices_and_leads_are_told_in_words(registered):
    quality = registered.text("quality")
    assert "Perfectly calibrated scores would show an error of" in quality
    assert "share of positives by mean score of 15 bins" in pictures(registered, "quality")[1]
    assert "Worst slices slice rows positive balanced accuracy" in quality
    assert "branch = west 200 40.0 %" in quality
    assert "shelf = rare 20 40.0 % too few to judge" in quality
    assert "by chance alone" in quality
    lead = r"( [-\d.]+ \[[-\d.]+, [-\d.]+\] (✓|=|\?|✕) [a-z, ]+){4}"
    leads = quality.partition("other model AUC accuracy")[2]
    assert re.search(f"linear: TF-IDF and logistic regression{lead}", leads)


def test_a_blocked_run_names_check_number_interval_bounds_and_what_to_try(tmp_path):
    page = page_of(runs.blocked(tmp_path))
    decision = page.text("decision")
    assert "BLOCKED One check of the bias gate failed. Nothing was registered." in decision
    assert "DI age=old" in decision
    assert "0.430 95 % interval [0.380, 0.480] required 0.8 to 1.25" in decision
    assert "What to try next: put age in reweighing.facets" in decision
    assert "1 of 1 check failed" not in page.text("lineage")  # said once, in the decision
    assert "ModelGate blocked" in pictures(page, "lineage")[0]
    assert "Register not reached" in pictures(page, "lineage")[0]


def test_a_failed_run_shows_the_reason_the_log_and_the_way_back(failed):
    decision = failed.text("decision")
    assert "step Train failed. Out of rows." in decision
    assert "step 39/40 error: out of rows" in decision
    assert "step 20/40" not in decision
    assert "sashiko run --recipe loans --set train.epochs=2 --from Train" in decision


def test_what_was_not_reached_says_why_and_draws_nothing(failed):
    page = failed
    why = "Evaluate was not reached: the run ended at Train (failed)."
    assert why in page.text("quality")
    assert why in page.text("gates")
    assert "JudgeBias was not reached" in page.text("fairness")
    assert not pictures(page, "quality") + pictures(page, "fairness")
    assert "1,234" in page.text("data")


def test_an_interrupted_run_is_no_judgement(tmp_path):
    run = runs.started(tmp_path)
    run.step("Prepare", "interrupted")
    page = page_of(run.write("interrupted"))
    assert "INTERRUPTED The run was stopped before its end" in page.text("decision")
    assert "Prepare was interrupted" in page.text("data")
    page = page_of(run.write("running"))
    assert "the run had not ended, or it had been killed" in page.text("decision")


def test_a_run_folder_with_nothing_but_run_json_is_reported(tmp_path):
    folder = RunFolder(tmp_path).write("failed", reason="no space left")
    (folder / "definition.json").unlink()
    page = page_of(folder)
    assert "No space left." in page.text("decision")
    assert "definition.json does not exist" in page.text("lineage")


def test_a_folder_without_run_json_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r"run\.json does not exist"):
        write_report(tmp_path, tmp_path)


def damage(root: Path, *files: str) -> None:
    for file in files:
        path = root / "home" / "s3" / "bucket" / "runs" / RUN_ID / file
        path.write_bytes(b'label,predicted_label,age\n{"a')


def test_damaged_records_are_named_and_the_rest_is_shown(tmp_path):
    folder = runs.registered(tmp_path)
    damage(
        tmp_path,
        "Snapshot/manifest/manifest.json",
        "Prepare/meta/split.json",
        "Evaluate/metrics/metrics.json",
        "Evaluate/verdict/verdict.json",
        "JudgeBias/intervals/intervals.json",
    )
    page = page_of(folder)
    assert "metrics.json is not readable JSON" in page.text("quality")
    assert "verdict.json is not readable JSON" in page.text("gates")
    assert "intervals.json is not readable JSON" in page.text("fairness")
    assert page.text("data").count("is not readable JSON") == 2
    assert "facets 1,234" in page.text("data")
    assert "DataGate passed" in pictures(page, "lineage")[0]


def test_damaged_data_costs_its_own_picture_only(tmp_path):
    folder = runs.registered(tmp_path)
    damage(tmp_path, "SnapshotFacets/data/data.parquet", "BiasInput/data/data.csv")
    page = page_of(folder)
    assert len(pictures(page, "quality")) == 5
    assert "data.csv is not what BiasInput writes" in page.text("fairness")
    assert "data.parquet is not a whole Parquet file" in page.text("fairness")
    assert [alt[:3] for alt in pictures(page, "fairness")] == ["DI:", "Bia"]

    damage(tmp_path, "Evaluate/predictions/predictions.parquet")
    page = page_of(folder)
    assert "predictions.parquet is not a whole Parquet file" in page.text("quality")
    assert len(pictures(page, "quality")) == 4


def test_a_store_that_was_cleaned_is_said_and_not_taken_for_a_failure(tmp_path):
    folder = runs.registered(tmp_path)
    (tmp_path / "home" / "s3").rename(tmp_path / "home" / "elsewhere")
    page = page_of(folder)
    assert "REGISTERED" in page.text("decision")
    assert "is no longer in the local store" in page.text("quality")


def test_a_linear_baseline_that_wins_is_said_first(tmp_path, registered):
    page = page_of(runs.registered(tmp_path, linear=3.0))
    worse = "This model is worse on AUC and accuracy than linear: TF-IDF and logistic regression."
    assert page.text("quality").startswith(f"Quality {worse}")
    assert "This model is worse" not in registered.text("quality")


def test_a_reweighed_baseline_is_named_so_and_the_other_one_is_context(tmp_path):
    folder = runs.registered(tmp_path, linear=3.0)
    path = folder.parents[1] / "s3/bucket/runs" / RUN_ID / "Evaluate/metrics/metrics.json"
    metrics = read_json(path)
    linear = metrics["others"]["tfidf_logistic_regression"]
    metrics["others"]["tfidf_logistic_regression_unmitigated"] = linear
    write_json(path, metrics)
    section = page_of(folder).text("quality")
    assert "than linear: TF-IDF and logistic regression, reweighed as this model is." in section
    assert "linear, not reweighed: for context, no gate compares with it" in section


def test_seen_and_unseen_text_stand_beside_the_linear_baseline(tmp_path, registered):
    folder = runs.registered(tmp_path)
    path = folder.parents[1] / "s3/bucket/runs" / RUN_ID / "Evaluate/metrics/metrics.json"
    auc = {"value": 0.864, "low": 0.85, "high": 0.88}
    few = {"seen": True, "rows": 12, "positives": 3, "candidate": {}, "linear": {}, "lead": {}}
    models = {
        name: {"auc": auc | {"value": value}}
        for name, value in {"candidate": 0.864, "linear": 0.667, "lead": 0.197}.items()
    }
    new = few | {"seen": False, "rows": 388, "positives": 97} | models
    write_json(path, read_json(path) | {"seen_text": [few, new]})
    section = page_of(folder).text("quality")
    assert "seen: all words in train 12 25.0 % too few to judge" in section
    assert "unseen: some words are new 388 25.0 % 0.864 [0.850, 0.880] 0.667" in section
    assert "Seen and unseen text" not in registered.html


def test_without_a_bias_gate_the_page_says_not_judged(tmp_path, registered):
    page = page_of(runs.blocked(tmp_path, gates=[]))
    notice = "not shown to be good: Bias not judged: the recipe has no bias gate"
    assert notice in page.text("decision")
    assert "Bias not judged" not in registered.html


def test_a_run_whose_recipe_leaves_bias_unjudged_never_says_passed(tmp_path):
    reason = "the data name nobody"
    contract = document()
    custom(contract, "facets")["value"] = []
    page = page_of(runs.unjudged(tmp_path, contract=contract, reason=reason))
    notice = f"Bias not judged: {reason}"
    assert "All 2 gates passed, with 2 checks; not judged: bias. The" in page.text("decision")
    assert page.text("decision").count(notice) == 1
    assert page.html.count(notice) == 2  # first screen, fairness
    assert page.text("fairness") == f"Fairness {notice}"
    assert "none: bias is not judged" in page.text("data")
    assert "SnapshotFacets" not in page.text("data")
    assert "bias" not in re.findall(r"<h3>([\w-]+) <span class=\"mark passed", page.html)


def test_a_split_that_moves_is_shown_with_the_dates_that_came_out(tmp_path):
    contract = document()
    split = {"kind": "time", "column": "lent_at", "validation_days": 30, "test_days": 60}
    custom(contract, "split")["value"] = split
    run = runs.started(tmp_path, contract=contract)
    words = "by time (lent_at): the 60 days up to the newest row are for testing, the 30 before"
    assert words in page_of(run.write("failed", reason="Prepare failed")).text("data")
    first, last = dt.date(2025, 10, 2), dt.date(2025, 11, 1)
    runs.prepared(run, dates=SplitDates(column="lent_at", validation_from=first, test_from=last))
    page = page_of(run.write("failed", reason="step Train failed"))
    assert f"validation: validation from {first}, test from {last}" in page.text("data")


def test_texts_from_the_data_are_never_markup(tmp_path):
    contract = runs.contract_with(
        name=HOSTILE, description={"purpose": HOSTILE, "limitations": HOSTILE}
    )
    run = runs.started(tmp_path, contract=contract)
    runs.prepared(run)
    runs.judged(run, labels=("no", HOSTILE))
    run.step("ModelGate", "blocked", reason=HOSTILE)
    page = page_of(run.write("blocked", reason=HOSTILE))
    assert "script" not in {tag for tag, _ in page.tags}
    assert "<script" not in page.html
    assert "49" not in page.text("decision")
    assert HOSTILE in page.text("decision")
    assert HOSTILE in page.text("data")


def test_a_log_that_lies_elsewhere_is_not_shown(tmp_path):
    (tmp_path / "secret").write_text("error: the secret\n")
    run = runs.started(tmp_path)
    run.step("Snapshot", "failed", reason="broke", log="../../secret")
    page = page_of(run.write("failed", reason="step Snapshot failed: broke"))
    assert "the secret" not in page.html


def test_the_page_needs_nothing_else(registered):
    page = registered
    assert len(page.html) < 2_000_000
    for _, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "srcset", "action"):
            value = attributes.get(name) or ""
            assert value == "" or value.startswith("#") or value == "data:,"
        assert not any(name.startswith("on") for name in attributes)
    assert not re.search(r"@import|url\((?!#)", page.html)
    assert {"script", "iframe", "object", "embed"}.isdisjoint(tag for tag, _ in page.tags)


def test_every_picture_has_a_text_or_is_hidden_and_ids_are_unique(registered):
    page = registered
    drawings = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert drawings
    for drawing in drawings:
        assert drawing.get("aria-label") or drawing.get("aria-hidden") == "true"
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    uses = re.findall(r'(?:xlink:href="#|url\(#|<a href="#)([^")]+)', page.html)
    assert set(uses) <= set(ids)


def test_the_same_run_gives_the_same_bytes(tmp_path):
    folder = runs.registered(tmp_path)
    first = write_report(folder, tmp_path / "home").read_bytes()
    assert write_report(folder, tmp_path / "home").read_bytes() == first
