"""A file of core can be found by its name alone."""

from collections import defaultdict
from pathlib import Path

import sashiko
import sashiko_cdk

ROOTS = [Path(package.__file__).parent for package in (sashiko, sashiko_cdk)]


def test_no_two_files_of_core_share_a_name():
    paths = defaultdict(list)
    for root in ROOTS:
        for path in root.rglob("*.py"):
            if path.name not in {"__init__.py", "__main__.py"}:
                paths[path.name].append(str(path.relative_to(root.parent)))

    assert len(paths) > 100
    assert not {name: sorted(files) for name, files in paths.items() if len(files) > 1}
