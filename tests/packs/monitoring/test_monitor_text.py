import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from sashiko.errors import InputError
from sashiko.registry.versions import MONITORING_TAGS, ModelVersion
from sashiko.settings.environment import load_settings
from sashiko.settings.recipe import load_recipe
from sashiko_packs.monitoring import commands
from sashiko_packs.monitoring.checks import MonitorCheck
from sashiko_packs.monitoring.labels import AddedLabels
from sashiko_packs.monitoring.local_run import MonitorFolder, run_monitor
from sashiko_packs.monitoring.result import MonitorResult
from sashiko_packs.monitoring.settings import MonitorSection
from sashiko_packs.monitoring.window import Window
from tests.packs.monitoring.report.windows import deploy_week, windows

NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
WEEK = dt.timedelta(days=7)
Decide = Callable[..., commands.Retraining]


def check(name="drift of product", outcome="alarm", *, kind="drift") -> MonitorCheck:
    return MonitorCheck(
        name=name, kind=kind, outcome=outcome, rows=500, rows_needed=100, effect="Cohen's w",
        tolerance=0.1, reason="changed by more than the tolerance",
    )  # fmt: skip


def result(*checks: MonitorCheck, labels: int = 1000, end: dt.datetime = NOW) -> MonitorResult:
    [window] = windows(1)
    known = window.quality.labels.model_copy(update={"known": labels})
    quality = window.quality.model_copy(update={"labels": known})
    changes = {"start": end - WEEK, "end": end, "checks": checks or (check(),), "quality": quality}
    return window.model_copy(update=changes)


@pytest.fixture
def decide() -> Decide:
    return lambda of=None, **settings: commands.decide_retraining(
        MonitorSection(**settings), of or result()
    )


def test_an_alarm_is_proposed_unless_the_recipe_says_otherwise(decide: Decide) -> None:
    assert decide().action == "propose"
    assert decide().reasons == ("alarm: drift of product",)
    assert decide(retrain="off").action == "none"


def test_an_alarm_with_enough_new_labels_is_proposed_and_nothing_else(decide: Decide) -> None:
    assert decide(of=result(check(outcome="ok"), check(outcome="not judged"))).action == "none"
    [reason] = decide(of=result(labels=499)).reasons
    assert reason == "499 new labels, 500 are needed"
    assert decide(of=result(labels=500)).action == "propose"
    accuracy = check("accuracy of audited rows", kind="accuracy")
    bias = check("disparate impact of age", kind="bias")
    assert decide(of=result(bias, accuracy)).action == "propose"


def test_a_recipe_that_says_start_is_told_what_to_write() -> None:
    with pytest.raises(ValidationError, match=r"`start` was removed.* Write `propose`"):
        MonitorSection(retrain="start")


@pytest.mark.parametrize(
    ("checks", "reason"),
    [
        ([check("inputs: product is known", kind="inputs"), check()], "mend what sends them"),
        ([check("captured lines are whole", kind="capture"), check()], "dead or damaged"),
        ([check("disparate impact of age", kind="bias")], "answers for fairness"),
    ],
    ids=["inputs", "capture", "bias alone"],
)
def test_an_alarm_with_another_cause_proposes_no_run(decide, checks, reason) -> None:
    decision = decide(of=result(*checks))
    assert decision.action == "none"
    assert reason in decision.reasons[0]


def test_no_sender_of_bad_rows_holds_back_a_model_that_the_audit_shows_to_be_needed(decide) -> None:
    broken, audit = check("inputs: rule", kind="inputs"), check("accuracy", kind="accuracy")
    assert decide(of=result(broken)).action == "none"
    assert decide(of=result(broken, audit)).action == "propose"


def lines(result):
    return [*commands.describe_monitor(result)]


def test_a_quiet_window_takes_three_lines_and_the_next_command():
    result = windows(4)[-1]
    assert lines(result) == [
        "✓ No alarm",
        "late-loans version 3, 2026-01-26 to 2026-02-02: 13 of 13 checks are ok",
        "audit: 2 audited periods complete, the last one up to 2026-01-26, 14 of 100 rows labelled "
        "of the one up to 2026-02-02, 1 closed without all labels, the last up to 2026-01-19 with "
        "25 of 100 labels: add late ones, or raise `monitor.label_days`.",
        "next: sashiko monitor --recipe late-loans --labels FILE",
    ]


def test_each_alarm_has_a_line_with_its_size_and_tolerance():
    result = windows(12, shifted=8)[-1]
    alarms = [check for check in result.checks if check.outcome == "alarm"]
    printed = [line for line in lines(result) if line.startswith("alarm: ")]
    assert len(printed) == len(alarms) > 2
    drift = alarms[0]
    assert printed[0] == (
        f"alarm: drift of product: Cohen's w {drift.value:.3f}, tolerated: at most 0.100"
    )
    assert any(line.endswith("tolerated: 0.8 to 1.25") for line in printed)
    assert lines(result)[0].startswith("✕ Alarm")


def test_checks_that_were_not_judged_share_a_line_by_reason():
    result = windows(1, rows=60)[0]
    printed = lines(result)
    assert printed[0] == "! No alarm - inputs, drift, bias and accuracy not judged"
    assert [line for line in printed if line.startswith("not judged: ")] == [
        "not judged: 6 checks, such as missing values of amount: 63 rows, 100 are needed",
        "not judged: 4 checks, such as disparate impact of age: 21 rows, 100 are needed",
        "not judged: accuracy: 0 audited labels, 100 are needed",
    ]


