"""What CloudFormation asks of AWS in a deploy: the actions of each resource's handlers, on ARNs."""

import functools
import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sashiko.account.access.policy_evaluation import Request
from sashiko.account.names import arn as arn_of
from sashiko.account.names import database_name
from sashiko.account.templates import Resource, Templates, read_templates
from tests.infra.contracts import assembled_with, mortgages
from tests.infra.delivery import delivery_folder, tools_of
from tests.infra.deploy_facts import (
    ALSO_ON,
    ARNS,
    CONTEXT,
    DEPENDENT,
    EVERYTHING,
    HANDLERS,
    PASSED_TO,
    READ_ALONE,
    THROUGH,
    WITHOUT_ID,
    WITHOUT_REGION,
    takes,
)
from tests.infra.variants import PACKS, VARIANTS, assembly_of, complete_request, settings_of

# A fork's contract may have row filters, which the shipped ones do not.
FILTERED = "dev with row filters"
DELIVERY = "delivery"  # the tools' account
OF_TOOLS = (DELIVERY,) if "delivery" in PACKS else ()
EVERY = (*VARIANTS, FILTERED, *OF_TOOLS)
_STACK_OUTPUT = re.compile(r'"Fn::GetStackOutput": \{"StackName": "([^"]+)"')


@dataclass(frozen=True, kw_only=True)
class RequiredAction:
    """An action that a handler needs for a resource."""

    kind: str  # the resource's type
    resource: str  # its stack and logical id
    action: str  # the action
    properties: frozenset[str] = frozenset()  # the names of the resource's properties
    # one for each ARN that AWS asks it on, all of which must be allowed; none if we know no ARN
    # that it could be about
    requests: tuple[Request, ...]


def types_of(variant: str) -> set[str]:
    return {
        resource["Type"]
        for scope in templates_in(variant).stacks.values()
        for resource in scope.template["Resources"].values()
    }


@functools.cache
def required_actions(variant: str) -> tuple[RequiredAction, ...]:
    """What all handlers of all resources of a variant need, and what the templates look up."""
    templates = templates_in(variant)
    return (*_handlers(variant), _version(templates), *_outputs(templates))


@functools.cache
def settings(variant: str) -> Any:
    if variant == DELIVERY:
        return tools_of().settings
    return settings_of("dev" if variant == FILTERED else variant)


@functools.cache
def templates_in(variant: str) -> Templates:
    if variant == DELIVERY:
        return read_templates(settings(variant), folder=delivery_folder())
    if variant != FILTERED:
        templates: Templates = assembly_of(variant)
        return templates
    with tempfile.TemporaryDirectory() as folder:
        return read_templates(settings(variant), folder=assembled_with(Path(folder), mortgages()))


@functools.cache
def _of_type(variant: str, kind: str) -> tuple[Resource, ...]:
    return tuple(templates_in(variant).of_type(kind))


def _handlers(variant: str) -> Iterator[RequiredAction]:
    for kind, verbs in HANDLERS.items():
        for resource in _of_type(variant, kind):
            for verb, actions in verbs.items():
                for action in (*actions, *(more for a in actions for more in DEPENDENT.get(a, ()))):
                    if action == "iam:PassRole" and not _passes(kind, resource):
                        continue
                    yield RequiredAction(
                        kind=kind,
                        resource=f"{resource.stack}.{resource.logical_id}",
                        action=action,
                        properties=frozenset(resource.properties),
                        requests=tuple(_requests(variant, kind, verb, action, resource)),
                    )


def _passes(kind: str, resource: Resource) -> bool:
    """Whether a resource hands over a role: a function is called by its own policy, under none."""
    return kind in PASSED_TO and (kind != "AWS::Events::Rule" or bool(_router(resource)))


def _version(templates: Templates) -> RequiredAction:
    """CloudFormation looks the parameter `BootstrapVersion` up that CDK puts into each template."""
    for stack in templates.stacks.values():
        parameter = stack.template["Parameters"]["BootstrapVersion"]
        assert parameter["Default"] == "/cdk-bootstrap/sashiko/version"
    arn = f"arn:aws:ssm:{templates.region}:{templates.account}:parameter{parameter['Default']}"
    request = Request(action="ssm:GetParameters", resource=arn, complete=True)
    return RequiredAction(
        kind="parameter", resource="BootstrapVersion", action=request.action, requests=(request,)
    )


def _outputs(templates: Templates) -> Iterator[RequiredAction]:
    """CloudFormation describes each stack that another one's template takes an output of."""
    for name, stack in templates.stacks.items():
        for producer in sorted(set(_STACK_OUTPUT.findall(json.dumps(stack.template)))):
            here = f"{templates.region}:{templates.account}"
            arn = f"arn:aws:cloudformation:{here}:stack/{producer}/some"
            request = Request(action="cloudformation:DescribeStacks", resource=arn, complete=True)
            yield RequiredAction(
                kind="output", resource=name, action=request.action, requests=(request,)
            )


