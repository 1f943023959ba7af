"""The first screen: enough to approve the model, or to refuse it."""

import math
import os
import re

import pytest

from sashiko.base.files import read_json, write_json
from sashiko.evaluation.gates.verdict import Check, decide, not_judged
from sashiko.registry.versions import Decision
from sashiko.report.evidence import read_evidence
from sashiko.report.gate_views import gate_tables, verdicts
from sashiko.report.svg import allowed_range
from sashiko.run_report.headline import small_groups, unjudged
from sashiko.run_report.page import outcome
from tests.unit.contract import documents
from tests.unit.run_report import runs
from tests.unit.run_report.folders import RUN_ID
from tests.unit.run_report.page import page_of


def tiles(page):
    """The five tiles of a page: name -> all of its text."""
    part = page.html.split('<div class="tiles">')[1].split('<div class="notices">')[0]
    texts = [re.sub(r"<[^>]*>", " ", tile) for tile in part.split('<div class="tile">')[1:]]
    names = re.findall(r'<div class="tile"><div class="name">([^<]*)', part)
    return {name: " ".join(text.split()) for name, text in zip(names, texts, strict=True)}


def test_five_tiles_say_how_good_the_model_is_and_what_no_gate_judges(registered):
    shown = tiles(registered)
    assert [*shown] == [
        "AUC: how well scores rank the rows", "Precision / recall at the threshold 0.50",
        "Disparate impact (DI)", "Largest gap that no gate judges", "Calibration error",
    ]  # fmt: skip
    auc, both, impact, gap, calibration = shown.values()
    assert "0.913 95 % interval [0.887, 0.937] linear: 0.934; this one is not shown" in auc
    assert "✓ passed" in auc
    assert "– no gate judges it" in both
    assert "0.950 95 % interval [0.900, 1.000] age=old: predicted positive, group" in impact
    assert "required 0.8 to 1.25 ✓ passed" in impact
    assert "none measured – not judged" in gap
    assert "0.162 95 % interval [0.119, 0.171]" in calibration
    assert "up to 0.100 by chance – no gate judges it" in calibration


def test_what_was_not_judged_and_the_card_are_shown_with_their_reasons(registered):
    section = registered.text("decision")
    assert "not shown to be good: Too few rows to judge: age=oldest" in section
    assert "Not judged: Too few rows to judge: age=oldest" in registered.text("limitations")

    assert "meant for Not stated: key card.intended_uses of the recipe." in registered.text("use")
    assert "Not stated: key card.not_intended_uses" in registered.text("scope")
    assert "fine-tuned from tiny-encoder" in registered.text("training")
    assert "commit 4f1c2a9d4f1c" in registered.text("settings")


def test_the_decisions_commands_come_before_the_figures_and_a_place_to_sign(registered):
    section = registered.text("decision")
    approve = 'sashiko model approve 3 --recipe loans --by "your name" --reason "why"'
    reject = 'sashiko model reject 3 --recipe loans --by "your name" --reason "why"'
    form = "Decision ☐ approve ☐ refuse reason name role date signature"
    assert section.index(f"{approve} {reject}") < section.index("AUC")
    assert section.index(form) > section.index("Calibration error")


@pytest.mark.parametrize("ended", ["blocked", "failed"])
def test_nothing_is_there_to_sign_where_nothing_was_registered(tmp_path, ended):
    section = page_of(getattr(runs, ended)(tmp_path)).text("decision")
    assert "signature" not in section
    assert "sashiko model" not in section


def test_a_persons_decision_is_the_headline_with_name_and_day(tmp_path, monkeypatch):
    folder = runs.registered(tmp_path)
    (folder.parents[1] / "mlflow.db").touch()
    decided = Decision(status="Approved", by="Ada Lovelace", reason="read every gap",
                       time="2026-01-03T10:00:00", digests={})  # fmt: skip

    class Registry:
        def version(self, group: str, number: int) -> tuple[str, int]:
            return group, number

        def decisions(self, version: tuple[str, int]) -> list[Decision]:
            assert version == ("late-loans", 3)
            return [decided]

    monkeypatch.setattr("sashiko.run_report.page.open_local", lambda *_, **__: Registry())
    section = page_of(folder).text("decision")
    assert section.startswith("Approved by Ada Lovelace on 2026-01-03 All 4 gates passed")
    assert "Reason of the decision: read every gap" in section


