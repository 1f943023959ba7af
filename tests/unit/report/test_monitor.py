"""The monitor's page: what a product owner reads of the windows of a deployed model."""

import datetime as dt
import re
import tempfile
import warnings
from itertools import pairwise
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from matplotlib.textpath import TextPath

from sashiko.errors import InputError
from sashiko.evaluation.metrics.quality import Confusion
from sashiko.monitoring.capture.record import CaptureProblem, ProblemKind
from sashiko.monitoring.label_free import CONDITION, LabelFreeAccuracy
from sashiko.monitoring.result import Distribution
from sashiko.report.monitor_history import History
from sashiko.report.monitor_page import write_monitor_page
from sashiko.report.monitor_plots import outcomes, rows
from sashiko.report.monitor_window import columns
from sashiko.report.monitor_words import PROBLEMS
from tests.unit.report.page import HOSTILE, Page
from tests.unit.report.windows import FIRST, WEEK, windows

DRAW = "sashiko monitor audit --recipe late-loans --rows 100"
LABELS = "sashiko monitor --recipe late-loans --labels FILE"
DAY = dt.timedelta(days=1)
DATE = r'<text [^>]*\bx="([\d.]+)"[^>]*>(\d{4}-\d\d-\d\d)</text>'
SECTIONS = ("checks", "history", "window", "data")
MARK = re.compile(r'<span class="mark (ok|alarm|unjudged)">')


def page_of(results) -> Page:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "monitor.html")
        assert write_monitor_page(results, path) == path
        return Page(path.read_text())


def section(page: Page, anchor: str) -> str:
    return page.html.split(f'<section id="{anchor}"')[1].split("</section>")[0]


def alternatives(page: Page, anchor: str) -> list[str]:
    """The text alternatives of a section's pictures."""
    return re.findall(r'role="img" aria-label="([^"]*)"', section(page, anchor))


def changed(result, **changes):
    return result.model_copy(update=changes)


@pytest.fixture(scope="module")
def alarm():
    """Windows of two versions, whose last ones shifted."""
    return windows(14, shifted=10, deploy=5)


@pytest.fixture(scope="module")
def alarmed(alarm):
    return page_of(alarm)


def test_an_alarm_is_named_first_with_what_it_means_and_what_to_do(alarmed, alarm):
    top = alarmed.text("decision")
    assert "✕ ALARM" in top
    assert alarm[-1].summary in top
    assert "late-loans, version 4: 2026-04-06 to 2026-04-13" in top
    assert "The requests are not like the rows that the version was tested on" in top
    assert "bring it to whoever answers for fairness" in top
    assert LABELS in top


def test_alarms_are_the_first_rows_of_the_checks(alarmed, alarm):
    outcomes = MARK.findall(section(alarmed, "checks"))
    count = sum(check.outcome == "alarm" for check in alarm[-1].checks)
    assert outcomes == ["alarm"] * count + ["ok"] * (len(alarm[-1].checks) - count)


def test_a_check_shows_its_size_tolerance_and_rows(alarmed, alarm):
    by_name = {check.name: check for check in alarm[-1].checks}
    check = by_name["disparate impact of age"]
    text = alarmed.text("checks")
    assert (
        f"{check.name} disparate impact ✕ alarm {check.value:.3f} "
        f"[{check.low:.3f}, {check.high:.3f}] at least 0.860 {check.rows:,} 100 needed" in text
    )
    assert "share of rows that break the rule ✓ ok 0.1 % at most 1.0 %" in text
    # A gate's bounds are in its name.
    assert "at least 0.8" not in text.replace("at least 0.860", "")


def test_accuracy_is_of_complete_periods_with_reference_and_lowest_tolerated(alarmed, alarm):
    accuracy = alternatives(alarmed, "history")[1]
    period = [item for item in alarm[-1].quality.periods if item.state != "open"][-1]
    share = period.right / (period.right + period.wrong)
    assert f"Audited rows last had {share:.3f}, interval" in accuracy
    assert "The reference is 0.790, the lowest tolerated accuracy 0.770" in accuracy


def test_the_plots_over_time_mark_a_deploy_once_each(alarmed, alarm):
    charts = section(alarmed, "history").count("<svg")
    assert History(tuple(alarm)).deploys == ((alarm[5].start, 4),)
    assert section(alarmed, "history").count(">version 4</text>") == charts


def test_ordinary_labels_and_the_estimate_are_named_for_what_they_are(alarmed):
    text = section(alarmed, "history")
    assert "ordinary labels, not judged" in text
    assert CONDITION in text


def test_a_withdrawn_estimate_leaves_a_gap_and_says_why():
    results = windows(6)
    without = [
        changed(item, label_free=LabelFreeAccuracy(value=None, withdrawn="alarm: x"))
        for item in results
    ]
    page = page_of(without)
    assert "No estimate without labels for this window: alarm: x." in page.text("history")
    assert CONDITION not in section(page, "history")


