"""One difference between an account and the templates, as the audit lists it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["missing", "extra", "differs", "note"]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Something that the account has not as the templates have it.

    Attributes:
        kind: missing in the account, extra in it, or not the same; a note is about what others in
            the account may have put there: it needs a person's eye.
        resource: what it is about, in words.
        detail: what is expected and what was found; empty if `resource` says it all.
        fix: what to do.
    """

    kind: Kind
    resource: str
    detail: str
    fix: str


def listed(values: Iterable[str]) -> str:
    """Writes values in one line, in order."""
    return ", ".join(sorted(values)) or "none"