def _requests(
    variant: str, kind: str, verb: str, action: str, resource: Resource
) -> Iterator[Request]:
    templates = templates_in(variant)
    context = {
        "aws:requestedregion": templates.region,
        "iam:permissionsboundary": _boundary(variant, kind, resource),
        "iam:passedtoservice": PASSED_TO.get(kind, ""),
        "kms:viaservice": THROUGH.get(kind, ""),
        "kms:encryptioncontext:aws:s3:arn": CONTEXT.get(kind, "").format(
            account=templates.account, region=templates.region
        ),
    }
    if action.partition(":")[0] in WITHOUT_REGION:
        context["aws:requestedregion"] = "of-another-region"
    created = verb == "create" and action in WITHOUT_ID.get(kind, ())
    when = "request" if created else "resource"
    soon = verb == "create" or action == "kms:UpdateAlias"  # a new key takes an old one's place
    if not soon or created or not action.startswith("kms:"):
        tags = _tags(variant, resource)
        context |= {f"aws:{when}tag/{key.lower()}": value for key, value in tags}
    # Else the key was made seconds ago, and KMS may take five minutes until its tag counts.
    for arn in _arns(variant, kind, action, resource):
        yield complete_request(action, arn, context)


def _arns(variant: str, kind: str, action: str, resource: Resource) -> Iterator[str]:
    templates = templates_in(variant)
    here = f"{templates.region}:{templates.account}"
    kinds = takes(action)
    if kinds == ():
        yield EVERYTHING
    properties = resource.properties
    results = properties.get("WorkGroupConfiguration", {}).get("ResultConfiguration", {})
    package = properties.get("PrimaryContainer", {}).get("ModelPackageName", "")
    queues = [queue.properties["QueueName"] for queue in _of_type(variant, "AWS::SQS::Queue")]
    names = _Names(
        resource,
        here=here,
        region=templates.region,
        called=_called_function(variant, resource),
        account=templates.account,
        database=database_name(settings(variant)),
        attached=(properties.get("Roles") or ["sashiko-any"])[0],
        results=str(results.get("OutputLocation", "")).removeprefix("s3://").partition("/")[0],
        budget=str(properties.get("Budget", {}).get("BudgetName", "")),
        package=str(package).partition("model-package/")[2],
        topic=_of_type(variant, "AWS::SNS::Topic")[0].properties["TopicName"],
        queue=str(queues[0]) if queues else "",  # its policy refers to it by an id that AWS makes
        router=_router(resource),
    )
    for name in (*(kinds or ()), *filter(None, [ALSO_ON.get((kind, action))])):
        if READ_ALONE.get((kind, name), action) != action:
            continue
        if action.startswith("ec2:"):
            yield f"arn:aws:ec2:{here}:{name}/some"
        elif pattern := ARNS.get(kind, {}).get(name):
            arn = pattern.format_map(names)
            yield _role_arns(variant).get(arn, arn)


def _called_function(variant: str, resource: Resource) -> str:
    """The name of the function that a permission or a custom resource is about."""
    references = {resource.properties.get(key) for key in ("FunctionName", "ServiceToken")}
    for function in _of_type(variant, "AWS::Lambda::Function"):
        place, name = f"{function.stack}.{function.logical_id}", function.properties["FunctionName"]
        by_name = arn_of(settings(variant), "lambda", f"function:{name}")
        if references & {function.ref, f"<{place}>", f"<{place}.Arn>", by_name}:
            return str(name)
    return ""


@functools.cache
def _role_arns(variant: str) -> Mapping[str, str]:
    """What a reference to a role gives -> its ARN, also where CloudFormation makes its name."""
    account = templates_in(variant).account
    return {
        f"<{role.stack}.{role.logical_id}.Arn>": ARNS["AWS::IAM::Role"]["role"].format_map(
            _Names(role, account=account)
        )
        for role in _of_type(variant, "AWS::IAM::Role")
    }


def _router(rule: Resource) -> str:
    """The role that a rule hands to EventBridge, which stands in its targets."""
    targets = rule.properties.get("Targets", [])
    return str(next((target["RoleArn"] for target in targets if "RoleArn" in target), ""))


class _Names(dict[str, Any]):
    """A resource's properties, and names as CloudFormation makes them where there are none."""

    def __init__(self, resource: Resource, **more: str) -> None:
        super().__init__(resource.properties, **more)
        self._made_up = f"{resource.stack}-{resource.logical_id}-1A2B3C"

    def __missing__(self, key: str) -> str:
        return self._made_up


def _boundary(variant: str, kind: str, resource: Resource) -> str:
    """The boundary that a role gets, or that the roles have which a policy is attached to."""
    if kind == "AWS::IAM::Role":
        return str(resource.properties["PermissionsBoundary"])
    return str(_of_type(variant, "AWS::IAM::Role")[0].properties["PermissionsBoundary"])


def _tags(variant: str, resource: Resource) -> list[tuple[str, str]]:
    """A resource's tags; an alias is about its key, a guardrail's version about the guardrail."""
    if target := resource.properties.get("TargetKeyId"):
        (resource,) = [
            key
            for key in _of_type(variant, "AWS::KMS::Key")
            if target == f"<{key.stack}.{key.logical_id}.Arn>"
        ]
    if of := resource.properties.get("GuardrailIdentifier"):
        (resource,) = [
            guardrail
            for guardrail in _of_type(variant, "AWS::Bedrock::Guardrail")
            if of == f"<{guardrail.stack}.{guardrail.logical_id}.GuardrailId>"
        ]
    tags = resource.properties.get("Tags", [])
    return [*tags.items()] if isinstance(tags, dict) else [(t["Key"], t["Value"]) for t in tags]
