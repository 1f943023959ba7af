"""Refuses a deploy while the lake is open to every principal with Glue permissions.

The function's role has the IAM permissions to read the catalog and no Lake Formation grant. So a
visible resource is granted to `IAM_ALLOWED_PRINCIPALS` or another group of all principals. To other
reads Lake Formation answers `AccessDeniedException: Insufficient Lake Formation permission(s)`
("Troubleshooting Lake Formation", troubleshooting.html). ListPermissions is no alternative: its
list is "filtered by the permissions of the caller" (API_ListPermissions.html), so it is only
complete for an administrator.
"""

import json
from collections.abc import Mapping
from typing import Any

import boto3
from botocore.exceptions import ClientError

from sashiko.base.custom_resource import Answer, RefusedError, Request, respond
from sashiko.base.function_input import ClosedLake

_EVERYBODY = "IAM_ALLOWED_PRINCIPALS"
_NO_GRANT = "Lake Formation permission"

Resource = Mapping[str, Any]


def handler(event: Mapping[str, Any], _context: object) -> None:
    """Handles CloudFormation's requests."""
    respond(event, _work)


def _work(request: Request) -> Answer:
    lake = ClosedLake.from_properties(request.properties)
    answer = Answer(physical_id=f"{lake.database}-closed")
    if request.kind == "Delete":
        return answer
    glue = boto3.client("glue")
    tables = [
        {"Table": {"DatabaseName": lake.database, "Name": table}} for table in lake.tables.split()
    ]
    resources = [{"Database": {"Name": lake.database}}, *tables]
    visible = [resource for resource in resources if _is_seen(glue, resource)]
    if visible:
        (first, *others) = visible
        ((_, name),) = first.items()
        suffix = f" and {len(others)} more" if others else ""
        audit = f" (the others: sashiko env drift --env {lake.environment})" if others else ""
        raise RefusedError(
            f"{'.'.join(name.values())}{suffix}: open to everybody with rights in Glue, past Lake "
            "Formation. If it was there before this deploy, as an administrator of the lake: aws "
            "lakeformation revoke-permissions --permissions ALL --principal "
            f"DataLakePrincipalIdentifier={_EVERYBODY} --resource '{json.dumps(first)}'{audit}. If "
            "this deploy made it, it goes with the rollback: empty the account's default "
            f"permissions, as `sashiko env doctor --env {lake.environment}` prints it. Then deploy "
            "again."
        )
    return answer


def _is_seen(glue: Any, resource: Resource) -> bool:
    ((kind, name),) = resource.items()
    try:
        getattr(glue, f"get_{kind.lower()}")(**name)
    except ClientError as error:
        if _NO_GRANT in error.response["Error"]["Message"]:
            return False
        raise
    return True
