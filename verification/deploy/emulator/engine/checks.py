"""What CloudFormation refuses before it begins."""

import json
from typing import Any

from .errors import InsufficientCapabilitiesError, ValidationError
from .region import Request
from .resources import find_type
from .stack import Stack
from .template import dependencies, parse, references

_NAMES = ("RoleName", "ManagedPolicyName", "UserName", "GroupName", "InstanceProfileName")
_FINAL = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "UPDATE_ROLLBACK_FAILED", "DELETE_FAILED")


def checked(body: str, request: Request) -> dict[str, Any]:
    """Returns a template that a request may use.

    Raises:
        ValidationError: if it has an unknown type, or refers to what it does not have.
        InsufficientCapabilitiesError: if it makes IAM's resources and the request does not say so.
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
    known = {*resources, *template.get("Parameters", {})}
    used = {
        "Resources": [name for body in resources.values() for name in dependencies(body)],
        "Outputs": list(references(template.get("Outputs"))),
    }
    for block, names in used.items():
        unknown = {name for name in names if name not in known and not name.startswith("AWS::")}
        if unknown:
            raise ValidationError(
                "Template format error: Unresolved resource dependencies "
                f"[{', '.join(sorted(unknown))}] in the {block} block of the template"
            )


def _check_capabilities(template: dict[str, Any], given: Any) -> None:
    of_iam = [r for r in template["Resources"].values() if r["Type"].startswith("AWS::IAM::")]
    named = any(name in item.get("Properties", {}) for item in of_iam for name in _NAMES)
    needed = "CAPABILITY_NAMED_IAM" if named else "CAPABILITY_IAM"
    if of_iam and not {needed, "CAPABILITY_NAMED_IAM"} & set(given):
        raise InsufficientCapabilitiesError(f"Requires capabilities : [{needed}]")


def check_status(stack: Stack) -> None:
    """Raises ValidationError if a stack can only be deleted, or rolled back by hand."""
    if stack.status in _FINAL:
        raise ValidationError(
            f"Stack:{stack.id} is in {stack.status} state and can not be updated."
        )
