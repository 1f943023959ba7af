"""Where the text of a Bedrock request may be processed, by its model id."""

import datetime as dt
from functools import cache
from pathlib import Path

from pydantic import Field

from sashiko.base.yaml_models import Frozen, read_yaml, validate
from sashiko.errors import InputError

_FILE = Path(__file__).with_name("geographies.yaml")


class Geographies(Frozen):
    """The dated table."""

    read: dt.date
    sources: tuple[str, ...] = Field(min_length=1)  # AWS's pages
    geographies: dict[str, str]  # prefix of an inference profile's id -> what it opens
    providers: tuple[str, ...]  # first part of an id without a prefix


class Travel(Frozen):
    """Where a candidate's texts may be processed."""

    geography: str  # a name of the table; empty: they stay where the model is served
    where: str  # the same in words


STAYS = Travel(geography="", where="they stay in your account")


@cache
def geographies() -> Geographies:
    """Reads the packaged table."""
    return validate(Geographies, read_yaml(_FILE), source=str(_FILE))


def travel_of(model: str, *, region: str) -> Travel:
    """Returns where the texts of a request may be processed.

    Args:
        model: id of a foundation model or of a system-defined inference profile.
        region: the Region that is called.

    Raises:
        InputError: if the id has a prefix that the table does not have, or is an ARN.
    """
    table = geographies()
    prefix, dot, _ = model.partition(".")
    if dot and prefix in table.geographies:
        return Travel(geography=prefix, where=f"from {region} to {table.geographies[prefix]}")
    if dot and prefix in table.providers:
        return Travel(geography="", where=f"Bedrock in {region}")
    raise InputError(
        f"model {model}: it begins neither with a provider nor with a geography that is known "
        f"({', '.join(table.geographies)}), so nobody can say where texts would be processed: give "
        "the id of a foundation model or of a system-defined inference profile, or add the prefix "
        f"with AWS's page to {_FILE.name}"
    )


def check_geographies(names: tuple[str, ...]) -> None:
    """Checks that a selection's geographies are those of the table.

    Raises:
        InputError: naming the key and the allowed values.
    """
    known = geographies().geographies
    for name in names:
        if name not in known:
            raise InputError(
                f"key `musts.geographies`: `{name}` is not known; expected {', '.join(known)}"
            )
