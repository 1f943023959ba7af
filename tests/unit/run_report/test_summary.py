"""The first screen: enough to approve the model, or to refuse it."""

import pytest

from sashiko.base.files import read_json, write_json
from sashiko.evaluation.gates.verdict import Check
from sashiko.report.evidence import read_evidence
from sashiko.report.gate_views import verdicts
from sashiko.run_report.headline import headline_figures, small_groups
from tests.unit.run_report import runs
from tests.unit.run_report.folders import RUN_ID
from tests.unit.run_report.page import page_of


@pytest.fixture(scope="module")
def registered(tmp_path_factory):
    return page_of(runs.registered(tmp_path_factory.mktemp("registered")))


def test_it_names_the_use_the_data_the_figures_and_the_gates(registered):
    section = registered.text("decision")
    assert "meant for Not stated: key card.intended_uses of the recipe." in section
    assert "data library-loans, version 2.1.0, as of 0123456789ab, 1,234 rows, sha256 01" in section
    assert f"made by run {RUN_ID} of commit 4f1c2a9d4f1c, from tiny-encoder" in section
    assert "above a negative one 0.913 [0.887, 0.937] at least 0.7 ✓ passed" in section
    assert "group ÷ others 0.950 [0.900, 1.000] 0.8 to 1.25 ✓ passed" in section
    assert "up to 0.100 by chance 0.162 [0.119, 0.171] – reported" in section
    assert "deletion test how much further the score falls" in section
    assert "data-quality ✓ passed 1" in section
    assert "not shown to be good: Too few rows to judge: age=oldest" in section


def test_it_ends_with_both_commands_and_a_place_to_sign(registered):
    section = registered.text("decision")
    approve = 'sashiko model approve 3 --recipe loans --by "your name" --reason "why"'
    reject = 'sashiko model reject 3 --recipe loans --by "your name" --reason "why"'
    form = "Decision ☐ approve ☐ refuse reason name role date signature"
    assert section.endswith(f"{approve} {reject} {form}")


@pytest.mark.parametrize("ended", ["blocked", "failed"])
def test_nothing_is_there_to_sign_where_nothing_was_registered(tmp_path, ended):
    section = page_of(getattr(runs, ended)(tmp_path)).text("decision")
    assert "signature" not in section
    assert "sashiko model" not in section


def test_an_approved_version_can_only_be_rejected(tmp_path):
    folder = runs.registered(tmp_path)
    path = folder.parents[1] / "s3/bucket/runs" / RUN_ID / "Register/registration/registration.json"
    write_json(path, read_json(path) | {"status": "Approved", "new": False})
    section = page_of(folder).text("decision")
    assert "When it was registered its status was Approved." in section
    assert "sashiko model reject 3" in section
    assert "model approve" not in section
    assert "signature" not in section


def test_a_waived_check_names_who_answers_for_it_and_until_when(tmp_path):
    section = page_of(runs.waived(tmp_path)).text("decision")
    assert section.startswith("✕ REGISTERED, WAIVED The bias gate failed.")
    assert "Waived by Ada Lovelace until 2999-12-31: the desk reads every case" in section
    assert "bias ✕ failed, waived 1 of 1 failed, 1 waived" in section
    assert section.count("DI age=old") == 1
    assert "signature" in section


def test_verdicts_that_are_lost_are_never_reported_as_passed(tmp_path):
    folder = runs.registered(tmp_path)
    verdict = folder.parents[1] / "s3/bucket/runs" / RUN_ID / "JudgeBias/verdict/verdict.json"
    verdict.unlink()
    section = page_of(folder).text("decision")
    assert "1 of 4 verdicts are missing" in section
    assert "All" not in section
    assert "JudgeBias – not judged none" in section


