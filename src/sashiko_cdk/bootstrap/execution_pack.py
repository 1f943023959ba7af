"""Distributes statements over managed policies, whose size is limited, deterministically."""

import json
from collections.abc import Sequence
from typing import Final

from sashiko.errors import InputError
from sashiko_cdk.bootstrap.execution_limits import Limit
from sashiko_cdk.identity.allow import Allowed, allow

# A role can have ten ("IAM and AWS STS quotas", IAM User Guide), and an organization's baseline
# attaches some of its own. All are always used, as CloudFormation could not delete one that its own
# role still has.
PARTS: Final = tuple(f"execution-{number}" for number in range(5))
_CHARACTERS: Final = 6144  # of a managed policy, white space not counted: the same page
_POLICY_CHARACTERS: Final = len('{"Version":"2012-10-17","Statement":[]}')


def pack(statements: Sequence[tuple[Sequence[str], Sequence[Limit]]]) -> dict[str, list[Allowed]]:
    """Returns part -> its statements, in order; all parts have about the same size.

    Raises:
        InputError: if they do not fit.
    """
    allowed = [
        allow(
            actions,
            list(dict.fromkeys(limit.resource for limit in limits)),
            conditions=limits[0].conditions or None,
            why=" ".join(dict.fromkeys(limit.why for limit in limits)),
        )
        for actions, limits in statements
    ]
    sizes = [
        len(json.dumps(item.statement.to_json(), separators=(",", ":"))) + 1 for item in allowed
    ]
    total, packed, number = sum(sizes), 0, 0
    parts: dict[str, list[Allowed]] = {part: [] for part in PARTS}
    filled = dict.fromkeys(PARTS, _POLICY_CHARACTERS)
    for item, size in zip(allowed, sizes, strict=True):
        # By its middle; no part is skipped, since a policy without statements is not valid.
        share = (packed + size // 2) * len(PARTS) // total
        number = min(share, number + 1) if packed else 0
        parts[PARTS[number]].append(item)
        filled[PARTS[number]] += size
        packed += size
    for part in PARTS[len(allowed) :]:  # fewer statements than policies: the last one once more
        parts[part].append(allowed[-1])
    if full := [part for part, size in filled.items() if size > _CHARACTERS]:
        raise InputError(
            f"what CloudFormation needs has {total} characters and does not fit into "
            f"{len(PARTS)} policies of {_CHARACTERS} ({', '.join(full)} too large): put the stacks "
            "of another purpose into a project of its own, with its own bootstrap"
        )
    return parts
