"""Differences between a template and a service's description of a resource."""

from collections.abc import Iterator
from typing import Any

# Lists whose order has no meaning in a template and is not kept by a service.
_SETS = {
    "Admins", "ColumnNames", "Expression", "ManagedPolicyArns", "Permissions", "Policies", "Roles",
    "RouteTableIds", "SecurityGroupEgress", "SecurityGroupIds", "SecurityGroupIngress", "SubnetIds",
    "TagValues", "Tags",
}  # fmt: skip


def differences(expected: Any, actual: Any, path: str = "") -> Iterator[str]:
    """Yields the path of each member of `expected` that is not in `actual`.

    A service may return more members of a resource than its template, but not more list items.
    """
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key, item in expected.items():
            yield from differences(item, actual.get(key), f"{path}/{key}")
    elif isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        if path.rsplit("/", 1)[-1] in _SETS:
            missing = [
                item for item in expected if not any(_holds(item, other) for other in actual)
            ]
            yield from (f"{path}: {item!r} is not in {actual!r}" for item in missing)
        else:
            for index, (item, other) in enumerate(zip(expected, actual, strict=True)):
                yield from differences(item, other, f"{path}/{index}")
    elif expected != actual:
        yield f"{path}: {expected!r} expected, got {actual!r}"


def _holds(expected: Any, actual: Any) -> bool:
    return not list(differences(expected, actual))


def without(value: Any, path: list[str]) -> Any:
    """Returns a copy of `value` that lacks the members at a path; `*` is each item of a list."""
    first, *rest = path
    if first == "*":
        return [without(item, rest) for item in value]
    if first not in value:
        return value
    remaining = {key: item for key, item in value.items() if key != first}
    return {**remaining, first: without(value[first], rest)} if rest else remaining