def test_windows_that_were_not_judged_differ_from_ok_in_shape():
    few, quiet = (History(tuple(windows(4, rows=rows))) for rows in (60, 2_000))
    ok, not_judged = "fill: #0b4f8a", "fill: #ffffff; stroke: #59636e"
    for history, shape, other in ((quiet, ok, not_judged), (few, not_judged, ok)):
        drawn = outcomes(history, ["drift of product"], [])
        marks = drawn.split('id="outcomes-axes_1"')[1].split('id="outcomes-legend_1"')[0]
        assert shape in marks
        assert other not in marks
    assert "drift of product 4 not judged" in outcomes(few, ["drift of product"], [])
    bars = {name: rows(history).split('id="rows-legend_1"')[0] for name, history in
            (("few", few), ("quiet", quiet))}  # fmt: skip
    assert "url(#rows-h" in bars["few"]  # hatched
    assert "url(#rows-h" not in bars["quiet"]
    top = page_of(few.results[:1])
    assert "! NO ALARM" in top.text("decision")
    assert "No alarm - inputs, drift, bias and accuracy not judged." in top.text("decision")
    assert 'class="outcome interrupted"' in top.html  # not the green of a window that is ok


def test_the_shares_of_this_window_name_the_largest_changes(alarmed):
    figures = alternatives(alarmed, "window")
    assert figures[0].startswith("product: shares of the reference and of the window. ")
    assert "Largest changes: product 3: 13.6 % to 2" in figures[0]


def test_hidden_cells_count_in_the_total_of_the_other_columns_and_are_shown_as_hidden():
    whole = Distribution(name="a", cells=("x", "y"), reference=(500, 500), window=(60, 40))
    part = Distribution(
        name="b", cells=("x", "y", "z"), reference=(None, None, 900), window=(None, None, 50)
    )
    shares = {item.name: item.shares for item in columns((whole, part))}
    assert (shares["b"][2].reference, shares["b"][2].window) == (0.9, 0.5)
    assert shares["b"][0].change is None
    result = changed(windows(1)[0], distributions=(part,))
    text = page_of([result]).text("window")
    assert "x: hidden" in text
    assert "could stand for a person: they are hidden" in text


def test_a_column_of_many_cells_shows_the_most_changed_and_a_table_of_all():
    page = page_of(windows(2, shifted=1, cells=50))
    assert "The 12 most changed of 52 cells." in page.text("window")
    table = section(page, "window").split("All cells of the columns that have many (208)")[1]
    assert table.count("<tr") == 1 + 4 * 52
    assert ">product 3</td>" in table.split("</tr>")[1]


def test_every_kind_of_problem_has_its_sentence_and_first_place():
    kinds = [kind for union in get_args(ProblemKind) for kind in get_args(union)]
    assert len(kinds) > 10
    result = windows(1)[0]
    problems = tuple(
        CaptureProblem(kind=kind, count=1_000 + at, first=f"a.jsonl:{at}")
        for at, kind in enumerate(kinds)
    )
    text = page_of([changed(result, capture=changed(result.capture, problems=problems))]).text(
        "data"
    )
    for at, kind in enumerate(kinds):
        assert f"{kind} {1_000 + at:,} {PROBLEMS[kind]} a.jsonl:{at} " in f"{text} "


def test_labels_are_counted_by_what_became_of_them(alarmed):
    text = alarmed.text("data")
    assert "labels left out: another one for the same row 2" in text
    assert "labels that were corrected 5" in text
    assert "labels left out: of keys that were never answered 1" in text
    assert "open: waits for labels" in text


def test_without_a_draw_of_the_window_the_next_step_is_to_draw():
    result = windows(3)[-1]
    settled = tuple(item for item in result.quality.periods if item.end <= result.start)
    page = page_of([changed(result, quality=changed(result.quality, periods=settled))])
    top = page.text("decision")
    assert DRAW in top
    assert top.index(DRAW) < top.index(LABELS)


def test_a_labelled_window_asks_for_nothing():
    result = windows(1)[0]
    labelled = Confusion(
        true_positives=40, false_positives=10, false_negatives=10, true_negatives=40
    )
    period = changed(
        result.quality.periods[0], state="complete", labelled=labelled, unlabelled_negative=0
    )
    page = page_of([changed(result, quality=changed(result.quality, periods=(period,)))])
    assert "nothing to do until the next one" in page.text("decision")
    assert "sashiko monitor" not in page.text("decision")


def test_a_recipe_that_judges_no_bias_says_so_and_draws_none():
    page = page_of(windows(2, disparities=None, without_facets=None))
    assert "The recipe does not judge bias" in page.text("history")
    assert not [text for text in alternatives(page, "history") if "isparate" in text.split(":")[0]]
    assert "facets are unknown" not in page.text("data")


def test_before_the_first_window_the_page_says_so():
    page = page_of([])
    assert "No window has been judged yet." in page.text("decision")
    assert "sashiko monitor" in page.text("decision")


