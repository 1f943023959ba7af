"""What a template says of a resource and a service does not."""

from collections.abc import Iterator
from typing import Any

# Lists whose order neither a template means nor a service keeps.
_SETS = {
    "Admins", "ColumnNames", "Expression", "ManagedPolicyArns", "Permissions", "Policies", "Roles",
    "RouteTableIds", "SecurityGroupEgress", "SecurityGroupIds", "SecurityGroupIngress", "SubnetIds",
    "TagValues", "Tags",
}  # fmt: skip


def differences(wanted: Any, found: Any, path: str = "") -> Iterator[str]:
    """Yields the path of each member of `wanted` that is not in `found`.

    A service may say more of a resource than its template; of a list it may not.
    """
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key, item in wanted.items():
            yield from differences(item, found.get(key), f"{path}/{key}")
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        if path.rsplit("/", 1)[-1] in _SETS:
            missing = [item for item in wanted if not any(_holds(item, other) for other in found)]
            yield from (f"{path}: {item!r} is not in {found!r}" for item in missing)
        else:
            for index, (item, other) in enumerate(zip(wanted, found, strict=True)):
                yield from differences(item, other, f"{path}/{index}")
    elif wanted != found:
        yield f"{path}: {wanted!r} is wanted, {found!r} found"


def _holds(wanted: Any, found: Any) -> bool:
    return not list(differences(wanted, found))


def without(value: Any, path: list[str]) -> Any:
    """Returns a copy of `value` that lacks the members at a path; `*` is each item of a list."""
    first, *rest = path
    if first == "*":
        return [without(item, rest) for item in value]
    if first not in value:
        return value
    left = {key: item for key, item in value.items() if key != first}
    return {**left, first: without(value[first], rest)} if rest else left
