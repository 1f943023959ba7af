"""A policy of AWS Organizations, within what AWS takes.

Sources: "SCP syntax", "RCP syntax", "Quotas and service limits for AWS Organizations" of the AWS
Organizations User Guide, as of September 2026.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from sashiko.errors import InputError

Kind = Literal["SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY"]
Statement = Mapping[str, Any]
# Characters. All count, as a file is saved by the command line.
LIMITS: Final[Mapping[Kind, int]] = {
    "SERVICE_CONTROL_POLICY": 10_240,
    "RESOURCE_CONTROL_POLICY": 5_120,
}


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A policy that only denies: what it does not name, it leaves to the accounts' own policies."""

    name: str  # of its file, without `.json`
    kind: Kind
    purpose: str  # in words
    statements: tuple[Statement, ...]

    def text(self) -> str:
        """Writes the document, a statement a line.

        Raises:
            InputError: if AWS would refuse it for its length.
        """
        lines = ",\n".join(json.dumps(item, separators=(",", ":")) for item in self.statements)
        text = f'{{"Version":"2012-10-17","Statement":[\n{lines}\n]}}\n'
        if len(text) > LIMITS[self.kind]:
            raise InputError(
                f"{self.name}.json would have {len(text):,} characters, and AWS takes "
                f"{LIMITS[self.kind]:,}: config/ has more environments than one policy can name; "
                "move those of some accounts to a project of their own"
            )
        return text


def deny(
    sid: str,
    actions: Sequence[str],
    *,
    resources: Sequence[str] = ("*",),
    conditions: Mapping[str, Mapping[str, Any]] | None = None,
) -> Statement:
    """Returns a statement of a service control policy, which has no principal."""
    return {
        "Sid": sid,
        "Effect": "Deny",
        "Action": list(actions),
        "Resource": list(resources),
        **({"Condition": conditions} if conditions else {}),
    }


def except_for(roles: Sequence[str]) -> dict[str, dict[str, list[str]]]:
    """Returns the condition that the caller is none of some roles."""
    return {"ArnNotLike": {"aws:PrincipalArn": list(roles)}}
