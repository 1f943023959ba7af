"""The page in a real browser: what parsing its text cannot show."""

from pathlib import Path

import pytest
import yaml

from sashiko.base.files import read_json, write_json
from sashiko.run_report import write_report
from tests.unit.bias.report.test_disparity import CROSSED
from tests.unit.contract.documents import document
from tests.unit.run_report import runs
from tests.unit.run_report.page import CUT, PAPER, WIDTHS, opens_whole

SECTIONS = ["decision", "use", "scope", "data", "training", "quality", "fairness", "explanations",
            "limitations", "gates", "metrics", "lineage", "settings"]  # fmt: skip
SCREEN = (1280, 800)
BACKGROUND = "getComputedStyle(document.body).backgroundColor"
# The lightness of each text of a chart and of the page behind it, from 0 to 255.
INKS = """[...document.querySelectorAll('figure svg text, h3, p, td')].map(
  part => getComputedStyle(part)[part.closest('svg') ? 'fill' : 'color'].match(/\\d+/g).map(Number)
).map(([red, green, blue]) => (red + green + blue) / 3)"""


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


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_opens_whole_and_asks_for_nothing(tab, page, width):
    opens_whole(tab, page, width=width, sections=SECTIONS)


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
    assert len(names) == tab.value("document.querySelectorAll('figure svg').length")
    assert all(names)


def test_paper_cuts_nothing_off_and_what_is_to_sign_is_on_the_first_page(tab, page):
    tab.open(page, width=1200)
    tab.print_on(width=PAPER[0])
    assert tab.value("document.documentElement.scrollWidth") <= PAPER[0]
    assert tab.value(f"{CUT}.length") == 0
    assert tab.value("getComputedStyle(document.querySelector('.first')).breakAfter") == "page"
    assert tab.value("getComputedStyle(document.querySelector('nav')).display") == "none"
    if tab.value("document.querySelector('.sign') !== null"):
        bottom = "document.querySelector('.first').getBoundingClientRect().bottom"
        assert 0 < tab.value(bottom) <= PAPER[1]


def test_the_decision_fits_one_screen(tab, page):
    tab.open(page, width=SCREEN[0])
    bottom = "document.querySelector('.first').getBoundingClientRect().bottom"
    assert 0 < tab.value(bottom) <= SCREEN[1]


def test_the_index_stays_in_sight_where_there_is_room(tab, page):
    tab.open(page, width=SCREEN[0])
    tab.value("document.querySelector('#settings').scrollIntoView()")
    top = "document.querySelector('nav').getBoundingClientRect().top"
    assert 0 <= tab.value(top) < 50
    assert tab.value("""[...document.querySelectorAll('nav a')].every(
      link => document.querySelector(link.getAttribute('href')) !== null)""")
    tab.open(page, width=WIDTHS[0])
    assert tab.value("getComputedStyle(document.querySelector('nav')).position") == "static"


def test_in_the_dark_every_text_is_light_on_a_dark_page_charts_too(tab, page):
    tab.open(page, width=SCREEN[0])
    assert tab.value(BACKGROUND) == "rgb(255, 255, 255)"
    tab.open(page, width=SCREEN[0], scheme="dark")
    assert tab.value(BACKGROUND) == "rgb(20, 24, 29)"
    assert [ink for ink in tab.value(INKS) if ink < 100] == []
