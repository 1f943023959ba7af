import pytest

from sashiko_packs.monitoring.report.page import write_monitor_page
from tests.packs.monitoring.report.windows import windows
from tests.unit.run_report.page import OUTSIDE, PAPER, WIDTHS, opens_whole

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