def test_without_a_decision_since_the_run_the_registry_is_not_opened(tmp_path):
    folder = runs.registered(tmp_path)
    database = folder.parents[1] / "mlflow.db"
    database.write_text("opening this would fail")
    os.utime(database, (0, 0))
    assert page_of(folder).text("decision").startswith("Waits for your decision All 4 gates passed")


def test_a_waived_check_names_who_answers_for_it_and_until_when(tmp_path):
    page = page_of(runs.waived(tmp_path))
    section = page.text("decision")
    title = "Waits for your decision, with failed checks waived"
    assert section.startswith(f"{title} The bias gate failed.")
    assert "Waived by Ada Lovelace until 2999-12-31: the desk reads every case" in section
    assert "Disparate impact (DI): age=old" in section
    assert "bias ✕ failed, waived" in page.text("gates")
    assert "signature" in section


def test_what_is_lost_is_never_reported_as_passed(tmp_path):
    folder = runs.registered(tmp_path)
    verdict = folder.parents[1] / "s3/bucket/runs" / RUN_ID / "JudgeBias/verdict/verdict.json"
    verdict.unlink()
    page = page_of(folder)
    assert "1 of 4 verdicts are missing" in page.text("decision")
    assert "All" not in page.text("decision")
    assert "JudgeBias Not judged." in page.text("gates")


def test_the_tile_of_disparate_impact_is_of_the_worst_gated_group(tmp_path):
    folder = runs.registered(tmp_path)
    path = folder.parents[1] / "s3/bucket/runs" / RUN_ID / "JudgeBias/intervals/intervals.json"
    rows = read_json(path)
    [gated] = [row for row in rows if row["metric"] == "DI"]
    for group, value, size in (("west", 0.7, 200), ("south", 0.1, 3)):
        rows.append(gated | {"facet": "branch", "group": group, "value": value,
                             "n_disadvantaged": size})  # fmt: skip
    write_json(path, rows)
    page = page_of(folder)
    assert "0.950 95 % interval [0.900, 1.000] age=old" in tiles(page)["Disparate impact (DI)"]
    verdict = folder.parents[1] / "s3/bucket/runs" / RUN_ID / "JudgeBias/verdict/verdict.json"
    write_json(verdict, read_json(verdict) | {"checks": []})
    impact = tiles(page_of(folder))["Disparate impact (DI)"]
    assert "0.700" in impact
    assert "branch=west" in impact
    assert "– no gate judges it" in impact
    evidence = read_evidence(folder, folder.parents[1])
    assert small_groups(evidence) == ("age=oldest", "branch=south")


def test_an_auc_that_is_too_good_is_suspicious_and_not_passed(tmp_path, registered):
    page = page_of(runs.registered(tmp_path, apart=0.9))
    section = page.text("decision")
    assert "Suspicious: test AUC 1.000 of this model. This is too good to be true" in section
    assert "! suspicious" in tiles(page)["AUC: how well scores rank the rows"]
    assert "model-quality ! suspicious" in page.text("gates")
    path = tmp_path / "home"
    [file] = path.rglob("registration.json")
    write_json(file, read_json(file) | {"status": "Approved"})
    [folder] = (path / "runs").iterdir()
    assert '<div class="outcome registered"' not in page_of(folder).html
    assert "uspicious" not in registered.text("decision")


@pytest.mark.parametrize(("more", "lost", "name"), [
    ({}, "AUC and accuracy", "linear: TF-IDF and logistic"),
    ({"labels": ("no", "maybe", "yes", "rare"), "apart": 0.05, "bias": {"metric": "macro_f1"}},
     "macro F1 and accuracy", "linear: TF-IDF and logistic"),
    ({"number": True, "bias": {"metric": "r2", "contract": documents.number(above=5)}},
     "R² and mean absolute error", "linear: TF-IDF and ridge"),
], ids=["two classes", "four", "a number"])  # fmt: skip
def test_a_simpler_model_that_is_better_is_named_with_how_to_train_it(tmp_path, more, lost, name):
    section = page_of(runs.registered(tmp_path, linear=2.0, **more)).text("decision")
    assert f"This model is worse on {lost} than {name}" in section
    assert "Train that one: sashiko run" in section
    assert "--set model.family=linear" in section


