"""Adds an administrator of the lake and empties the account's defaults; other settings stay.

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

from sashiko.base.custom_resource import Answer, RefusedError, Request, respond
from sashiko.base.function_input import LakeAdministrator

_DEFAULTS = ("CreateDatabaseDefaultPermissions", "CreateTableDefaultPermissions")
_ADDED = "#added"  # ends the physical id where the administrator was none before
_PAUSES = (0, 1, 2, 4)

Settings = Mapping[str, Any]


def handler(event: Mapping[str, Any], _context: object) -> None:
    """Handles CloudFormation's requests."""
    respond(event, _work)


def _work(request: Request) -> Answer:
    formation = boto3.client("lakeformation")
    if request.kind == "Delete":
        # Only the administrator that this resource added; the defaults stay empty.
        physical_id = str(request.physical_id)
        arn = physical_id.removesuffix(_ADDED)
        if arn != physical_id:
            _change(formation, lambda settings: _without_administrator(settings, arn))
        return Answer(physical_id=physical_id)
    arn = LakeAdministrator.from_properties(request.properties).administrator
    was_there = arn in _admins(_read(formation))
    _change(formation, lambda settings: _with_administrator(settings, arn))
    if request.physical_id and request.physical_id.removesuffix(_ADDED) == arn:
        return Answer(physical_id=request.physical_id)
    return Answer(physical_id=arn if was_there else f"{arn}{_ADDED}")


def _with_administrator(settings: Settings, arn: str) -> Settings:
    admins = list(settings.get("DataLakeAdmins", ()))
    if arn not in _admins(settings):
        admins.append({"DataLakePrincipalIdentifier": arn})
    return {**settings, "DataLakeAdmins": admins, **{name: [] for name in _DEFAULTS}}


def _without_administrator(settings: Settings, arn: str) -> Settings:
    admins = settings.get("DataLakeAdmins", ())
    return {
        **settings,
        "DataLakeAdmins": [a for a in admins if a["DataLakePrincipalIdentifier"] != arn],
    }


def _change(formation: Any, change: Callable[[Settings], Settings]) -> None:
    """Writes changed settings until a read confirms them.

    The API has no optimistic locking: a concurrent change between read and write is lost, and one
    after the write may undo this one, which the next read detects.
    """
    for pause in _PAUSES:
        time.sleep(pause)
        current = _read(formation)
        desired = change(current)
        if _without_empty(desired) == _without_empty(current):
            return
        formation.put_data_lake_settings(DataLakeSettings=desired)
    raise RefusedError(
        "somebody else changed the account's data-lake settings whenever this function wrote "
        "them: see PutDataLakeSettings in CloudTrail, then deploy again"
    )


def _read(formation: Any) -> Settings:
    settings: Settings = formation.get_data_lake_settings()["DataLakeSettings"]
    return settings


def _without_empty(settings: Settings) -> Settings:
    """Drops empty members: the API may or may not return them."""
    return {name: value for name, value in settings.items() if value}


def _admins(settings: Settings) -> list[str]:
    return [item["DataLakePrincipalIdentifier"] for item in settings.get("DataLakeAdmins", ())]
