"""Data and contracts with HTML: the Data Docs show it as text."""

import pyarrow as pa
import pytest

from sashiko.contract.suite_checks import run_checks
from tests.unit.contract.documents import (
    column_of,
    contract_of,
    custom,
    document,
    rows,
    stream_of,
    table_of,
)
from tests.unit.run_report.browser import browser_tab, find_browser

SCRIPT = "<script>window.ran = 1</script>"
HOSTILE = f"</td></script>{SCRIPT}<img src=x onerror='window.ran = 1'>{{{{ 7 * 7 }}}} $value"


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The pages of a view in which names, rules and failing values hold HTML."""
    folder = tmp_path_factory.mktemp("hostile")
    edited = document()
    table_of(edited)["properties"] = [
        column
        for column in table_of(edited)["properties"]
        if column["name"] not in ("reader", "age")  # else failing values are not shown at all
    ]
    edited["name"] = HOSTILE
    custom(edited, "facets")["value"] = []
    custom(edited, "label")["value"]["negative"] = HOSTILE
    column_of(edited, "late")["enum"] = [{"value": "yes"}, {"value": HOSTILE}]
    column_of(edited, "title")["description"] = HOSTILE
    column_of(edited, "title")["logicalTypeOptions"] = {"pattern": f"^{SCRIPT}$"}
    table_of(edited)["quality"].append({"metric": "rowCount", "mustBe": 1, "description": HOSTILE})
    contract = contract_of(edited, folder)
    table = rows(contract)
    for name in ("late", "title"):
        position = table.schema.get_field_index(name)
        table = table.set_column(position, name, pa.array([f"x{HOSTILE}"] * len(table)))
    checks = run_checks(stream_of(table), contract, "training", docs=folder / "docs")
    failed = [check.reason for check in checks if not check.passed]
    assert sum(SCRIPT[:20] in reason for reason in failed) == 2  # where a page could show values
    return sorted((folder / "docs").rglob("*.html"))


def test_data_docs_hold_no_markup_of_the_data(pages):
    texts = [page.read_text() for page in pages]
    assert any("&lt;script&gt;window.ran" in text for text in texts)
    for text in texts:
        assert SCRIPT not in text
        assert "<img src=x" not in text


def test_a_browser_runs_nothing_of_the_data(pages, tmp_path):
    program = find_browser()
    if program is None:
        pytest.skip("no browser on PATH: the pages were not tried (apt-get install chromium)")
    with browser_tab(program, tmp_path) as tab:
        for page in pages:
            tab.open(page, width=1200)
            assert tab.value("typeof window.ran") == "undefined"
