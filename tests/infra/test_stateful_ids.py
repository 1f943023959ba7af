"""An upgrade never replaces a bucket, a table, a key or a role."""

import pytest

from tests.golden.parts import read_parts
from tests.golden.rewrite import stateful_ids
from tests.infra.variants import synthesized


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_stateful_resources_keep_their_logical_ids(environment):
    golden = read_parts(f"stateful_ids.{environment}.json")
    ids = stateful_ids(synthesized(environment))
    current = {stack: kinds for stack, kinds in ids.items() if kinds}

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
