"""Makes an administrator of the lake and empties the account's defaults; all else there stays.

CloudFormation's own type leaves defaults as they are when they are to be emptied
(aws-cloudformation/cloudformation-coverage-roadmap #2197), and knows no read-only administrators
(#2355). The API only puts all settings at once, so they are read, changed and put back. Emptying by
the API: "Changing the default settings for your data lake" (change-settings.html) of the Lake
Formation Developer Guide.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

import boto3

from sashiko.aws.functions.custom_resource import Answer, RefusedError, Request, respond
from sashiko.aws.functions.function_input import LakeAdministrator

_DEFAULTS = ("CreateDatabaseDefaultPermissions", "CreateTableDefaultPermissions")
_ADDED = "#added"  # ends the physical id where the administrator was none before
_PAUSES = (0, 1, 2, 4)

Settings = Mapping[str, Any]


def handler(event: Mapping[str, Any], _context: object) -> None:
    """Takes CloudFormation's requests."""
    respond(event, _work)


def _work(request: Request) -> Answer:
    formation = boto3.client("lakeformation")
    if request.kind == "Delete":
        return _leave(formation, str(request.physical_id))
    arn = LakeAdministrator.from_properties(request.properties).administrator
    was_there = arn in _admins(_read(formation))
    _change(formation, lambda found: _joined(found, arn))
    if request.physical_id and request.physical_id.removesuffix(_ADDED) == arn:
        return Answer(physical_id=request.physical_id)
    return Answer(physical_id=arn if was_there else f"{arn}{_ADDED}")


def _leave(formation: Any, physical_id: str) -> Answer:
    """Takes away the administrator that was added, and no other; the defaults stay empty."""
    arn = physical_id.removesuffix(_ADDED)
    if arn != physical_id:
        _change(formation, lambda found: _left(found, arn))
    return Answer(physical_id=physical_id)


def _joined(found: Settings, arn: str) -> Settings:
    admins = list(found.get("DataLakeAdmins", ()))
    if arn not in _admins(found):
        admins.append({"DataLakePrincipalIdentifier": arn})
    return {**found, "DataLakeAdmins": admins, **{name: [] for name in _DEFAULTS}}


def _left(found: Settings, arn: str) -> Settings:
    admins = found.get("DataLakeAdmins", ())
    return {
        **found,
        "DataLakeAdmins": [a for a in admins if a["DataLakePrincipalIdentifier"] != arn],
    }


def _change(formation: Any, change: Callable[[Settings], Settings]) -> None:
    """Puts changed settings until they are read back as wanted.

    The API takes no version to write against: what somebody else puts between the read and the
    write is lost, and what they put after the write may undo it, which the next read shows.
    """
    for pause in _PAUSES:
        time.sleep(pause)
        found = _read(formation)
        wanted = change(found)
        if _told(wanted) == _told(found):
            return
        formation.put_data_lake_settings(DataLakeSettings=wanted)
    raise RefusedError(
        "the account's data-lake settings were changed by somebody else each time that they were "
        "put: see PutDataLakeSettings in CloudTrail, then deploy again"
    )


def _read(formation: Any) -> Settings:
    found: Settings = formation.get_data_lake_settings()["DataLakeSettings"]
    return found


def _told(settings: Settings) -> Settings:
    """Leaves out what is empty: the API may or may not name it."""
    return {name: value for name, value in settings.items() if value}


def _admins(settings: Settings) -> list[str]:
    return [item["DataLakePrincipalIdentifier"] for item in settings.get("DataLakeAdmins", ())]
