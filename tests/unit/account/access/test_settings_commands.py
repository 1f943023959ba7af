"""The commands that change the data-lake settings leave what is there."""

import re
from pathlib import Path
from typing import Any

import jmespath
import pytest

from sashiko.account.access.lake_governance import add_reader

ARN = "arn:aws:iam::111122223333:role/auditor"
ME = {"DataLakePrincipalIdentifier": ARN}
OTHER = {"DataLakePrincipalIdentifier": "arn:aws:iam::111122223333:role/other"}
QUERY = re.compile(r"--query '(DataLakeSettings \| merge\(@, {ReadOnlyAdmins[^']*)'")


@pytest.mark.parametrize("readers", [{}, {"ReadOnlyAdmins": [OTHER]}])
@pytest.mark.parametrize(
    "command", [add_reader(ARN), Path("docs/first-deploy.md").read_text()], ids=["doctor", "guide"]
)
def test_a_reader_joins_those_that_are_there(command: str, readers: dict[str, Any]) -> None:
    (query,) = QUERY.findall(command)
    settings = {"DataLakeAdmins": [OTHER], **readers}
    changed = jmespath.search(query, {"DataLakeSettings": settings})
    assert changed == settings | {"ReadOnlyAdmins": [*readers.get("ReadOnlyAdmins", []), ME]}
