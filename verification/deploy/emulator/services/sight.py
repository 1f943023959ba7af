"""Limits a function's role to the catalog that Lake Formation grants; others see all of it."""

import json
from collections.abc import Callable

from .functions import ROLE_KEY
from .json_api import Guard
from .lake_formation import LakeFormation

_READS = {"glue:GetDatabase": "Database", "glue:GetTable": "Table"}


def guard(account: str, lake_formation: Callable[[str], LakeFormation]) -> Guard:
    """Returns a guard that refuses a role without a grant; `lake_formation` gives a region's."""

    def refuse(key: str, region: str, action: str, body: bytes) -> None:
        if not key.startswith(ROLE_KEY) or action not in _READS:
            return
        names = {k: v for k, v in json.loads(body).items() if k in ("DatabaseName", "Name")}
        role = f"arn:aws:iam::{account}:role/{key.removeprefix(ROLE_KEY)}"
        lake_formation(region).check_visible(role, {_READS[action]: names})

    return refuse
