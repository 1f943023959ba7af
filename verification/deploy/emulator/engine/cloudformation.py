"""CloudFormation's operations that the CDK command line calls, in moto's wire format.

An operation has ended when its call returns, so a caller that polls sees the result at once.
"""

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import RLock
from typing import Any

import moto.cloudformation.urls
from botocore.exceptions import ClientError
from moto.core.responses import ActionResult, BaseResponse

from .resources import (
    FAILURES,
    ChangeSetNotFoundError,
    InsufficientCapabilitiesError,
    ResourceError,
    ValidationError,
    find_type,
    identifier,
    needs_replacement,
)
from .stack import Adoption, Operation, Region, Request, Stack
from .template import Scope, dependencies, parse, references

_NAMES = ("RoleName", "ManagedPolicyName", "UserName", "GroupName", "InstanceProfileName")
_FINAL = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "UPDATE_ROLLBACK_FAILED", "DELETE_FAILED")


def check_template(body: str, request: Request) -> dict[str, Any]:
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
    if stack.status in _FINAL:
        raise ValidationError(
            f"Stack:{stack.id} is in {stack.status} state and can not be updated."
        )


def deploy(region: Region, stack: Stack, request: Request, adoption: Adoption) -> None:
    creating = not stack.template_body
    verb = "CREATE" if creating else "UPDATE"
    if adoption.import_ids:
        verb = "IMPORT"
    stack.set_status(f"{verb}_IN_PROGRESS", "User Initiated")
    template = parse(request["TemplateBody"])
    operation = Operation(stack, adoption)
    imports: set[str] = set()
    try:
        inputs = input_parameters(
            stack, {i["ParameterKey"]: i for i in request.get("Parameters", ())}
        )
        scope = _scope(region, stack, template, inputs, imports)
        scope.check_rules()
        operation.apply(scope)
        outputs = _outputs(scope)
        region.check_exports(stack, _exports(outputs), "updated")
    except (*FAILURES, ValidationError) as error:
        _roll_back(stack, operation, str(error), creating=creating)
        return
    stack.template_body, stack.template = request["TemplateBody"], template
    stack.inputs, stack.parameters = inputs, scope.values
    stack.outputs, stack.imports = outputs, imports
    stack.tags = request.get("Tags", [])
    stack.capabilities = request.get("Capabilities", [])
    stack.role_arn = request.get("RoleARN")
    if "EnableTerminationProtection" in request:
        stack.protected = bool(request["EnableTerminationProtection"])
    operation.clean_up(set(scope.active()))
    stack.set_status(f"{verb}_COMPLETE")


def _roll_back(stack: Stack, operation: Operation, reason: str, *, creating: bool) -> None:
    verb = "ROLLBACK" if creating else "UPDATE_ROLLBACK"
    stack.set_status(f"{verb}_IN_PROGRESS", reason)
    failed = operation.roll_back()
    stack.set_status(f"{verb}_FAILED" if failed else f"{verb}_COMPLETE", "; ".join(failed))
    if creating:
        # Such a stack can only be deleted, so its template does not matter.
        stack.template_body = stack.template_body or "{}"


def _scope(
    region: Region,
    stack: Stack,
    template: dict[str, Any],
    inputs: dict[str, str],
    imports: set[str],
) -> Scope:
    def resource(name: str) -> str:
        if name not in stack.resources:
            raise ResourceError(f"Template error: unresolved reference {name}")
        return stack.resources[name].physical_id

    def attribute(name: str, attribute_name: str) -> Any:
        if name not in stack.resources:
            raise ResourceError(f"Template error: unresolved reference {name}")
        resource = stack.resources[name]
        if attribute_name not in resource.attributes:
            raise ResourceError(
                f"Template error: resource {name} does not support attribute type "
                f"{attribute_name} in Fn::GetAtt"
            )
        return resource.attributes[attribute_name]

    def imported(name: str) -> str:
        imports.add(name)
        return region.imported(stack, name)

    values = {
        "AWS::AccountId": region.account,
        "AWS::Partition": "aws",
        "AWS::Region": region.region,
        "AWS::StackId": stack.id,
        "AWS::StackName": stack.name,
        "AWS::URLSuffix": "amazonaws.com",
        "AWS::NotificationARNs": [],
    }
    for name, declared in template.get("Parameters", {}).items():
        values[name] = _parameter(region, name, declared, inputs.get(name))
    return Scope(
        template=template,
        values=values,
        resource=resource,
        attribute=attribute,
        imported=imported,
        stack_output=region.stack_output,
    )


