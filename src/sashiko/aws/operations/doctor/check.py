"""One thing that `sashiko doctor` looked at."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from sashiko.aws.resources.account import NoAnswerError

# `later`: a step of docs/first-deploy.md that has not been taken yet. `note`: for a person's eye.
# `unknown`: the caller may not look, or the answer did not come.
Status = Literal["ok", "failed", "later", "note", "unknown"]


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what was checked.
        status: `failed` alone stops a deploy.
        detail: what was found.
        fix: the command that mends it, or in words what does; empty where nothing is to be done.
    """

    name: str
    status: Status
    detail: str
    fix: str = ""


def told(name: str, look: Callable[[], Check | Iterable[Check]]) -> Iterator[Check]:
    """Yields what a look finds, and says so where the account gives no answer.

    Args:
        name: what is asked, for that case.
        look: makes a check, or several one after the other, with calls of the account.
    """
    try:
        found = look()
        yield from (found,) if isinstance(found, Check) else found
    except NoAnswerError as error:
        yield Check(name=name, status="unknown", detail=str(error))
