"""The two environments of a promotion, each as its own file says it."""

from pathlib import Path
from typing import Literal

from sashiko.errors import InputError
from sashiko.settings.environment import Settings, file_of, load_deployed

Side = Literal["source", "target"]


def neighbour_settings(
    settings: Settings, side: Side, *, folder: Path = Path("config")
) -> Settings | None:
    """Reads the settings of the environment that `promotion` names; None where it names none.

    A grant to another account is meant only where both files say the same of it.

    Args:
        settings: the environment whose `promotion` is read.
        side: which of its neighbours.
        folder: of the files of settings.

    Raises:
        InputError: if the two do not fit each other.
    """
    named = getattr(settings.promotion, side)
    if named is None:
        return None
    where = f"{file_of('promotion', settings.environment, folder=folder)}: key `promotion.{side}"
    try:
        other = load_deployed(named.environment, folder=folder)
    except InputError as error:
        raise InputError(f"{where}.environment`: {error}") from error
    other_file = file_of("account", other.environment, folder=folder)
    if named.account != other.account:
        raise InputError(
            f"{where}.account`: {named.account}, but {other_file} says {other.account}; a wrong "
            "account is a stranger's: set the same one in both"
        )
    for key in ("project", "region"):
        mine, theirs = getattr(settings, key), getattr(other, key)
        if mine != theirs:
            raise InputError(
                f"{where}`: {other.environment} has {key} {theirs}, {settings.environment} has "
                f"{mine}; versions are promoted within one project and one region"
            )
    answers: Side = "target" if side == "source" else "source"
    back = getattr(other.promotion, answers)
    if back is None or (back.environment, back.account) != (settings.environment, settings.account):
        raise InputError(
            f"{where}`: {folder / other.environment}.yaml does not name {settings.environment} in "
            f"turn; set `promotion: {{{answers}: {{environment: {settings.environment}, account: "
            f'"{settings.account}"}}}}` there, or remove it here'
        )
    return other
