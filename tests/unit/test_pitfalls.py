"""The ledgers of pitfalls name tests that exist, and each row has one or says that it is open."""

import re
from pathlib import Path

import pytest

from verification.guards.table import PAGES, ROOT, of_missing_pack, rows


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_each_named_test_exists(page: Path) -> None:
    named = {test for row in rows(page) for test in row.tests}

    assert named
    missing = []
    for test in sorted(named):
        file, _, name = test.partition("::")
        path = ROOT / file
        if of_missing_pack(file):
            continue
        if not path.is_file() or f"def {name}(" not in path.read_text():
            missing.append(test)
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_a_pitfall_has_a_test_or_a_rule_or_is_open(page: Path) -> None:
    bare = [
        row.name
        for row in rows(page)
        if not (
            re.search(r"`[\w/]*test_\w+\.py", row.text)
            or "rule `" in row.text
            or "*open*" in row.text
        )
    ]
    assert bare == []
