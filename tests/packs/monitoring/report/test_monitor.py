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
from sashiko_packs.monitoring.capture.record import CaptureProblem, ProblemKind
from sashiko_packs.monitoring.report.page import columns, write_monitor_page
from sashiko_packs.monitoring.report.plots import History, outcomes
from sashiko_packs.monitoring.report.words import PROBLEMS
from sashiko_packs.monitoring.result import Distribution
from tests.packs.monitoring.report.windows import FIRST, WEEK, windows
from tests.unit.run_report.page import HOSTILE, OUTSIDE, PAPER, WIDTHS, Page, opens_whole

DRAW = "sashiko monitor sample --recipe late-loans --rows 100"
LABELS = "sashiko monitor --recipe late-loans --labels FILE"
DAY = dt.timedelta(days=1)
DATE = r'<text [^>]*\bx="([\d.]+)"[^>]*>(\d{4}-\d\d-\d\d)</text>'
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
    assert "✕ Alarm" in top
    assert alarm[-1].summary in top
    assert "late-loans, version 4: 2026-04-06 to 2026-04-13" in alarmed.text("top")
    assert "The requests are not like the rows that the version was tested on" in top
    assert "bring it to whoever answers for fairness" in top
    assert LABELS in top


def test_alarms_are_the_first_rows_and_the_plots_mark_a_deploy_once_each(alarmed, alarm):
    outcomes = MARK.findall(section(alarmed, "checks"))
    count = sum(check.outcome == "alarm" for check in alarm[-1].checks)
    assert outcomes == ["alarm"] * count + ["ok"] * (len(alarm[-1].checks) - count)
    charts = section(alarmed, "history").count("<svg")
    assert History(tuple(alarm)).deploys == ((alarm[5].start, 4),)
    assert section(alarmed, "history").count(">version 4</text>") == charts


def test_windows_that_were_not_judged_differ_from_ok_in_shape():
    few, quiet = (History(tuple(windows(4, rows=rows))) for rows in (60, 2_000))
    ok, not_judged = "fill: #0b4f8a", "fill: #ffffff; stroke: #59636e"
    for history, shape, other in ((quiet, ok, not_judged), (few, not_judged, ok)):
        drawn = outcomes(history, ["drift of product"])
        marks = drawn.split('id="outcomes-axes_1"')[1].split('id="outcomes-legend_1"')[0]
        assert shape in marks
        assert other not in marks
    assert "drift of product 4 not judged" in outcomes(few, ["drift of product"])
    top = page_of(few.results[:1])
    said = "! No alarm - inputs, drift, bias and accuracy not judged"
    assert top.text("decision").startswith(said)
    assert top.text("decision").count("No alarm") == 1
    assert "not shown to be good: missing values of amount, drift of" in top.text("decision")
    assert 'class="outcome interrupted"' in top.html  # not the green of a window that is ok


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


LENGTHS = [
    [7] * 4 + [1] * 8, [1] * 8 + [7] * 4, [28, 1, 7, 1, 1, 7], [1, 1, 60], [7] * 14, [1, 1, 1],
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("lengths", LENGTHS)
def test_dates_do_not_overlap_however_long_the_windows_are(lengths):
    ends = [FIRST + sum(lengths[: number + 1]) * DAY for number in range(len(lengths))]
    history = [
        changed(item, start=end - length * DAY, end=end)
        for item, end, length in zip(windows(len(lengths)), ends, lengths, strict=True)
    ]
    charts = section(page_of(history), "history").split("<svg")[1:]
    assert len(charts) == 2
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


def test_a_file_that_cannot_be_written_is_an_input_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError):
        write_monitor_page(windows(1), tmp_path / "file" / "monitor.html")


TEXTS = st.one_of(
    st.sampled_from((HOSTILE, "</svg></style><img src=x onerror=alert(1)>", "$x^2$", "_a", "列")),
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=60),
)


@settings(max_examples=4, deadline=None)
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


MONITORED = {
    "alarm": lambda: windows(14, shifted=10, deploy=5),
    "one window": lambda: windows(1, rows=60),
    "a year": lambda: windows(60, deploy=30, cells=50),
    "no bias": lambda: windows(2, disparities=None, without_facets=None),
}


@pytest.fixture(scope="module", params=MONITORED)
def monitor_page(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("monitor") / "monitor.html"
    return write_monitor_page(MONITORED[request.param](), path)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_monitors_page_opens_whole_and_says_its_pictures(tab, monitor_page, width):
    opens_whole(
        tab, monitor_page, width=width, sections=["decision", "history", "checks", "window", "data"]
    )
    tree = tab.call("Accessibility.getFullAXTree")["nodes"]
    names = [node["name"]["value"] for node in tree if node.get("role", {}).get("value") == "image"]
    assert len(names) == tab.value("document.querySelectorAll('figure svg').length")
    assert all(names)
    # No label of a chart is cut off.
    assert tab.value(OUTSIDE) == []
    tab.print_on(width=PAPER[0])
    assert tab.value("document.documentElement.scrollWidth") <= PAPER[0]
