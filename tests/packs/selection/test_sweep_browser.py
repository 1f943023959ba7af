import pytest

from sashiko_packs.selection.report.page import write_choice_page
from sashiko_packs.selection.report.sweep_page import sweep_view
from sashiko_packs.selection.sweep import write_sweep
from tests.packs.selection.sweep.sweeps import recipe, sweep
from tests.unit.run_report.page import PAPER, WIDTHS, opens_whole


@pytest.fixture(scope="module", params=["a point will do", "none will do"])
def sweep_page(request, tmp_path_factory):
    home = tmp_path_factory.mktemp("sweep")
    dream = {"gates": [{"metric": "auc", "minimum": 0.999, "reason": "a dream"}]}
    result = sweep(recipe(quality=dream) if request.param == "none will do" else recipe())
    return write_choice_page(sweep_view(result), write_sweep(result, home))


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
