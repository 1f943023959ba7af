"""How what CloudFormation needs becomes policies: merged, packed, the same bytes each time."""

import json

import pytest

from sashiko.errors import InputError
from sashiko_cdk.bootstrap.execution_policy import PARTS, Limit, merged, pack
from sashiko_cdk.bootstrap.resource_types import resource_types


def need(action, resource, **conditions):
    return action, Limit(f"arn:aws:s3:::{resource}", conditions)


def many(count, *, length=40):
    return merged(need(f"s3:Get{'x' * length}{n}", f"sashiko-{n}") for n in range(count))


@pytest.mark.parametrize("count", [1, 2, 5, 37, 150])
def test_each_policy_has_a_part_of_all_statements(count):
    parts = pack(many(count))

    assert list(parts) == list(PARTS)
    assert all(parts.values())
    packed = [item.statement.to_json() for part in parts.values() for item in part]
    # Of fewer statements than policies one is repeated, as a policy without any is not valid.
    assert len(packed) == max(count, len(PARTS))
    assert len({json.dumps(item) for item in packed}) == count
    for allowed in parts.values():
        statements = [item.statement.to_json() for item in allowed]
        document = {"Version": "2012-10-17", "Statement": statements}
        assert len(json.dumps(document, separators=(",", ":"))) <= 6144


def test_what_does_not_fit_is_an_error_that_says_so():
    with pytest.raises(InputError, match=r"does not fit into 5 policies of 6144"):
        pack(many(600))


def test_a_type_without_facts_is_an_error_with_the_command():
    with pytest.raises(
        InputError, match=r"python -m sashiko_cdk\.bootstrap\.describe_types AWS::EKS::Cluster"
    ):
        resource_types().of("AWS::EKS::Cluster")
