"""Deploys a template to a stack, or rolls back."""

from typing import Any

from botocore.exceptions import ClientError

from .adoption import Adoption
from .errors import FAILURES, ResourceError, ValidationError
from .operation import Operation
from .region import Region, Request
from .stack import Stack
from .template import Scope, parse


def deploy(region: Region, stack: Stack, request: Request, adoption: Adoption) -> None:
    """Deploys a request to a stack, or rolls the stack back."""
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
    """Returns the values of a request's parameters."""
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
