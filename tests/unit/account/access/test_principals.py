"""What a role may do: within its boundary, and by its own policies."""

from collections.abc import Mapping
from typing import Any

import pytest

from sashiko.account.access.environment_access import Principal
from sashiko.account.access.policy_evaluation import statements

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
    own: list[Mapping[str, Any]], boundary: list[Mapping[str, Any]] | None, expected: bool
) -> None:
    role = Principal(
        name="broker",
        arn="arn:aws:iam::111122223333:role/sashiko-dev-broker",
        policy=statements({"Statement": own}),
        boundary=None if boundary is None else statements({"Statement": boundary}),
        trust=(),
    )
    assert role.may("s3:GetObject", OBJECT) == expected
