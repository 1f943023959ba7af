"""What `sashiko monitor` prints of a window."""

from pathlib import Path

from typer.testing import CliRunner

from sashiko.errors import InputError
from sashiko_packs.monitoring.commands import (
    app,
    describe_monitor,
    show_labels,
    show_window,
    version_commands,
)
from sashiko_packs.monitoring.labels import AddedLabels
from sashiko_packs.monitoring.retraining import Retraining
from tests.packs.monitoring.report.windows import deploy_week, windows


def lines(result):
    return [*describe_monitor(result)]


def test_a_quiet_window_takes_three_lines_and_the_next_command():
    result = windows(4)[-1]
    assert lines(result) == [
        "✓ OK",
        "late-loans version 3, 2026-01-26 to 2026-02-02: 13 of 13 checks are ok",
        "audit: 2 audited periods complete, the last one up to 2026-01-26, 14 of 100 rows labelled "
        "of the one up to 2026-02-02, 1 closed without all labels, the last up to 2026-01-12 with "
        "25 of 100: late labels still count, or raise `monitor.label_days`.",
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
    assert lines(result)[0].startswith("✕ ALARM")


def test_checks_that_were_not_judged_share_a_line_by_reason():
    result = windows(1, rows=60)[0]
    printed = lines(result)
    assert printed[0] == "! NO ALARM - inputs, drift, bias and accuracy not judged"
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
        "next: sashiko monitor audit --recipe late-loans --rows 100",
        "next: sashiko monitor --recipe late-loans --labels FILE",
    ]


def test_a_window_without_rows_asks_nobody_to_draw_some():
    result = windows(1)[0]
    empty = result.capture.model_copy(update={"rows": 0, "versions": ()})
    quality = result.quality.model_copy(update={"periods": ()})
    result = result.model_copy(update={"capture": empty, "quality": quality})
    assert not [line for line in lines(result) if line.startswith("next: ")]


def test_answers_of_the_version_before_a_deploy_have_the_command_that_judges_them():
    [result] = windows(1)
    result = deploy_week(result, before=2)
    others = version_commands(result, history=(result,), options=" --home h")
    again = "next: sashiko monitor --home h --version 3 --now 2026-01-12T00:00:00"
    printed = [*describe_monitor(result, others=others)]
    assert printed[0].startswith("! NO ALARM - ")
    assert "capture judged in part" in printed[0]
    assert [line for line in printed if line.startswith("not judged: answers of version 2")] == [
        "not judged: answers of version 2 are judged: 527 of 2,110 rows are of version 2, up to "
        "2026-01-12 00:00 UTC; the other checks are of version 3 alone"
    ]
    assert [line for line in printed if "--version" in line] == [
        "next: sashiko monitor --home h --version 2 --now 2026-01-12T00:00:00",
        again,
    ]
    before = result.model_copy(update={"version": 2})
    [command] = version_commands(result, history=(before, result), options=" --home h")
    assert f"next: {command}" == again
    assert version_commands(windows(1)[0], history=(), options="") == ()


def test_the_page_of_the_new_version_has_no_proposal_of_the_one_before(tmp_path, capsys):
    result = deploy_week(windows(1)[0], before=2)
    before = result.model_copy(update={"version": 2})
    page = tmp_path / "page.html"
    for judged, proposed in ((result, True), (before, False)):
        show_window(
            (before, result),
            judged,
            Retraining(action="propose", reasons=("alarm: drift of product",)),
            page=page,
            options=" --home h",
            again=f" --home h --version {judged.version}",
            others=lambda item: (f"sashiko monitor --version {item.version} again",),
            json_=False,
        )
        html = page.read_text()
        assert "late-loans, version 3" in html
        assert "answers of version 2 are judged" in html
        assert "sashiko monitor --version 3 again" in html
        assert ("retraining: proposed" in html) == proposed
        assert ("--home h --version" in html) == proposed
        assert "retraining: proposed" in capsys.readouterr().out


def test_a_contradicting_label_names_the_option_that_corrects_it(capsys):
    counts = {"rows": 3, "unlabelled": 0, "added": 1, "known": 0, "facets": None}
    show_labels(Path("a.csv"), AddedLabels(**counts, duplicated=2, corrected=0))
    assert capsys.readouterr().err == (
        "a.csv: 1 new labels of 3 rows; 2 contradict an earlier one, which counts: --correct "
        "replaces it\n"
    )
    show_labels(Path("a.csv"), AddedLabels(**counts, duplicated=0, corrected=2))
    assert capsys.readouterr().err == "a.csv: 1 new labels of 3 rows; 2 corrected\n"


def test_a_correction_needs_a_file_of_labels():
    done = CliRunner().invoke(app, ["audit", "--rows", "3", "--correct"])
    assert isinstance(done.exception, InputError)
    assert "--correct: give --labels" in str(done.exception)