def test_an_empty_window_and_one_without_checks_have_a_page():
    result = windows(1)[0]
    empty = changed(
        result,
        checks=(), distributions=(), disparities=(), outcome="partly judged",
        capture=changed(result.capture, versions=(), problems=(), rows=0, requests=0),
    )  # fmt: skip
    page = page_of([empty])
    assert "The window has no checks." in page.text("checks")
    assert "No distribution was measured." in page.text("window")
    assert "No version answered in this window." in page.text("data")
    assert "Nothing was wrong with what was read." in page.text("data")


def test_a_year_of_windows_and_fifty_columns_stay_readable():
    names = tuple(f"column {number}" for number in range(50))
    page = page_of(windows(60, deploy=30, columns=names, cells=10))
    assert len(page.html) < 2_000_000
    figures = alternatives(page, "history")
    assert "40 other checks" in figures[0]
    assert figures[2].count("×") == 12
    assert len(alternatives(page, "window")) == 8
    assert "<summary>What moved less (43)" in section(page, "window")


LENGTHS = [
    [7] * 4 + [1] * 8,
    [1] * 8 + [7] * 4,
    [28, 1, 7, 1, 1, 7],
    [1, 1, 60],
    [7] * 14,
    [1, 1, 1],
]


@pytest.mark.parametrize("lengths", LENGTHS)
def test_dates_do_not_overlap_however_long_the_windows_are(lengths):
    ends = [FIRST + sum(lengths[: number + 1]) * DAY for number in range(len(lengths))]
    history = [
        changed(item, start=end - length * DAY, end=end)
        for item, end, length in zip(windows(len(lengths)), ends, lengths, strict=True)
    ]
    charts = section(page_of(history), "history").split("<svg")[1:]
    assert len(charts) == 6
    for chart in charts:
        dates = {float(x): text for x, text in re.findall(DATE, chart)}
        assert max(dates.values()) == f"{ends[-1]:%Y-%m-%d}"
        places = sorted(dates)
        # Nine points high, so no wider than this in matplotlib's font, which is a wide one.
        width = TextPath((0, 0), "0000-00-00", size=9).get_extents().width
        assert all(later - earlier > width + 4 for earlier, later in pairwise(places))


def test_a_rollback_shows_each_period_once():
    first, second = windows(6), windows(9, deploy=6)[6:]
    again = [
        changed(item, start=item.start + 9 * WEEK, end=item.end + 9 * WEEK) for item in first[-1:]
    ]
    history = History((*first, *second, *again))
    assert [version for _, version in history.deploys] == [4, 3]
    assert len(history.periods) == 6 + 3


def test_equal_results_give_equal_bytes(alarm, alarmed):
    again = page_of([item.model_copy(deep=True) for item in alarm])
    assert again.html == alarmed.html


def test_nothing_is_loaded_and_every_picture_is_described(alarmed):
    references = [
        value for _, attributes in alarmed.tags for name, value in attributes.items()
        if name in ("href", "src", "xlink:href")
    ]  # fmt: skip
    assert all(value.startswith(("#", "data:")) for value in references)
    assert alarmed.html.count("<svg") == alarmed.html.count('role="img" aria-label="')
    ids = [attributes["id"] for _, attributes in alarmed.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_a_file_that_cannot_be_written_is_an_input_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError):
        write_monitor_page([], tmp_path / "file" / "monitor.html")


TEXTS = st.one_of(
    st.sampled_from((HOSTILE, "</svg></style><img src=x onerror=alert(1)>", "$x^2$", "_a", "列")),
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=60),
)


@settings(max_examples=8, deadline=None)
@given(name=TEXTS, value=TEXTS, summary=TEXTS)
@example(name="a", value="b", summary="one\rtwo\r\nthree")
def test_any_text_is_only_text(name, value, summary):
    result = windows(1, shifted=0, columns=(name,))[0]
    drift = changed(result.distributions[0], cells=(value, *result.distributions[0].cells[1:]))
    group = changed(result.disparities[0], facet=name, group=value)
    checks = tuple(changed(check, reason=value) for check in result.checks)
    problem = CaptureProblem(kind="cut-line", count=1, first=value)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # such as letters that a font lacks
        page = page_of([
            changed(
                result,
                group=name, recipe=name, summary=summary, checks=checks, distributions=(drift,),
                disparities=(group,), capture=changed(result.capture, problems=(problem,)),
            )
        ])  # fmt: skip
    # No text became an element or an attribute.
    assert not {"script", "img"} & {tag for tag, _ in page.tags}
    assert not [name for _, attributes in page.tags for name in attributes if name[:2] == "on"]
    # HTML knows one kind of line end (Standard, 13.2.3.5: newlines are normalized).
    normalized = summary.replace("\r\n", "\n").replace("\r", "\n")
    assert normalized in "".join(page.texts["decision"])


def test_times_are_shown_in_utc():
    result = windows(1)[0]
    zone = dt.timezone(dt.timedelta(hours=9))
    moved = changed(result, start=result.start.astimezone(zone), end=result.end.astimezone(zone))
    assert "version 3: 2026-01-05 to 2026-01-12" in page_of([moved]).text("decision")
