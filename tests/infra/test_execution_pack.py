"""How what CloudFormation needs becomes policies: merged, packed, the same bytes each time."""

import itertools
import json

import pytest

from sashiko.errors import InputError
from sashiko_cdk.bootstrap.execution_limits import Limit
from sashiko_cdk.bootstrap.execution_pack import PARTS, pack
from sashiko_cdk.bootstrap.execution_policy import Need, merged
from sashiko_cdk.bootstrap.resource_types import resource_types

TAGGED = {"StringEquals": {"aws:ResourceTag/project": "sashiko"}}


def need(action, resource, **conditions):
    limit = Limit(resource=f"arn:aws:s3:::{resource}", conditions=conditions)
    return Need(action=action, limit=limit)


def many(count, *, length=40):
    return merged(need(f"s3:Get{'x' * length}{n}", f"sashiko-{n}") for n in range(count))


def triples(statements):
    return {
        (action, limit.resource, json.dumps(limit.conditions))
        for actions, limits in statements
        for action in actions
        for limit in limits
    }


def test_merging_allows_exactly_what_is_needed():
    needs = [
        need("s3:GetBucketTagging", "a-*"),
        need("s3:PutBucketTagging", "a-*"),
        need("s3:GetBucketTagging", "b-*"),
        need("s3:PutBucketTagging", "b-*"),
        need("s3:DeleteBucket", "b-*", **TAGGED),
    ]
    expected = {(n.action, n.limit.resource, json.dumps(n.limit.conditions)) for n in needs}

    for order in itertools.permutations(needs):
        statements = merged(order)
        assert triples(statements) == expected
        assert len(statements) == 2  # the actions of both buckets, and what the tag limits
        assert statements == merged(needs)


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


def test_a_property_takes_the_actions_that_are_for_it_alone():
    types = resource_types()
    bucket = {action for _, action in types.actions("AWS::S3::Bucket", {"BucketName": "b"})}
    with_cors = {
        action for _, action in types.actions("AWS::S3::Bucket", {"CorsConfiguration": {}})
    }

    assert with_cors - bucket == {"s3:PutBucketCORS"}
    assert "s3:PutObject" not in with_cors


def test_a_type_without_facts_is_an_error_with_the_command():
    with pytest.raises(
        InputError, match=r"python -m sashiko_cdk\.bootstrap\.describe_types AWS::EKS::Cluster"
    ):
        resource_types().of("AWS::EKS::Cluster")