def test_a_group_without_rows_in_the_test_split_stands_there_with_its_rows(tmp_path):
    none = Check(name="age=none", passed=True, judged=False, reason="0 rows in the test split")
    section = page_of(runs.registered(tmp_path, unjudged=(none,))).text("decision")
    assert "not shown to be good: bias, age=none: 0 rows in the test split" in section
    assert "not judged: age=none" in section


def test_an_interval_that_spans_its_bound_is_flagged(tmp_path, registered):
    section = page_of(runs.registered(tmp_path, impact=0.82)).text("decision")
    point = (
        "Disparate impact (DI): age=old passed with 0.820 [0.770, 0.870], required "
        "0.8 to 1.25, but the interval spans the bound."
    )
    assert f'--reason "why" Look at this before you decide: {point}' in section
    assert "required 0.8 to 1.25 ! passed, interval spans the bound" in section
    assert "spans the bound" not in registered.text("decision")


@pytest.mark.parametrize(("comparison", "threshold", "allowed"), [
    ("in_range", (0.8, 1.25), (0.8, 1.25)),
    (">=", 0.8, (0.8, math.inf)),
    ("<", 3, (-math.inf, 3)),
    ("none", None, None),
    ("==", 0, None),
])  # fmt: skip
def test_the_allowed_range_follows_from_the_comparison(comparison, threshold, allowed):
    check = Check(name="x", value=1, comparison=comparison, threshold=threshold, passed=True)
    assert allowed_range(check) == allowed


def test_a_device_that_was_not_checked_is_never_reported_as_passed(tmp_path):
    folder = runs.registered(tmp_path)
    evidence = read_evidence(folder, folder.parents[1])
    off = not_judged(gate="device", reason="it was switched off")
    results = verdicts(evidence) | {"DeviceCheck": off}

    table = gate_tables(results)[-1]
    assert (table.title, table.mark, table.rows) == ("device", None, ())
    assert table.absent == "Not judged: it was switched off."
    assert "device, every check: it was switched off" in [*unjudged(evidence, results)]
    headline = outcome(evidence, results).headline
    assert headline.startswith("All 4 gates passed, with 4 checks; not judged: device.")


def test_latency_that_was_not_judged_is_never_reported_as_passed(tmp_path):
    folder = runs.registered(tmp_path)
    evidence = read_evidence(folder, folder.parents[1])
    checks = [
        Check(name="agreement", value=1, threshold=0.99, comparison=">=", passed=True),
        Check(name="latency", passed=True, reason="not the device", judged=False),
    ]
    results = verdicts(evidence) | {"DeviceCheck": decide(gate="device", checks=checks, inputs={})}

    table = gate_tables(results)[-1]
    marks = {row.cells[0].text: row.cells[3].mark.text for row in table.rows}
    assert marks == {"agreement": "✓ passed", "latency": "– not judged"}
    assert table.mark.kind == "partly"
    headline = outcome(evidence, results).headline
    assert headline.startswith("All 5 gates passed, with 5 checks; not judged: latency.")
    assert "device, latency: not the device" in [*unjudged(evidence, results)]


def test_the_previous_version_stands_beside_this_one(tmp_path):
    folder = runs.registered(tmp_path)
    path = folder.parents[1] / "s3/bucket/runs" / RUN_ID / "Evaluate/metrics/metrics.json"
    metrics = read_json(path)
    linear = metrics["others"]["tfidf_logistic_regression"]
    lead = metrics["leads"]["tfidf_logistic_regression"]
    metrics["others"]["champion"], metrics["leads"]["champion"] = linear, lead
    metrics["champion"] = {"version": 2, "sha256": "0" * 64, "threshold": 0.5}
    write_json(path, metrics)
    page = page_of(folder)
    assert "metric this version previous version: 2 linear: TF-IDF" in page.text("quality")
    assert "version 2: 0.9" in tiles(page)["AUC: how well scores rank the rows"]

    del metrics["others"]["champion"], metrics["leads"]["champion"]
    metrics["champion"]["not_comparable"] = "its classes are others"
    write_json(path, metrics)
    assert "Version 2 is not comparable: its classes are others." in page_of(folder).text("quality")
