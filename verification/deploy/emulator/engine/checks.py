"""Checks that CloudFormation makes before a deploy begins."""

import json
from typing import Any

from .errors import InsufficientCapabilitiesError, ValidationError
from .region import Request
from .resources import find_type
from .stack import Stack
from .template import dependencies, parse, references

_NAMES = ("RoleName", "ManagedPolicyName", "UserName", "GroupName", "InstanceProfileName")
_FINAL = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "UPDATE_ROLLBACK_FAILED", "DELETE_FAILED")


def check_template(body: str, request: Request) -> dict[str, Any]:
    """Parses and checks a request's template.

    Raises:
        ValidationError: if it has an unknown type, or an unresolved reference.
        InsufficientCapabilitiesError: if the request does not acknowledge IAM resources.
    """
    template = parse(body)
    if not template.get("Resources"):
        raise ValidationError("At least one Resources member must be defined.")
    if unknown := sorted({kind for kind in _types(template) if not find_type(kind)}):
        raise ValidationError(
            f"Template format error: Unrecognized resource types: {json.dumps(unknown)}. "
            "(The emulator knows those under verification/deploy/emulator/types.)"
        )
    _check_references(template)
    _check_capabilities(template, request.get("Capabilities", ()))
    return template


def _types(template: dict[str, Any]) -> set[str]:
    return {item["Type"] for item in template["Resources"].values()}


def _check_references(template: dict[str, Any]) -> None:
    resources = template["Resources"]
    defined = {*resources, *template.get("Parameters", {})}
    references_by_block = {
        "Resources": [name for body in resources.values() for name in dependencies(body)],
        "Outputs": list(references(template.get("Outputs"))),
    }
    for block, names in references_by_block.items():
        unknown = {name for name in names if name not in defined and not name.startswith("AWS::")}
        if unknown:
            raise ValidationError(
                "Template format error: Unresolved resource dependencies "
                f"[{', '.join(sorted(unknown))}] in the {block} block of the template"
            )


def _check_capabilities(template: dict[str, Any], acknowledged: Any) -> None:
    iam_resources = [
        r for r in template["Resources"].values() if r["Type"].startswith("AWS::IAM::")
    ]
    named = any(name in item.get("Properties", {}) for item in iam_resources for name in _NAMES)
    needed = "CAPABILITY_NAMED_IAM" if named else "CAPABILITY_IAM"
    if iam_resources and not {needed, "CAPABILITY_NAMED_IAM"} & set(acknowledged):
        raise InsufficientCapabilitiesError(f"Requires capabilities : [{needed}]")


def check_status(stack: Stack) -> None:
    """Raises ValidationError if a stack can only be deleted, or rolled back by hand."""
    if stack.status in _FINAL:
        raise ValidationError(
            f"Stack:{stack.id} is in {stack.status} state and can not be updated."
        )
