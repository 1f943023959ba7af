"""The two environments of a promotion, each from its own settings file."""

from pathlib import Path
from typing import Literal

from sashiko.errors import InputError
from sashiko.settings.environment import Settings, file_of, load_deployed

Side = Literal["source", "target"]


def neighbour_settings(
    settings: Settings, side: Side, *, folder: Path = Path("config")
) -> Settings | None:
    """Reads the settings of the environment that `promotion` names; None where it names none.

    A grant to another account requires that both files name each other.

    Raises:
        InputError: if the two files contradict each other.
    """
    neighbour = getattr(settings.promotion, side)
    if neighbour is None:
        return None
    location = f"{file_of('promotion', settings.environment, folder=folder)}: key `promotion.{side}"
    try:
        other = load_deployed(neighbour.environment, folder=folder)
    except InputError as error:
        raise InputError(f"{location}.environment`: {error}") from error
    other_file = file_of("account", other.environment, folder=folder)
    if neighbour.account != other.account:
        raise InputError(
            f"{location}.account`: {neighbour.account}, but {other_file} has {other.account}; set "
            "the same account in both files"
        )
    for key in ("project", "region"):
        own_value, other_value = getattr(settings, key), getattr(other, key)
        if own_value != other_value:
            raise InputError(
                f"{location}`: {other.environment} has {key} {other_value}, "
                f"{settings.environment} has {own_value}; versions are promoted within one project "
                "and one region"
            )
    opposite: Side = "target" if side == "source" else "source"
    counterpart = getattr(other.promotion, opposite)
    names = (settings.environment, settings.account)
    if counterpart is None or (counterpart.environment, counterpart.account) != names:
        raise InputError(
            f"{location}`: {folder / other.environment}.yaml does not name "
            f"{settings.environment} in turn; set `promotion: {{{opposite}: {{environment: "
            f'{settings.environment}, account: "{settings.account}"}}}}` there, or remove it here'
        )
    return other
