"""The page in a real browser: what parsing its text cannot show."""

from pathlib import Path

import pytest
import yaml

from sashiko.base.files import read_json, write_json
from sashiko.run_report import write_report
from sashiko_packs.monitoring.report.page import write_monitor_page
from sashiko_packs.selection.sweep import write_sweep
from sashiko_packs.selection.sweep_page import write_sweep_page
from tests.packs.monitoring.report.windows import windows
from tests.packs.selection.sweep.sweeps import recipe, sweep
from tests.unit.bias.report.test_intersections import CROSSED
from tests.unit.contract.documents import document
from tests.unit.run_report import runs
from tests.unit.run_report.browser import browser_tab, find_browser

CUT = """[...document.querySelectorAll(':is(.first, .beside) .scroll')]
  .filter(table => table.scrollWidth > table.clientWidth)"""
WIDTHS = (400, 1200)
OUTSIDE = """[...document.querySelectorAll('figure svg text')].filter(text => {
  const [inner, outer] = [text, text.closest('svg')].map(item => item.getBoundingClientRect());
  return inner.left < outer.left - 4 || inner.right > outer.right + 4;
}).map(text => text.textContent)"""
# A4 within the style sheet's margins, in CSS pixels.
PAPER = (int((210 - 26) / 25.4 * 96), int((297 - 28) / 25.4 * 96))
SECTIONS = ["", "data", "quality", "fairness", "explanations", "gates", "card", "lineage",
            "settings"]  # fmt: skip
SHOWN = """[...document.querySelectorAll('main section')].filter(
  section => section.checkVisibility() && section.getBoundingClientRect().height > 60
).map(section => section.id)"""


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    program = find_browser()
    if program is None:
        pytest.skip("no browser on PATH: the page was not tried in one (apt-get install chromium)")
    with browser_tab(program, tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module", params=["registered", "waived", "blocked", "failed"])
def page(request, tmp_path_factory):
    more = {"crossed": CROSSED} if request.param == "registered" else {}
    folder = getattr(runs, request.param)(tmp_path_factory.mktemp(request.param), **more)
    fill_first_screen(folder)
    return write_report(folder, folder.parents[1])


def fill_first_screen(folder: Path) -> None:
    """Gives the run as much to say as a real one: a card, limits, several gated figures."""
    text = "Late loans are reminded by a person who reads the title first; nobody is fined. " * 2
    keys = ("intended_uses", "not_intended_uses", "contacts", "explanations_for_risk_rating")
    for name, key, value in (
        ("recipe.yaml", "card", dict.fromkeys(keys, text)),
        ("contract.odcs.yaml", "description", {"purpose": text, "limitations": text}),
    ):
        path = folder / "evidence" / name
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {key: value}))
    verdict = folder.parents[1] / "s3/bucket/runs" / folder.name / "Evaluate/verdict/verdict.json"
    if verdict.exists():
        content = read_json(verdict)
        content["checks"] += [
            content["checks"][0] | {"name": f"auc lead over tfidf_logistic_regression {at}"}
            for at in range(4)
        ]
        write_json(verdict, content)


@pytest.fixture(scope="module", params=["a point will do", "none will do"])
def sweep_page(request, tmp_path_factory):
    home = tmp_path_factory.mktemp("sweep")
    dream = {"gates": [{"metric": "auc", "minimum": 0.999, "reason": "a dream"}]}
    result = sweep(recipe(quality=dream) if request.param == "none will do" else recipe())
    return write_sweep_page(result, write_sweep(result, home))


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_opens_whole_and_asks_for_nothing(tab, page, width):
    opens_whole(tab, page, width=width, sections=SECTIONS)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_sweeps_page_opens_whole_and_says_its_pictures(tab, sweep_page, width):
    opens_whole(tab, sweep_page, width=width, sections=["", "trade-off", "points", "rule"])
    tree = tab.call("Accessibility.getFullAXTree")["nodes"]
    names = [node["name"]["value"] for node in tree if node.get("role", {}).get("value") == "image"]
    assert [name.partition(":")[0] for name in names] == [
        f"{metric} against DI age=old on the validation split"
        for metric in ("balanced accuracy", "accuracy")
    ]
    tab.print_on(width=PAPER[0])
    assert tab.value("document.documentElement.scrollWidth") <= PAPER[0]


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
        tab, monitor_page, width=width, sections=["", "checks", "history", "window", "data"]
    )
    tree = tab.call("Accessibility.getFullAXTree")["nodes"]
    names = [node["name"]["value"] for node in tree if node.get("role", {}).get("value") == "image"]
    assert len(names) == tab.value("document.querySelectorAll('figure svg').length")
    assert all(names)
    # No label of a chart is cut off.
    assert tab.value(OUTSIDE) == []
    tab.print_on(width=PAPER[0])
    assert tab.value("document.documentElement.scrollWidth") <= PAPER[0]


def opens_whole(tab, page, *, width, sections):
    """Opens a page and holds that it is all there, says nothing to the console, loads nothing."""
    tab.open(page, width=width)
    assert tab.value(SHOWN) == sections
    assert tab.value("document.documentElement.scrollWidth") <= width
    assert tab.value(f"{CUT}.length") == 0
    console = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
    assert [event for event in tab.events if event[0] in console] == []
    urls = [
        event["request"]["url"] for method, event in tab.events
        if method == "Network.requestWillBeSent"
    ]  # fmt: skip
    assert urls[0] == page.as_uri()
    assert all(url.startswith("data:") for url in urls[1:])
    assert page.stat().st_size < 2_000_000


def test_nothing_of_the_data_runs(tab, tmp_path):
    hostile = "</style></svg><script>window.ran = 1</script><img src=x onerror='window.ran = 1'>"
    contract = document() | {"name": hostile, "description": {"purpose": hostile}}
    run = runs.started(tmp_path, contract=contract)
    runs.prepared(run)
    runs.judged(run, labels=("no", hostile))
    page = write_report(run.write("blocked", reason=hostile), tmp_path)
    tab.open(page, width=1200)
    assert hostile in tab.value("document.body.innerText")
    assert tab.value("typeof window.ran") == "undefined"


def test_every_picture_has_a_name_for_who_cannot_see_it(tab, page):
    tab.open(page, width=1200)
    tree = tab.call("Accessibility.getFullAXTree")["nodes"]
    names = [node["name"]["value"] for node in tree if node.get("role", {}).get("value") == "image"]
    assert names
    assert all(names)


def test_paper_cuts_nothing_off_and_what_is_to_sign_is_on_the_first_page(tab, page):
    tab.open(page, width=1200)
    tab.print_on(width=PAPER[0])
    assert tab.value("document.documentElement.scrollWidth") <= PAPER[0]
    assert tab.value(f"{CUT}.length") == 0
    assert tab.value("getComputedStyle(document.querySelector('.first')).breakAfter") == "page"
    if tab.value("document.querySelector('.sign') !== null"):
        bottom = "document.querySelector('.first').getBoundingClientRect().bottom"
        assert 0 < tab.value(bottom) <= PAPER[1]
