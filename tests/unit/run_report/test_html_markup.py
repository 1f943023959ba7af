"""The page as a file: no markup from the data, nothing from elsewhere, the same bytes again."""

import re

from sashiko.run_report import write_report
from tests.unit.run_report import runs
from tests.unit.run_report.page import HOSTILE, page_of


def test_texts_from_the_data_are_never_markup(tmp_path):
    contract = runs.contract_with(
        name=HOSTILE, description={"purpose": HOSTILE, "limitations": HOSTILE}
    )
    run = runs.started(tmp_path, contract=contract)
    runs.prepared(run)
    runs.judged(run, labels=("no", HOSTILE))
    run.step("ModelGate", "blocked", reason=HOSTILE)
    page = page_of(run.write("blocked", reason=HOSTILE))
    assert "script" not in {tag for tag, _ in page.tags}
    assert "<script" not in page.html
    assert "49" not in page.text("decision")
    assert HOSTILE in page.text("decision")
    assert HOSTILE in page.text("data")


def test_a_log_that_lies_elsewhere_is_not_shown(tmp_path):
    (tmp_path / "secret").write_text("error: the secret\n")
    run = runs.started(tmp_path)
    run.step("Snapshot", "failed", reason="broke", log="../../secret")
    page = page_of(run.write("failed", reason="step Snapshot failed: broke"))
    assert "the secret" not in page.html


def test_the_page_needs_nothing_else(registered):
    page = registered
    assert len(page.html) < 2_000_000
    for _, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "srcset", "action"):
            value = attributes.get(name) or ""
            assert value == "" or value.startswith("#") or value == "data:,"
        assert not any(name.startswith("on") for name in attributes)
    assert not re.search(r"@import|url\((?!#)", page.html)
    assert {"script", "iframe", "object", "embed"}.isdisjoint(tag for tag, _ in page.tags)


def test_the_same_run_gives_the_same_bytes(tmp_path):
    folder = runs.registered(tmp_path)
    first = write_report(folder, tmp_path / "home").read_bytes()
    assert write_report(folder, tmp_path / "home").read_bytes() == first
