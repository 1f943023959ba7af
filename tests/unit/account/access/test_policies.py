"""IAM statements, evaluated as AWS does and in doubt as if they allowed."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import jmespath
import pytest

from sashiko.account.access.environment_access import Principal
from sashiko.account.access.lake_governance import add_reader
from sashiko.account.access.policy_evaluation import Request, allows, denies, overlap, statements

OBJECT = "arn:aws:s3:::sashiko-dev-curated/x"
ALLOW = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
DENY = {"Effect": "Deny", "Action": "s3:GetObject", "Resource": "*"}


@pytest.mark.parametrize(
    ("own", "boundary", "expected"),
    [
        ([ALLOW], None, True),
        ([ALLOW], [ALLOW], True),
        ([ALLOW], [ALLOW, DENY], False),
        ([ALLOW], [], False),
        ([ALLOW, DENY], [ALLOW], False),
        ([], [ALLOW], False),
    ],
)
def test_a_role_may_what_its_policies_allow_and_neither_they_nor_its_boundary_deny(
    own, boundary, expected
):
    role = Principal(
        name="broker",
        arn="arn:aws:iam::111122223333:role/sashiko-dev-broker",
        policy=statements({"Statement": own}),
        boundary=None if boundary is None else statements({"Statement": boundary}),
        trust=(),
    )
    assert role.may("s3:GetObject", OBJECT) == expected


ARN = "arn:aws:iam::111122223333:role/auditor"
ME = {"DataLakePrincipalIdentifier": ARN}
OTHER = {"DataLakePrincipalIdentifier": "arn:aws:iam::111122223333:role/other"}
QUERY = re.compile(r"--query '(DataLakeSettings \| merge\(@, {ReadOnlyAdmins[^']*)'")


@pytest.mark.parametrize("readers", [{}, {"ReadOnlyAdmins": [OTHER]}])
@pytest.mark.parametrize(
    "command", [add_reader(ARN), Path("docs/first-deploy.md").read_text()], ids=["doctor", "guide"]
)
def test_a_reader_joins_those_that_are_there(command, readers):
    (query,) = QUERY.findall(command)
    settings = {"DataLakeAdmins": [OTHER], **readers}
    changed = jmespath.search(query, {"DataLakeSettings": settings})
    assert changed == settings | {"ReadOnlyAdmins": [*readers.get("ReadOnlyAdmins", []), ME]}


READ = Request(
    action="s3:GetObject",
    resource="arn:aws:s3:::lake/people/*",
    context={"aws:principalarn": "arn:aws:iam::1:role/me", "aws:securetransport": "true"},
)


def policy(effect: str, **more: Any) -> Any:
    statement = {"Effect": effect, "Action": "s3:GetObject", "Resource": "*"} | more
    return statements({"Statement": {key: v for key, v in statement.items() if v is not None}})


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, True),
        ({"Action": "S3:get*"}, True),
        ({"Action": ["s3:PutObject"]}, False),
        ({"Action": None, "NotAction": "s3:Get*"}, False),
        ({"Action": None, "NotAction": ["s3:PutObject"]}, True),
        ({"Resource": "arn:aws:s3:::lake/people/2026/?"}, True),  # some of the objects
        ({"Resource": "arn:aws:s3:::lake/other/*"}, False),
        ({"Resource": None, "NotResource": "arn:aws:s3:::lake/*"}, False),
        ({"Resource": None, "NotResource": "arn:aws:s3:::lake/people/2026/*"}, True),
        ({"Condition": {"StringEquals": {"aws:PrincipalArn": "arn:aws:iam::1:role/me"}}}, True),
        ({"Condition": {"ArnLike": {"aws:PrincipalArn": ["arn:aws:iam::*:role/you"]}}}, False),
        ({"Condition": {"Bool": {"aws:SecureTransport": False}}}, False),
        ({"Condition": {"StringEquals": {"aws:PrincipalTag/x": "y"}}}, True),  # in doubt
        (
            {
                "Condition": {
                    "StringEquals": {"aws:PrincipalTag/x": "y"},
                    "StringLike": {"aws:PrincipalArn": "nobody"},
                }
            },
            False,
        ),
    ],
)
def test_allow(more, expected):
    assert allows(policy("Allow", **more), READ) == expected


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, True),
        ({"Resource": "arn:aws:s3:::lake/*"}, True),
        ({"Resource": "arn:aws:s3:::lake/people/2026/*"}, False),  # the other objects are left
        ({"Resource": None, "NotResource": "arn:aws:s3:::lake/people/2026/*"}, False),
        ({"Resource": None, "NotResource": "arn:aws:s3:::artifacts/*"}, True),
        ({"Condition": {"ArnNotEquals": {"aws:PrincipalArn": ["arn:aws:iam::1:role/me"]}}}, False),
        ({"Condition": {"ArnNotEquals": {"aws:PrincipalArn": ["arn:aws:iam::1:role/etl"]}}}, True),
        ({"Condition": {"StringNotEqualsIfExists": {"aws:SourceVpce": "vpce-1"}}}, False),
        ({"Condition": {"Null": {"aws:SourceVpce": "true"}}}, False),  # in doubt
        ({"Condition": {"Null": {"aws:PrincipalArn": "false"}}}, True),
    ],
)
def test_deny(more, expected):
    assert denies(policy("Deny", **more), READ) == expected


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"StringEquals": {"aws:PrincipalTag/x": "y"}}, False),
        ({"StringNotEquals": {"aws:PrincipalTag/x": "y"}}, True),
        ({"StringEqualsIfExists": {"aws:PrincipalTag/x": "y"}}, True),
        ({"StringEquals": {"aws:PrincipalArn": "arn:aws:iam::1:role/me"}}, True),
        ({"Null": {"aws:PrincipalTag/x": "true"}}, True),
        ({"Null": {"aws:PrincipalTag/x": "false"}}, False),
        ({"Null": {"aws:PrincipalArn": "true"}}, False),
        ({"Null": {"aws:PrincipalArn": "false"}}, True),
    ],
)
def test_a_complete_context_leaves_no_doubt(condition, holds):
    """A key that AWS does not find fails what must be equal, and holds what must not."""
    complete = replace(READ, complete=True)
    assert allows(policy("Allow", Condition=condition), complete) == holds
    assert denies(policy("Deny", Condition=condition), complete) == holds


@pytest.mark.parametrize(
    ("principal", "expected"),
    [
        ({"Principal": "*"}, True),
        ({"Principal": {"AWS": ["arn:aws:iam::1:role/me"]}}, True),
        ({"Principal": {"AWS": "arn:aws:iam::1:root", "Service": "glue.amazonaws.com"}}, False),
        ({"NotPrincipal": {"AWS": "arn:aws:iam::1:role/me"}}, False),
        ({"NotPrincipal": {"AWS": "arn:aws:iam::1:role/another"}}, True),
    ],
)
def test_whom_a_resources_policy_means(principal, expected):
    assert policy("Allow", **principal)[0].is_for("arn:aws:iam::1:role/me") == expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("a*c", "ab*", True),
        ("*", "", True),
        ("a?c", "abc", True),
        ("a*", "b*", False),
        ("x/*/z", "x/y/*", True),
        ("a[b]", "ab", False),
    ],
)
def test_patterns_that_meet(one, other, expected):
    assert overlap(one, other) == expected