def test_a_window_without_drawn_rows_asks_to_draw_some():
    result = windows(1)[0]
    result = result.model_copy(
        update={"quality": result.quality.model_copy(update={"periods": ()})}
    )
    assert lines(result)[-3:] == [
        "audit: No rows have been drawn for an audit yet.",
        "next: sashiko monitor sample --recipe late-loans --rows 100",
        "next: sashiko monitor --recipe late-loans --labels FILE",
    ]


def test_a_window_without_rows_asks_nobody_to_draw_some():
    result = windows(1)[0]
    empty = result.capture.model_copy(update={"rows": 0, "versions": ()})
    quality = result.quality.model_copy(update={"periods": ()})
    result = result.model_copy(update={"capture": empty, "quality": quality})
    assert not [line for line in lines(result) if line.startswith("next: ")]


def test_answers_of_the_version_before_a_deploy_are_not_judged():
    [result] = windows(1)
    result = deploy_week(result, before=2)
    printed = lines(result)
    assert printed[0].startswith("! No alarm - ")
    assert "capture judged in part" in printed[0]
    assert [line for line in printed if line.startswith("not judged: answers of version 2")] == [
        "not judged: answers of version 2 are judged: 527 of 2,110 rows are of version 2, up to "
        "2026-01-12 00:00 UTC; the other checks are of version 3 only"
    ]


def test_the_page_of_the_new_version_has_no_proposal_of_the_one_before(tmp_path, capsys):
    result = deploy_week(windows(1)[0], before=2)
    before = result.model_copy(update={"version": 2})
    page = tmp_path / "page.html"
    for judged, proposed in ((result, True), (before, False)):
        commands.show_window(
            (before, result), judged,
            commands.Retraining(action="propose", reasons=("alarm: drift of product",)), page=page,
            options=" --home h", again=f" --home h --version {judged.version}", json_=False,
        )  # fmt: skip
        html = page.read_text()
        assert "late-loans, version 3" in html
        assert "answers of version 2 are judged" in html
        assert ("retraining: proposed" in html) == proposed
        assert ("--home h --version" in html) == proposed
        assert "retraining: proposed" in capsys.readouterr().out


def test_a_contradicting_label_names_the_option_that_corrects_it(capsys):
    counts = {"rows": 3, "unlabelled": 0, "added": 1, "known": 0}
    commands.show_labels(Path("a.csv"), AddedLabels(**counts, duplicated=2, corrected=0))
    assert capsys.readouterr().err == (
        "a.csv: 1 new labels of 3 rows; 2 contradict an earlier one, which counts: --correct "
        "replaces it\n"
    )
    commands.show_labels(Path("a.csv"), AddedLabels(**counts, duplicated=0, corrected=2))
    assert capsys.readouterr().err == "a.csv: 1 new labels of 3 rows; 2 corrected\n"


def test_labels_need_a_file_and_a_draw_a_number_of_rows():
    for words, missing in ((["label", "--correct"], "FILE"), (["sample"], "--rows")):
        done = CliRunner().invoke(commands.app, words)
        assert (done.exit_code, missing in done.stderr.replace("file", "FILE")) == (2, True)


END = dt.datetime(2026, 3, 9, tzinfo=dt.UTC)
WINDOW = Window(END - dt.timedelta(days=7), END)
URI = "s3://artifacts/runs/20260301-000000-aaaa/Evaluate/metrics"


@pytest.fixture
def folder(tmp_path: Path) -> MonitorFolder:
    recipe = load_recipe(Path("recipes/complaints.yaml"))
    return MonitorFolder(tmp_path, load_settings("local"), recipe)


def version(**tags: str) -> ModelVersion:
    return ModelVersion(
        group="complaint-triage", version=2, status="Approved", artifact_sha256="0", threshold=0.5,
        tags=tags, aliases=("champion",),
    )  # fmt: skip


def capture_something(folder: MonitorFolder) -> None:
    hour = folder.home / "capture/complaint-triage/version=2/complaint-triage/primary/2026/03/08/10"
    hour.mkdir(parents=True)
    (hour / "a.jsonl").write_text("{}\n")


def test_nothing_captured_names_the_command_that_captures(folder: MonitorFolder) -> None:
    with pytest.raises(
        InputError, match=r"nothing is captured in .*: sashiko model serve"
    ) as refusal:
        run_monitor(folder, version(), window=WINDOW, command="sashiko monitor")
    assert str(refusal.value).endswith("--capture 100")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({}, "version 2 has no `reference_uri`"),
        (dict.fromkeys(MONITORING_TAGS, URI), "which monitoring compares it with, is gone"),
    ],
)
def test_a_version_without_its_held_out_rows_cannot_be_monitored(folder, tags, reason) -> None:
    capture_something(folder)
    with pytest.raises(InputError, match=reason) as refusal:
        run_monitor(folder, version(**tags), window=WINDOW, command="sashiko monitor")
    assert "run the pipeline again and approve the new version" in str(refusal.value)


@pytest.mark.slow
def test_texts_that_a_failed_run_left_are_removed_by_the_next_one(folder: MonitorFolder) -> None:
    capture_something(folder)
    left = (
        folder.home / "monitor/runs/20260301-000000-aaaa/work/Drift/rows.parquet",
        folder.path(f"{folder.places.decoded}/20260301-000000-aaaa/rows.parquet"),
    )
    for path in left:
        path.parent.mkdir(parents=True)
        path.write_text("a text")
    with pytest.raises(InputError, match="has no `reference_uri`"):
        run_monitor(folder, version(), window=WINDOW, command="sashiko monitor")
    assert not any(path.exists() for path in left)
