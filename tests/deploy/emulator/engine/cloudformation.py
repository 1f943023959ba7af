"""CloudFormation's operations: what the CDK command line calls.

An operation has ended when its call returns, so a caller that polls sees the result at once.
"""

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from . import schema
from .errors import (
    FAILURES,
    ChangeSetNotFoundError,
    ResourceError,
    ValidationError,
)
from .resources import TYPES
from .stack import Adoption, Operation, Stack
from .template import Scope, parse

_NO_CHANGES = (
    "The submitted information didn't contain changes. "
    "Submit different information to create a change set."
)
Request = dict[str, Any]


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


class CloudFormation:
    """The stacks of one account in one region."""

    def __init__(self, account: str, region: str, aws: Callable[[str], Any]) -> None:
        self.account = account
        self.region = region
        self.aws = aws
        self.stacks: dict[str, Stack] = {}
        self.deleted: dict[str, Stack] = {}
        self.change_sets: dict[str, ChangeSet] = {}

    # Reading

    def describe_stacks(self, request: Request) -> dict[str, Any]:
        """Returns one stack, or all."""
        name = request.get("StackName")
        stacks = [self._stack(name)] if name else self.stacks.values()
        return {"Stacks": [_described(stack) for stack in stacks]}

    def list_stacks(self, request: Request) -> dict[str, Any]:
        """Returns all stacks, deleted ones too."""
        wanted = request.get("StackStatusFilter")
        stacks = [*self.stacks.values(), *self.deleted.values()]
        return {
            "StackSummaries": [
                _described(stack) for stack in stacks if not wanted or stack.status in wanted
            ]
        }

    def describe_stack_events(self, request: Request) -> dict[str, Any]:
        """Returns a stack's events, newest first."""
        return {"StackEvents": self._stack(request["StackName"]).events[::-1]}

    def describe_events(self, request: Request) -> dict[str, Any]:
        """Returns what failed before a deploy began: nothing, since creation validates here."""
        return {"OperationEvents": []}

    def describe_stack_resources(self, request: Request) -> dict[str, Any]:
        """Returns a stack's resources, or one."""
        stack = self._stack(request["StackName"])
        wanted = request.get("LogicalResourceId")
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
                if wanted in (None, item.logical_id)
            ]
        }

    def list_stack_resources(self, request: Request) -> dict[str, Any]:
        """Returns a stack's resources in short."""
        found = self.describe_stack_resources(request)["StackResources"]
        return {
            "StackResourceSummaries": [
                {**item, "LastUpdatedTimestamp": item["Timestamp"]} for item in found
            ]
        }

    def get_template(self, request: Request) -> dict[str, Any]:
        """Returns the template as it was sent."""
        return {"TemplateBody": self._stack(request["StackName"]).template_body}

    def get_template_summary(self, request: Request) -> dict[str, Any]:
        """Returns what an import may ask for: each type's identifying properties."""
        template = parse(self._body(request))
        kinds: dict[str, list[str]] = {}
        for name, item in template["Resources"].items():
            kinds.setdefault(item["Type"], []).append(name)
        importable = {kind: schema.identifier(kind, self.region) for kind in kinds}
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
        """Returns every export."""
        return {
            "Exports": [
                {"ExportingStackId": stack.id, "Name": name, "Value": value}
                for stack in self.stacks.values()
                for name, value in stack.exports().items()
            ]
        }

    def describe_change_set(self, request: Request) -> dict[str, Any]:
        """Returns a change set with its changes."""
        found = self._change_set(request)
        return {
            "ChangeSetId": found.id,
            "ChangeSetName": found.name,
            "StackId": found.stack.id,
            "StackName": found.stack.name,
            "Status": found.status,
            "StatusReason": found.reason,
            "ExecutionStatus": found.execution,
            "CreationTime": found.created,
            "Changes": found.changes,
        }

    def list_change_sets(self, request: Request) -> dict[str, Any]:
        """Returns a stack's change sets."""
        stack = self._stack(request["StackName"])
        found = [item for item in self.change_sets.values() if item.stack is stack]
        return {"Summaries": [{"ChangeSetId": i.id, "ChangeSetName": i.name} for i in found]}

    # Changing

    def create_change_set(self, request: Request) -> dict[str, Any]:
        """Plans a create, an update or an import."""
        kind, name = request.get("ChangeSetType", "UPDATE"), request["StackName"]
        request["TemplateBody"] = self._body(request)
        template = self._checked(request["TemplateBody"])
        stack = self._find(name)
        if kind == "UPDATE" and (not stack or stack.status == "REVIEW_IN_PROGRESS"):
            raise ValidationError(f"Stack [{name}] does not exist")
        if kind == "CREATE" and stack and stack.status != "REVIEW_IN_PROGRESS":
            raise ValidationError(f"Stack [{name}] already exists and cannot be created again")
        stack = stack or self._new_stack(name)
        changes = self._changes(stack, template, request, kind)
        given = {item["ParameterKey"]: item for item in request.get("Parameters", ())}
        same = template == stack.template and self._given(stack, given) == stack.given
        same = same and request.get("Tags", []) == stack.tags and kind == "UPDATE"
        identifier = f"arn:aws:cloudformation:{self.region}:{self.account}:changeSet"
        found = ChangeSet(
            id=f"{identifier}/{request['ChangeSetName']}/{uuid.uuid4()}",
            name=request["ChangeSetName"],
            type=kind,
            stack=stack,
            request=request,
            changes=changes,
            status="FAILED" if same else "CREATE_COMPLETE",
            reason=_NO_CHANGES if same else "",
            execution="UNAVAILABLE" if same else "AVAILABLE",
        )
        self.change_sets[found.id] = found
        return {"Id": found.id, "StackId": stack.id}

    def delete_change_set(self, request: Request) -> None:
        """Forgets a change set."""
        try:
            del self.change_sets[self._change_set(request).id]
        except ChangeSetNotFoundError:
            return

    def execute_change_set(self, request: Request) -> None:
        """Does what a change set says."""
        found = self._change_set(request)
        if found.execution != "AVAILABLE":
            raise ValidationError(f"ChangeSet [{found.id}] cannot be executed: {found.reason}")
        found.execution = "EXECUTE_COMPLETE"
        listed = {
            item["LogicalResourceId"]: item["ResourceIdentifier"]
            for item in found.request.get("ResourcesToImport", ())
        }
        existing = bool(found.request.get("ImportExistingResources"))
        self._deploy(found.stack, found.request, Adoption(listed=listed, existing=existing))

    def create_stack(self, request: Request) -> dict[str, Any]:
        """Creates a stack without a change set."""
        if self._find(request["StackName"]):
            raise ValidationError(f"Stack [{request['StackName']}] already exists")
        request["TemplateBody"] = self._body(request)
        self._checked(request["TemplateBody"])
        stack = self._new_stack(request["StackName"])
        self._deploy(stack, request, Adoption())
        return {"StackId": stack.id}

    def update_stack(self, request: Request) -> dict[str, Any]:
        """Updates a stack without a change set."""
        stack = self._stack(request["StackName"])
        request["TemplateBody"] = self._body(request)
        if self._checked(request["TemplateBody"]) == stack.template:
            raise ValidationError("No updates are to be performed.")
        self._deploy(stack, request, Adoption())
        return {"StackId": stack.id}

    def update_termination_protection(self, request: Request) -> dict[str, Any]:
        """Protects a stack, or no longer."""
        stack = self._stack(request["StackName"])
        stack.protected = bool(request["EnableTerminationProtection"])
        return {"StackId": stack.id}

    def delete_stack(self, request: Request) -> None:
        """Deletes a stack's resources; those that are to be retained stay."""
        stack = self._find(request["StackName"])
        if stack is None:
            return
        if stack.protected:
            raise ValidationError(
                f"Stack [{stack.name}] cannot be deleted while TerminationProtection is enabled"
            )
        stack.set_status("DELETE_IN_PROGRESS", "User Initiated")
        try:
            self._check_exports(stack, {}, "deleted")
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
        self.deleted[stack.id] = self.stacks.pop(stack.id)
        gone = [key for key, item in self.change_sets.items() if item.stack is stack]
        for key in gone:
            del self.change_sets[key]

    # Within

    def _deploy(self, stack: Stack, request: Request, adoption: Adoption) -> None:
        creating = not stack.template_body
        verb = "CREATE" if creating else "UPDATE"
        if adoption.listed:
            verb = "IMPORT"
        stack.set_status(f"{verb}_IN_PROGRESS", "User Initiated")
        template = parse(request["TemplateBody"])
        operation = Operation(stack, adoption)
        imports: set[str] = set()
        try:
            given = self._given(
                stack, {i["ParameterKey"]: i for i in request.get("Parameters", ())}
            )
            scope = self._scope(stack, template, given, imports)
            scope.check_rules()
            operation.apply(scope)
            outputs = _outputs(scope)
            self._check_exports(stack, _exports(outputs), "updated")
        except (*FAILURES, ValidationError) as error:
            self._roll_back(stack, operation, str(error), creating=creating)
            return
        stack.template_body, stack.template = request["TemplateBody"], template
        stack.given, stack.parameters = given, scope.values
        stack.outputs, stack.imports = outputs, imports
        stack.tags = request.get("Tags", [])
        stack.capabilities = request.get("Capabilities", [])
        stack.role_arn = request.get("RoleARN")
        if "EnableTerminationProtection" in request:
            stack.protected = bool(request["EnableTerminationProtection"])
        operation.clean_up(set(scope.active()))
        stack.set_status(f"{verb}_COMPLETE")

    @staticmethod
    def _roll_back(stack: Stack, operation: Operation, reason: str, *, creating: bool) -> None:
        verb = "ROLLBACK" if creating else "UPDATE_ROLLBACK"
        stack.set_status(f"{verb}_IN_PROGRESS", reason)
        failed = operation.roll_back()
        stack.set_status(f"{verb}_FAILED" if failed else f"{verb}_COMPLETE", "; ".join(failed))
        if creating:
            # Such a stack can only be deleted, as the template that it never became says nothing.
            stack.template_body = stack.template_body or "{}"

    def _scope(
        self, stack: Stack, template: dict[str, Any], given: dict[str, str], imports: set[str]
    ) -> Scope:
        def resource(name: str) -> str:
            if name not in stack.resources:
                raise ResourceError(f"Template error: unresolved reference {name}")
            return stack.resources[name].physical_id

        def attribute(name: str, attribute_name: str) -> Any:
            if name not in stack.resources:
                raise ResourceError(f"Template error: unresolved reference {name}")
            found = stack.resources[name]
            if attribute_name not in found.attributes:
                raise ResourceError(
                    f"Template error: resource {name} does not support attribute type "
                    f"{attribute_name} in Fn::GetAtt"
                )
            return found.attributes[attribute_name]

        def imported(name: str) -> str:
            for other in self.stacks.values():
                if other is not stack and name in other.exports():
                    imports.add(name)
                    return other.exports()[name]
            raise ResourceError(f"No export named {name} found.")

        values = {
            "AWS::AccountId": self.account,
            "AWS::Partition": "aws",
            "AWS::Region": self.region,
            "AWS::StackId": stack.id,
            "AWS::StackName": stack.name,
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::NotificationARNs": [],
        }
        for name, declared in template.get("Parameters", {}).items():
            values[name] = self._parameter(name, declared, given.get(name))
        return Scope(
            template=template,
            values=values,
            resource=resource,
            attribute=attribute,
            imported=imported,
            stack_output=self._stack_output,
        )

    def _parameter(self, name: str, declared: dict[str, Any], given: str | None) -> Any:
        value = declared.get("Default") if given is None else given
        if value is None:
            raise ValidationError(f"Parameters: [{name}] must have values")
        if "AllowedValues" in declared and str(value) not in map(str, declared["AllowedValues"]):
            raise ValidationError(f"Parameter {name} must be one of {declared['AllowedValues']}")
        if declared["Type"].startswith("AWS::SSM::Parameter::Value"):
            try:
                value = self.aws("ssm").get_parameter(Name=value)["Parameter"]["Value"]
            except ClientError as error:
                raise ValidationError(f"Unable to fetch parameters [{value}]") from error
        if "List" in declared["Type"]:
            return [part.strip() for part in str(value).split(",")] if value else []
        return str(value)

    def _stack_output(self, wanted: dict[str, str]) -> str:
        if wanted.get("Region", self.region) != self.region:
            raise ResourceError("the emulator knows one region only in Fn::GetStackOutput")
        stack = self._find(wanted["StackName"])
        for output in stack.outputs if stack else ():
            if output["OutputKey"] == wanted["OutputName"]:
                return output["OutputValue"]
        raise ResourceError(f"Output {wanted['OutputName']} of {wanted['StackName']} is not there")

    def _check_exports(self, stack: Stack, new: dict[str, str], done: str) -> None:
        for other in self.stacks.values():
            if other is not stack and (taken := set(new) & set(other.exports())):
                raise ResourceError(f"Export with name {min(taken)} is already exported")
        for name, value in stack.exports().items():
            users = [other.name for other in self.stacks.values() if name in other.imports]
            if users and new.get(name) != value:
                raise ResourceError(
                    f"Export {name} cannot be {done} as it is in use by {', '.join(users)}"
                )

    def _changes(
        self, stack: Stack, template: dict[str, Any], request: Request, kind: str
    ) -> list[dict[str, Any]]:
        adopted = {item["LogicalResourceId"] for item in request.get("ResourcesToImport", ())}
        old, new = stack.template.get("Resources", {}), template["Resources"]
        changes = []
        for name in {**old, **new}:
            if name not in new:
                changes.append(_change("Remove", name, old[name], stack))
            elif name in adopted:
                changes.append(_change("Import", name, new[name], stack))
            elif name not in old:
                changes.append(_change("Add", name, new[name], stack))
            elif new[name] != old[name]:
                before, after = (body.get("Properties", {}) for body in (old[name], new[name]))
                replaced = schema.needs_replacement(new[name]["Type"], self.region, before, after)
                changes.append(_change("Modify", name, new[name], stack, replaced=replaced))
        if kind == "IMPORT" and [c for c in changes if c["ResourceChange"]["Action"] != "Import"]:
            raise ValidationError(
                "As part of the import operation, you cannot modify or add [Outputs or resources]"
            )
        return changes

    def _checked(self, body: str) -> dict[str, Any]:
        template = parse(body)
        if not template.get("Resources"):
            raise ValidationError("At least one Resources member must be defined.")
        if unknown := sorted({i["Type"] for i in template["Resources"].values()} - set(TYPES)):
            raise ValidationError(
                f"Template format error: Unrecognized resource types: {json.dumps(unknown)}. "
                "(The emulator knows those under tests/deploy/emulator/types.)"
            )
        return template

    def _body(self, request: Request) -> str:
        if body := request.get("TemplateBody"):
            return str(body)
        if url := request.get("TemplateURL"):
            bucket, key = _bucket_and_key(url)
            found = self.aws("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
            return str(found.decode())
        return self._stack(request["StackName"]).template_body

    @staticmethod
    def _given(stack: Stack, given: dict[str, dict[str, Any]]) -> dict[str, str]:
        return {
            name: stack.given[name] if item.get("UsePreviousValue") else item["ParameterValue"]
            for name, item in given.items()
        }

    def _new_stack(self, name: str) -> Stack:
        identifier = f"arn:aws:cloudformation:{self.region}:{self.account}:stack/{name}"
        stack = Stack(
            id=f"{identifier}/{uuid.uuid4()}",
            name=name,
            account=self.account,
            region=self.region,
            aws=self.aws,
        )
        self.stacks[stack.id] = stack
        return stack

    def _find(self, name: str) -> Stack | None:
        for stack in self.stacks.values():
            if name in (stack.name, stack.id):
                return stack
        return None

    def _stack(self, name: str) -> Stack:
        stack = self._find(name) or self.deleted.get(name)
        if stack is None:
            raise ValidationError(f"Stack with id {name} does not exist")
        return stack

    def _change_set(self, request: Request) -> ChangeSet:
        wanted = request["ChangeSetName"]
        for item in self.change_sets.values():
            if wanted == item.id or (
                wanted == item.name and request.get("StackName") in (item.stack.name, item.stack.id)
            ):
                return item
        raise ChangeSetNotFoundError(f"ChangeSet [{wanted}] does not exist")


def _described(stack: Stack) -> dict[str, Any]:
    return {
        "StackId": stack.id,
        "StackName": stack.name,
        "CreationTime": stack.created,
        "StackStatus": stack.status,
        "StackStatusReason": stack.reason,
        "Parameters": [
            {"ParameterKey": name, "ParameterValue": value} for name, value in stack.given.items()
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


def _change(
    action: str, name: str, body: dict[str, Any], stack: Stack, *, replaced: bool | None = None
) -> dict[str, Any]:
    known = stack.resources.get(name)
    change: dict[str, Any] = {
        "Action": action,
        "LogicalResourceId": name,
        "ResourceType": body["Type"],
    }
    if known:
        change["PhysicalResourceId"] = known.physical_id
    if replaced is not None:
        change["Replacement"] = "True" if replaced else "False"
    return {"Type": "Resource", "ResourceChange": change}


def _bucket_and_key(url: str) -> tuple[str, str]:
    host, _, path = url.split("://", 1)[1].partition("/")
    if host.startswith("s3.") or ":" in host:
        bucket, _, key = path.partition("/")
        return bucket, key
    return host.split(".s3", 1)[0], path