def test_the_worst_group_without_a_gate_is_named_and_too_small_ones_are_not(tmp_path):
    folder = runs.registered(tmp_path)
    path = folder.parents[1] / "s3/bucket/runs" / RUN_ID / "JudgeBias/intervals/intervals.json"
    rows = read_json(path)
    [gated] = [row for row in rows if row["metric"] == "DI"]
    for group, value, size in (("west", 0.7, 200), ("east", 0.9, 200), ("south", 0.1, 3)):
        rows.append(gated | {"facet": "branch", "group": group, "value": value,
                             "n_disadvantaged": size})  # fmt: skip
    write_json(path, rows)

    evidence = read_evidence(folder, folder.parents[1])
    *_, last, _ = headline_figures(evidence, verdicts(evidence)).rows
    assert last.cells[0].text == "DI branch=west"
    assert last.cells[0].meaning.endswith("the worst of 2 groups without a gate")
    assert small_groups(evidence) == ("age=oldest", "branch=south")


def test_an_auc_that_is_too_good_is_suspicious_and_not_passed(tmp_path, registered):
    page = page_of(runs.registered(tmp_path, apart=0.9))
    section = page.text("decision")
    assert "Suspicious: test AUC 1.000 of this model. This is too good to be true" in section
    assert "1.000 [1.000, 1.000] at least 0.7 ! suspicious" in section
    assert "at least 0.7 ✓ passed" not in section
    assert "model-quality ! suspicious 1" in section
    assert "; suspicious: auc." in section
    path = tmp_path / "home"
    [file] = path.rglob("registration.json")
    write_json(file, read_json(file) | {"status": "Approved"})
    [folder] = (path / "runs").iterdir()
    assert '<div class="outcome registered"' not in page_of(folder).html
    assert "uspicious" not in registered.text("decision")


def test_a_simpler_model_that_is_better_is_named(tmp_path):
    section = page_of(runs.registered(tmp_path, linear=2.0)).text("decision")
    assert "This model is worse on AUC and accuracy than linear: TF-IDF and logistic" in section


def _with_metrics(tmp_path, *figures):
    """A run with these metrics of the gated group: (metric, value) pairs."""
    folder = runs.registered(tmp_path)
    path = folder.parents[1] / "s3/bucket/runs" / RUN_ID / "JudgeBias/intervals/intervals.json"
    rows = read_json(path)
    [gated] = [row for row in rows if row["metric"] == "DI"]
    of_group = [gated | {"metric": metric, "value": value} for metric, value in figures]
    write_json(path, [row for row in rows if row["metric"] != "RD"] + of_group)
    evidence = read_evidence(folder, folder.parents[1])
    return headline_figures(evidence, verdicts(evidence)).rows


@pytest.mark.parametrize(
    ("metric", "value", "side"),
    [
        ("AD", 0.0, "; equal for both"),
        ("AD", 0.0004, "; equal for both"),
        ("AD", 0.03, "; higher for the others"),
        ("RD", -0.085, "; higher for the group"),
        ("SD", 0.1, "; higher for the group"),
        ("DRR", -0.1, "; higher for the others"),
    ],
)
def test_a_difference_says_for_whom_the_rate_is_higher(tmp_path, metric, value, side):
    rows = _with_metrics(tmp_path, (metric, value))
    [figure] = [row for row in rows if row.cells[0].text == f"{metric} age=old"]
    assert side in figure.cells[0].meaning
    assert "worse off" not in figure.cells[0].meaning


def test_a_group_without_rows_in_the_test_split_stands_there_with_its_rows(tmp_path):
    none = Check(name="age=none", passed=True, judged=False, reason="0 rows in the test split")
    section = page_of(runs.registered(tmp_path, unjudged=(none,))).text("decision")
    assert "not shown to be good: bias, age=none: 0 rows in the test split" in section
    assert "not judged: age=none" in section


def test_an_interval_that_spans_its_bound_is_flagged(tmp_path, registered):
    section = page_of(runs.registered(tmp_path, impact=0.82)).text("decision")
    assert "DI age=old by the value alone, as the interval spans the bound" in section
    assert "Passed by the value alone: the 95 % interval spans the bound" in section
    assert "bias, DI age=old: 0.820 [0.770, 0.870], required 0.8 to 1.25" in section
    assert "0.820 [0.770, 0.870] 0.8 to 1.25 ! passed, interval spans the bound" in section
    assert "spans the bound" not in registered.text("decision")
