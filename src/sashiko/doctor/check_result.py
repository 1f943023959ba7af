"""The result of one check of `sashiko env doctor`."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from sashiko.account.account import NoAnswerError

# `later`: a step of docs/first-deploy.md that is still to be done. `note`: a person should read it.
# `unknown`: the caller lacks the permission, or AWS did not answer.
Status = Literal["ok", "failed", "later", "note", "unknown"]


@dataclass(frozen=True)
class Check:
    """The result of one check."""

    name: str  # what was checked
    status: Status  # only `failed` stops a deploy
    detail: str  # the result in words
    fix: str = ""  # the command or the step that fixes it; empty where there is nothing to do


def run_check(name: str, check: Callable[[], Check | Iterable[Check]]) -> Iterator[Check]:
    """Yields the results of a check; one of status `unknown` where the account does not answer."""
    try:
        result = check()
        yield from (result,) if isinstance(result, Check) else result
    except NoAnswerError as error:
        yield Check(name=name, status="unknown", detail=str(error))