def _parameter(region: Region, name: str, declared: dict[str, Any], text: str | None) -> Any:
    value = declared.get("Default") if text is None else text
    if value is None:
        raise ValidationError(f"Parameters: [{name}] must have values")
    if "AllowedValues" in declared and str(value) not in map(str, declared["AllowedValues"]):
        raise ValidationError(f"Parameter {name} must be one of {declared['AllowedValues']}")
    if declared["Type"].startswith("AWS::SSM::Parameter::Value"):
        try:
            value = region.aws("ssm").get_parameter(Name=value)["Parameter"]["Value"]
        except ClientError as error:
            raise ValidationError(f"Unable to fetch parameters [{value}]") from error
    if "List" in declared["Type"]:
        return [part.strip() for part in str(value).split(",")] if value else []
    return str(value)


def input_parameters(stack: Stack, parameters: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {
        name: stack.inputs[name] if item.get("UsePreviousValue") else item["ParameterValue"]
        for name, item in parameters.items()
    }


def _outputs(scope: Scope) -> list[dict[str, str]]:
    outputs = []
    for name, item in scope.template.get("Outputs", {}).items():
        if "Condition" in item and not scope.condition(item["Condition"]):
            continue
        output = {"OutputKey": name, "OutputValue": str(scope.resolve(item["Value"]))}
        if "Export" in item:
            output["ExportName"] = scope.resolve(item["Export"]["Name"])
        outputs.append(output)
    return outputs


def _exports(outputs: list[dict[str, str]]) -> dict[str, str]:
    return {item["ExportName"]: item["OutputValue"] for item in outputs if "ExportName" in item}


def _described(stack: Stack) -> dict[str, Any]:
    return {
        "StackId": stack.id,
        "StackName": stack.name,
        "CreationTime": stack.created,
        "StackStatus": stack.status,
        "StackStatusReason": stack.reason,
        "Parameters": [
            {"ParameterKey": name, "ParameterValue": value} for name, value in stack.inputs.items()
        ],
        "Outputs": stack.outputs,
        "Tags": stack.tags,
        "Capabilities": stack.capabilities,
        "EnableTerminationProtection": stack.protected,
        "DisableRollback": False,
        "NotificationARNs": [],
        **(
            {"Description": stack.template["Description"]}
            if "Description" in stack.template
            else {}
        ),
        **({"RoleARN": stack.role_arn} if stack.role_arn else {}),
    }


_NO_CHANGES = (
    "The submitted information didn't contain changes. "
    "Submit different information to create a change set."
)


@dataclass(kw_only=True)
class ChangeSet:
    """A change set and what it would change."""

    id: str
    name: str
    type: str
    stack: Stack
    request: Request
    changes: list[dict[str, Any]]
    status: str
    reason: str
    execution: str
    created: datetime = field(default_factory=lambda: datetime.now(UTC))


def _changes(
    stack: Stack, template: dict[str, Any], request: Request, kind: str
) -> list[dict[str, Any]]:
    imported = {item["LogicalResourceId"] for item in request.get("ResourcesToImport", ())}
    old, new = stack.template.get("Resources", {}), template["Resources"]
    changes = []
    for name in {**old, **new}:
        if name not in new:
            changes.append(_change("Remove", name, old[name], stack))
        elif name in imported:
            changes.append(_change("Import", name, new[name], stack))
        elif name not in old:
            changes.append(_change("Add", name, new[name], stack))
        elif new[name] != old[name]:
            before, after = (body.get("Properties", {}) for body in (old[name], new[name]))
            replaced = needs_replacement(new[name]["Type"], stack.region, before, after)
            changes.append(_change("Modify", name, new[name], stack, replaced=replaced))
    if kind == "IMPORT" and [c for c in changes if c["ResourceChange"]["Action"] != "Import"]:
        raise ValidationError(
            "As part of the import operation, you cannot modify or add [Outputs or resources]"
        )
    return changes


def _change(
    action: str, name: str, body: dict[str, Any], stack: Stack, *, replaced: bool | None = None
) -> dict[str, Any]:
    resource = stack.resources.get(name)
    change = {"Action": action, "LogicalResourceId": name, "ResourceType": body["Type"]}
    if resource:
        change["PhysicalResourceId"] = resource.physical_id
    if replaced is not None:
        change["Replacement"] = "True" if replaced else "False"
    return {"Type": "Resource", "ResourceChange": change}


class CloudFormation:
    """The stacks of one account in one region, and their change sets."""

    def __init__(self, account: str, region: str, aws: Callable[[str], Any]) -> None:
        self.region = Region(account, region, aws)
        self.change_sets: dict[str, ChangeSet] = {}

    def describe_stacks(self, request: Request) -> dict[str, Any]:
        name = request.get("StackName")
        stacks = [self.region.stack(name)] if name else self.region.stacks.values()
        return {"Stacks": [_described(stack) for stack in stacks]}

    def describe_stack_events(self, request: Request) -> dict[str, Any]:
        return {"StackEvents": self.region.stack(request["StackName"]).events[::-1]}

    def describe_events(self, request: Request) -> dict[str, Any]:
        """Returns failures before a deploy: none, since creating a change set validates here."""
        return {"OperationEvents": []}

    def describe_stack_resources(self, request: Request) -> dict[str, Any]:
        stack = self.region.stack(request["StackName"])
        logical_id = request.get("LogicalResourceId")
        return {
            "StackResources": [
                {
                    "StackId": stack.id,
                    "StackName": stack.name,
                    "LogicalResourceId": item.logical_id,
                    "PhysicalResourceId": item.physical_id,
                    "ResourceType": item.type,
                    "ResourceStatus": item.status,
                    "Timestamp": stack.created,
                }
                for item in stack.resources.values()
                if logical_id in (None, item.logical_id)
            ]
        }

    def list_stack_resources(self, request: Request) -> dict[str, Any]:
        resources = self.describe_stack_resources(request)["StackResources"]
        return {
            "StackResourceSummaries": [
                {**item, "LastUpdatedTimestamp": item["Timestamp"]} for item in resources
            ]
        }

    def get_template(self, request: Request) -> dict[str, Any]:
        return {"TemplateBody": self.region.stack(request["StackName"]).template_body}

    def get_template_summary(self, request: Request) -> dict[str, Any]:
        """Returns what an import may ask for: each type's identifying properties."""
        template = parse(self.region.body(request))
        kinds: dict[str, list[str]] = {}
        for name, item in template["Resources"].items():
            kinds.setdefault(item["Type"], []).append(name)
        importable = {kind: identifier(kind, self.region.region) for kind in kinds}
        return {
            "ResourceTypes": list(kinds),
            "ResourceIdentifierSummaries": [
                {
                    "ResourceType": kind,
                    "LogicalResourceIds": kinds[kind],
                    "ResourceIdentifiers": list(names),
                }
                for kind, names in importable.items()
                if names
            ],
        }

    def list_exports(self, request: Request) -> dict[str, Any]:
        return {
            "Exports": [
                {"ExportingStackId": stack.id, "Name": name, "Value": value}
                for stack in self.region.stacks.values()
                for name, value in stack.exports().items()
            ]
        }

    def describe_change_set(self, request: Request) -> dict[str, Any]:
        change_set = self._change_set(request)
        return {
            "ChangeSetId": change_set.id,
            "ChangeSetName": change_set.name,
            "StackId": change_set.stack.id,
            "StackName": change_set.stack.name,
            "Status": change_set.status,
            "StatusReason": change_set.reason,
            "ExecutionStatus": change_set.execution,
            "CreationTime": change_set.created,
            "Changes": change_set.changes,
        }

    def create_change_set(self, request: Request) -> dict[str, Any]:
        kind, name = request.get("ChangeSetType", "UPDATE"), request["StackName"]
        request["TemplateBody"] = self.region.body(request)
        template = check_template(request["TemplateBody"], request)
        stack = self.region.find(name)
        if kind == "UPDATE" and (not stack or stack.status == "REVIEW_IN_PROGRESS"):
            raise ValidationError(f"Stack [{name}] does not exist")
        if kind == "CREATE" and stack and stack.status != "REVIEW_IN_PROGRESS":
            raise ValidationError(f"Stack [{name}] already exists and cannot be created again")
        stack = stack or self.region.new_stack(name)
        check_status(stack)
        changes = _changes(stack, template, request, kind)
        parameters = {item["ParameterKey"]: item for item in request.get("Parameters", ())}
        unchanged = (
            template == stack.template and input_parameters(stack, parameters) == stack.inputs
        )
        unchanged = unchanged and request.get("Tags", []) == stack.tags and kind == "UPDATE"
        identifier = f"arn:aws:cloudformation:{self.region.region}:{self.region.account}:changeSet"
        change_set = ChangeSet(
            id=f"{identifier}/{request['ChangeSetName']}/{uuid.uuid4()}",
            name=request["ChangeSetName"],
            type=kind,
            stack=stack,
            request=request,
            changes=changes,
            status="FAILED" if unchanged else "CREATE_COMPLETE",
            reason=_NO_CHANGES if unchanged else "",
            execution="UNAVAILABLE" if unchanged else "AVAILABLE",
        )
        self.change_sets[change_set.id] = change_set
        return {"Id": change_set.id, "StackId": stack.id}

    def delete_change_set(self, request: Request) -> None:
        try:
            del self.change_sets[self._change_set(request).id]
        except ChangeSetNotFoundError:
            return

    def execute_change_set(self, request: Request) -> None:
        change_set = self._change_set(request)
        if change_set.execution != "AVAILABLE":
            raise ValidationError(
                f"ChangeSet [{change_set.id}] cannot be executed: {change_set.reason}"
            )
        change_set.execution = "EXECUTE_COMPLETE"
        import_ids = {
            item["LogicalResourceId"]: item["ResourceIdentifier"]
            for item in change_set.request.get("ResourcesToImport", ())
        }
        existing = bool(change_set.request.get("ImportExistingResources"))
        adoption = Adoption(import_ids=import_ids, existing=existing)
        deploy(self.region, change_set.stack, change_set.request, adoption)

    def _change_set(self, request: Request) -> ChangeSet:
        name = request["ChangeSetName"]
        for item in self.change_sets.values():
            if name == item.id or (
                name == item.name and request.get("StackName") in (item.stack.name, item.stack.id)
            ):
                return item
        raise ChangeSetNotFoundError(f"ChangeSet [{name}] does not exist")

    def update_termination_protection(self, request: Request) -> dict[str, Any]:
        stack = self.region.stack(request["StackName"])
        stack.protected = bool(request["EnableTerminationProtection"])
        return {"StackId": stack.id}

    def delete_stack(self, request: Request) -> None:
        stack = self.region.find(request["StackName"])
        if stack is None:
            return
        if stack.protected:
            raise ValidationError(
                f"Stack [{stack.name}] cannot be deleted while TerminationProtection is enabled"
            )
        stack.set_status("DELETE_IN_PROGRESS", "User Initiated")
        try:
            self.region.check_exports(stack, {}, "deleted")
        except ResourceError as error:
            stack.set_status("DELETE_FAILED", str(error))
            return
        if failed := Operation(stack).delete_all():
            names = ", ".join(failed)
            stack.set_status(
                "DELETE_FAILED", f"The following resource(s) failed to delete: [{names}]."
            )
            return
        stack.set_status("DELETE_COMPLETE")
        self.region.deleted[stack.id] = self.region.stacks.pop(stack.id)
        removed = [key for key, item in self.change_sets.items() if item.stack is stack]
        for key in removed:
            del self.change_sets[key]


def install(account: str, aws: Callable[[str, str], Any]) -> None:
    """Puts our engine in the place of moto's; `aws(service, region)` makes a client."""
    engines: dict[str, CloudFormation] = {}
    lock = RLock()

    class Responses(BaseResponse):
        def __init__(self) -> None:
            super().__init__(service_name="cloudformation")
            self.automated_parameter_parsing = True

    def responder(name: str) -> Callable[[Responses], ActionResult]:
        def respond(self: Responses) -> ActionResult:
            region = self.region
            with lock:
                engine = engines.setdefault(
                    region, CloudFormation(account, region, lambda service: aws(service, region))
                )
                return ActionResult(getattr(engine, name)(dict(self._get_params())))

        return respond

    for name in (name for name in vars(CloudFormation) if not name.startswith("_")):
        setattr(Responses, name, responder(name))
    moto.cloudformation.urls.url_paths = {"{0}/$": Responses.dispatch}
