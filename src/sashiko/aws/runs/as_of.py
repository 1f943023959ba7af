"""The version of the lake's data: an instant, as the load in an account takes it."""

import datetime as dt
import re

from sashiko.errors import InputError

_AS_OF = re.compile(r"\d{8}T\d{6}Z")
_FORM = "%Y%m%dT%H%M%SZ"


def check_as_of(as_of: str, *, option: str) -> None:
    """Holds that a text is an instant as the lake names its versions.

    Raises:
        InputError: naming the option, if it is not.
    """
    try:
        if _AS_OF.fullmatch(as_of) is None:
            raise ValueError
        dt.datetime.strptime(as_of, _FORM)
    except ValueError as error:
        raise InputError(
            f"{option} {as_of}: expected an instant in UTC such as 20261125T104500Z"
        ) from error
