"""A difference between an account and the templates that were deployed to it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["missing", "extra", "differs", "note"]


@dataclass(frozen=True)
class Difference:
    """A resource of the account that differs from the templates."""

    # Missing in the account, extra in it, or different; a note is about a resource that others in
    # the account may have created: a person should check it.
    kind: Kind
    resource: str  # the resource, in words
    detail: str = ""  # the expected and the actual value; empty if `resource` is enough
    fix: str = field(kw_only=True)  # the command or step that removes the difference


def differs(
    resource: str, want: object, have: object, *, fix: str, kind: Kind = "differs"
) -> Difference:
    """Returns a difference between an expected and an actual value."""
    return Difference(kind, resource, f"expected {want}, found {have}", fix=fix)


def listed(values: Iterable[str]) -> str:
    """Writes values in one line, in order."""
    return ", ".join(sorted(values)) or "none"
