"""What the builds of a delivery run needs nothing but requirements/deploy.txt."""

import pytest

from sashiko_packs.delivery.pack import PACK
from tests.unit.commands.deploy_tools import import_with_the_lock


# A command below `sashiko model` is found by that group's module.
@pytest.mark.parametrize("path", PACK.commands)
def test_what_a_build_runs_needs_nothing_but_the_lock(path: str) -> None:
    group = "sashiko.commands.model_command" if path.startswith("model ") else "sashiko.cli"
    import_with_the_lock(group, command=PACK.commands[path].partition(":")[0])
