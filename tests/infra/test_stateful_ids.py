"""An upgrade never replaces a bucket, a table, a key or a role."""

import json

import pytest

from tests.golden.rewrite import ROOT, stateful_ids
from tests.infra.delivery import delivery_folder
from tests.infra.variants import synthesized


@pytest.mark.parametrize("environment", ["dev", "prod", "delivery"])
def test_stateful_resources_keep_their_logical_ids(environment):
    file = ROOT / f"tests/golden/stateful_ids.{environment}.json"
    folder = delivery_folder() if environment == "delivery" else synthesized(environment)
    golden, current = json.loads(file.read_text()), stateful_ids(folder)

    missing = {
        f"{stack}/{logical_id} ({kind})"
        for stack, kinds in golden.items()
        for logical_id, kind in kinds.items()
        if current.get(stack, {}).get(logical_id) != kind
    }
    assert not missing, (
        f"CloudFormation would delete these and make others: {sorted(missing)}. Where data is "
        "retained it stays behind, unmanaged, and its fixed name refuses the new one; where it is "
        "not, it is lost. Keep the construct's path, or plan the move and say so in CHANGELOG.md."
    )
    assert current == golden, "new stateful resources: run `make golden` and commit the file"
