"""What IAM answers of CloudFormation's role and its cap, as `make bootstrap` leaves them."""

import json
from collections.abc import Mapping
from typing import Any

from sashiko.account.names import bootstrap_policy_arn
from tests.infra.variants import settings_of
from tests.unit.account.fake_account import Answer

ROLE = "arn:aws:iam::111122223333:role"


def roles(*names: str, boundary: str = "cap") -> Answer:
    """IAM's answer where these roles exist and no others, each with a policy of the bootstrap."""
    arn = bootstrap_policy_arn(settings_of("dev"), boundary)
    limit = {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": arn}

    def answer(request: Mapping[str, Any]) -> Mapping[str, Any] | str:
        name = request["RoleName"]
        if name not in names:
            return "NoSuchEntity"
        role = {"Path": "/", "RoleId": "A" * 16, "CreateDate": 0, "Arn": f"{ROLE}/{name}"}
        return {"Role": {"RoleName": name, "PermissionsBoundary": limit, **role}}

    return answer


def cap(*, trust_open: bool) -> Answer:
    """The version of the cap that `make bootstrap` deploys, or `make bootstrap TRUST=open`."""
    from sashiko_cdk.bootstrap.policies import execution_cap

    statements = execution_cap(settings_of("dev"), trust_open=trust_open)
    document = {"Statement": [item.to_statement_json() for item in statements]}
    return {"PolicyVersion": {"VersionId": "v2", "Document": json.dumps(document)}}
